//! A stream from which no more than so many bytes can be read, whatever they mean: what is only parsed and thrown away costs
//! time, too.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Reads what `stream` has up to a limit, behind which there is an error.
pub(super) struct Bounded<S> {
    stream: S,
    left: usize,
}

impl<S> Bounded<S> {
    /// At most `most` bytes can be read.
    pub(super) fn new(stream: S, most: usize) -> Self {
        Self { stream, left: most }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Bounded<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, into))?;
        let read = into.filled().len() - before;
        if let Some(left) = self.left.checked_sub(read) {
            self.left = left;
            Poll::Ready(Ok(()))
        } else {
            // Where there is an error, nothing has been read.
            into.set_filled(before);
            Poll::Ready(Err(io::Error::other("sends far more than was asked for")))
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Bounded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, empty, repeat};

    use super::Bounded;

    #[tokio::test]
    async fn as_much_as_allowed_can_be_read_and_not_a_byte_more() -> std::io::Result<()> {
        let mut bytes = Vec::new();
        Bounded::new(repeat(7).take(10), 10).read_to_end(&mut bytes).await?;
        assert_eq!(bytes.len(), 10);
        assert!(Bounded::new(repeat(7).take(11), 10).read_to_end(&mut Vec::new()).await.is_err());
        assert!(Bounded::new(repeat(7), 1000).read_to_end(&mut Vec::new()).await.is_err());
        assert_eq!(Bounded::new(empty(), 0).read_to_end(&mut Vec::new()).await?, 0);
        Ok(())
    }
}
