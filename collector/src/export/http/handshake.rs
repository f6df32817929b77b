//! TLS handshakes: one at a time where they cost, a plain answer to plain HTTP, a line in the log for a certificate that
//! was refused.

use std::{future::poll_fn, io, net::IpAddr, pin::pin, sync::Arc, task::Poll};

use rustls::server::Acceptor;
use tokio::{io::AsyncWriteExt as _, net::TcpStream};
use tokio_rustls::{LazyConfigAcceptor, server::TlsStream};

use super::{metered::Metered, server::Server, turns::Turns};
use crate::export::tls::Tls;

/// TLS begins with a handshake record (RFC 8446 section 5.1); a request in plain text with a method.
const NOT_TLS: std::ops::RangeInclusive<u8> = b'A'..=b'Z';
const PLAIN_ON_TLS: &[u8] =
    b"HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n\
    this port speaks HTTPS: use https:// instead of http://\n";

/// Shakes hands; the caller bounds the time.
///
/// Agreeing on keys and signing take a fraction of a millisecond of pure computing, which no other task of the thread
/// can interrupt. They wait for one another at `turns`, so that between any two of them whoever else is ready gets his
/// turn: a scrape never waits for a whole flood of handshakes.
pub(super) async fn shake_hands(
    mut stream: Metered<TcpStream>,
    tls: &Tls,
    turns: &Arc<Turns>,
) -> io::Result<TlsStream<Metered<TcpStream>>> {
    let mut first = [0];
    stream.socket().peek(&mut first).await?;
    if NOT_TLS.contains(&first[0]) {
        stream.write_all(PLAIN_ON_TLS).await?;
        stream.shutdown().await?;
        return Err(io::Error::other("plain HTTP on a TLS port"));
    }
    let mut hello = pin!(LazyConfigAcceptor::new(Acceptor::default(), stream));
    let start = match hello.as_mut().await {
        Ok(start) => start,
        Err(error) => return Err(ended(hello.take_io(), error).await),
    };
    let mut accept = pin!(start.into_stream(Arc::clone(&tls.config)).into_fallible());
    let turn = turns.take().await;
    let computed = poll_fn(|cx| Poll::Ready(accept.as_mut().poll(cx))).await;
    drop(turn);
    let accepted = match computed {
        Poll::Ready(accepted) => accepted,
        Poll::Pending => accept.await,
    };
    match accepted {
        Ok(stream) => Ok(stream),
        Err((error, stream)) => Err(ended(Some(stream), error).await),
    }
}

/// Closes so that the alert arrives.
async fn ended(stream: Option<Metered<TcpStream>>, error: io::Error) -> io::Error {
    if let Some(mut stream) = stream {
        // It may be closed already.
        let _ = stream.shutdown().await;
    }
    error
}

/// What a client's certificate is refused for is worth a line: somebody was sent away.
pub(super) fn failed(server: &Server, address: IpAddr, error: &io::Error) {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    if let Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented) = tls {
        server.observer.failure("certificate");
        server.refusals.warn(address, error);
    } else {
        tracing::debug!(%address, %error, "no TLS handshake");
    }
}
