//! An answer on its way: handed over piece by piece, so that its [`Open`] request shows how far the client has got.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::Instant;

use super::track::Open;

/// The rest of an answer. All clients of one page share its memory.
#[derive(Debug)]
pub(super) struct Delivery {
    left: Bytes,
    piece: usize,
    open: Open,
}

impl Delivery {
    /// `answer` in pieces of at most `piece` bytes, which is above zero.
    pub(super) fn new(answer: Bytes, piece: usize, mut open: Open) -> Self {
        open.progress(Instant::now(), answer.len());
        Self { left: answer, piece, open }
    }
}

impl Body for Delivery {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = &mut *self;
        if this.left.is_empty() {
            return Poll::Ready(None);
        }
        let piece = if this.left.len() > this.piece {
            this.left.split_to(this.piece)
        } else {
            // The last piece may wait long after we are dropped; it must not hold a whole page.
            Bytes::copy_from_slice(&std::mem::take(&mut this.left))
        };
        this.open.progress(Instant::now(), this.left.len());
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left.len() as u64)
    }
}
