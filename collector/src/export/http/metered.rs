//! A socket that tells its [`Track`] what passes, and that closes so that the client gets to read the last answer.
//!
//! It stands below TLS: what counts is what the client sends and takes on the wire.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Duration, Instant, Sleep, sleep},
};

use super::track::Track;

/// How long a closed connection waits for the client to read and close, too. A socket closed with unread input sends a
/// reset, which may overtake the answer that says what was wrong with that input.
const LINGER: Duration = Duration::from_millis(500);
/// How much of the client's input is thrown away meanwhile.
const LINGER_BYTES: usize = 256 * 1024;

/// `S`, metered.
#[derive(Debug)]
pub(super) struct Metered<S> {
    socket: S,
    track: Arc<Track>,
    lingering: Option<Lingering>,
}

#[derive(Debug)]
struct Lingering {
    until: Pin<Box<Sleep>>,
    left: usize,
}

impl<S> Metered<S> {
    pub(super) fn new(socket: S, track: Arc<Track>) -> Self {
        Self { socket, track, lingering: None }
    }

    pub(super) fn socket(&self) -> &S {
        &self.socket
    }

    fn wrote(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &written {
            Poll::Ready(Ok(1..)) => self.track.sent(Instant::now()),
            Poll::Ready(_) => {}
            Poll::Pending => self.track.blocked(Instant::now()),
        }
        written
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.socket).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.track.received(Instant::now());
        }
        read
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.wrote(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(cx, slices);
        self.wrote(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let lingering = if let Some(lingering) = &mut this.lingering {
            lingering
        } else {
            ready!(Pin::new(&mut this.socket).poll_shutdown(cx))?;
            this.lingering.insert(Lingering { until: Box::pin(sleep(LINGER)), left: LINGER_BYTES })
        };
        let mut discarded = [0; 4096];
        while lingering.left > 0 && lingering.until.as_mut().poll(cx).is_pending() {
            let mut buffer = ReadBuf::new(&mut discarded);
            match ready!(Pin::new(&mut this.socket).poll_read(cx, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => {
                    lingering.left = lingering.left.saturating_sub(buffer.filled().len());
                }
                // The client has closed, too, or is gone.
                _ => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}
