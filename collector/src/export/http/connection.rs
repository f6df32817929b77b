//! One connection from accept to close: TLS, protocol, deadlines.

use std::{
    convert::Infallible,
    error::Error as _,
    future::poll_fn,
    net::IpAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

use hyper::{
    Request,
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    sync::watch,
    time::{Instant, Sleep, sleep_until, timeout_at},
};
use tokio_rustls::server::TlsStream;

use super::{
    guest::Guest,
    handshake::{failed, shake_hands},
    metered::Metered,
    respond,
    server::{Epoch, Server, instant_of},
    track::{Open, Patience, Track},
};
use crate::export::{
    auth::Peer,
    tls::{self, Tls, read_certificate},
};

/// Room for one request's head: several times what Prometheus sends, so that all connections together stay small.
const HEAD_BYTES: u32 = 16 * 1024;
const HEADERS: usize = 100;
/// Of one multiplexed connection; a scraper needs one.
const STREAMS: u32 = 32;
/// Requests that a client may take back before it is taken for an attacker (CVE-2023-44487).
const TAKEN_BACK: usize = 20;
/// Nobody sends bodies, so the windows for them are as small as the protocol likes (RFC 9113 section 6.9.2).
const WINDOW: u32 = 64 * 1024 - 1;
/// A multiplexed connection is asked now and then whether anybody is there.
const PING: Duration = Duration::from_secs(30);
const PONG: Duration = Duration::from_secs(10);
/// An answer goes out in pieces of this size; each stream of a multiplexed connection may keep one for as long as
/// the client likes.
const PIECE: usize = 64 * 1024;
/// What the kernel may hold that it has not sent yet.
const UNSENT: u32 = 128 * 1024;
const STREAM_PIECE: usize = 16 * 1024;

/// Serves a client that came over TCP from `address`.
pub(super) async fn tcp(
    stream: TcpStream,
    address: IpAddr,
    server: Arc<Server>,
    track: Arc<Track>,
    epoch: watch::Receiver<Epoch>,
) {
    // Best effort, all of them: without them an answer may come late or a buffer be larger, and is no less right.
    let _ = stream.set_nodelay(true);
    let _ = socket2::SockRef::from(&stream).set_tcp_notsent_lowat(UNSENT);
    let peer = Peer { address: Some(address), ..Peer::default() };
    let Some(tls) = server.live().tls.clone() else {
        track.ready(Instant::now(), false, None);
        let guest = Guest::new(server, Arc::clone(&track), peer, true, None);
        return http1(Metered::new(stream, track), guest, epoch).await;
    };
    let deadline = track.deadline(&server.options.limits.patience);
    match timeout_at(deadline, shake_hands(Metered::new(stream, Arc::clone(&track)), &tls, &server.handshakes)).await {
        Err(_) => tracing::debug!(%address, "cuts a connection that did not finish its TLS handshake"),
        Ok(Err(error)) => failed(&server, address, &error),
        Ok(Ok(stream)) => encrypted(stream, peer, tls, server, track, epoch).await,
    }
}

/// Serves a client of a Unix socket. Always plain: nobody can listen in between.
pub(super) async fn unix(
    stream: UnixStream,
    user: Option<u32>,
    server: Arc<Server>,
    track: Arc<Track>,
    epoch: watch::Receiver<Epoch>,
) {
    track.ready(Instant::now(), false, None);
    let peer = Peer { unix: user, ..Peer::default() };
    let guest = Guest::new(server, Arc::clone(&track), peer, false, None);
    http1(Metered::new(stream, track), guest, epoch).await;
}

async fn encrypted(
    stream: TlsStream<Metered<TcpStream>>,
    mut peer: Peer,
    tls: Tls,
    server: Arc<Server>,
    track: Arc<Track>,
    epoch: watch::Receiver<Epoch>,
) {
    let (_, session) = stream.get_ref();
    let shown = session.peer_certificates().and_then(|chain| chain.first()).filter(|_| tls.verifies);
    match shown.map(|certificate| read_certificate(certificate)).transpose() {
        Ok(certificate) => peer.client_certificate = certificate.map(Arc::new),
        Err(error) => return tracing::warn!(%error, "cannot read a client certificate that TLS has let in"),
    }
    // The handshake tells whether a new session may begin; a resumed one brings the certificate of the first.
    if peer.client_certificate.as_ref().is_some_and(|certificate| certificate.not_after <= SystemTime::now()) {
        return tracing::debug!(peer = ?peer.address, "a session was resumed whose client certificate has expired");
    }
    let expires = peer.client_certificate.as_ref().and_then(|certificate| instant_of(certificate.not_after));
    let multiplexed = tls::is_http2(session.alpn_protocol());
    track.ready(Instant::now(), multiplexed, expires);
    let guest = Guest::new(server, track, peer, true, Some(tls));
    if multiplexed { http2(stream, guest, epoch).await } else { http1(stream, guest, epoch).await }
}

async fn http1<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
    stream: S,
    guest: Guest,
    epoch: watch::Receiver<Epoch>,
) {
    let guest = Arc::new(guest);
    let service = service_fn(|request: Request<Incoming>| {
        let guest = Arc::clone(&guest);
        let open = Open::new(&guest.track, Instant::now());
        async move { Ok::<_, Infallible>(respond(&guest, request, open, PIECE).await) }
    });
    let mut builder = http1::Builder::new();
    // Deadlines are ours: hyper's would cut idle connections, too.
    builder.timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(HEAD_BYTES as usize).max_headers(HEADERS);
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    drive(pin!(connection), http1::Connection::graceful_shutdown, &guest, epoch).await;
}

async fn http2<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
    stream: S,
    guest: Guest,
    epoch: watch::Receiver<Epoch>,
) {
    let guest = Arc::new(guest);
    let service = {
        let guest = Arc::clone(&guest);
        service_fn(move |request: Request<Incoming>| {
            let guest = Arc::clone(&guest);
            let open = Open::new(&guest.track, Instant::now());
            async move { Ok::<_, Infallible>(respond(&guest, request, open, STREAM_PIECE).await) }
        })
    };
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_pending_accept_reset_streams(TAKEN_BACK)
        .max_local_error_reset_streams(TAKEN_BACK)
        .max_header_list_size(HEAD_BYTES)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_send_buf_size(STREAM_PIECE)
        .keep_alive_interval(PING)
        .keep_alive_timeout(PONG);
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    drive(pin!(connection), http2::Connection::graceful_shutdown, &guest, epoch).await;
}

/// Drives `connection` until it ends, or must end: by a deadline at once, by shutdown or reload after the request under way.
async fn drive<C: Future<Output = hyper::Result<()>>>(
    mut connection: Pin<&mut C>,
    graceful: impl Fn(Pin<&mut C>),
    guest: &Guest,
    mut epoch: watch::Receiver<Epoch>,
) {
    let mut deadline = Deadline::new(&guest.track, guest.server.options.limits.patience);
    loop {
        tokio::select! {
            biased;
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, source = error.source(), "a connection ended early");
                }
                return;
            }
            () = poll_fn(|cx| deadline.poll(cx, &guest.track)) => {
                return tracing::debug!(peer = ?guest.peer.address, "cuts a connection at its deadline");
            }
            changed = epoch.changed() => {
                let stopping = changed.is_err() || epoch.borrow_and_update().stopping;
                if stopping || !guest.is_welcome(&guest.server.live(), SystemTime::now()) {
                    graceful(connection.as_mut());
                }
            }
        }
    }
}

/// A timer that follows a [`Track`], whose deadline moves with every event.
struct Deadline {
    timer: Pin<Box<Sleep>>,
    patience: Patience,
}

impl Deadline {
    fn new(track: &Track, patience: Patience) -> Self {
        Self { timer: Box::pin(sleep_until(track.deadline(&patience))), patience }
    }

    /// Ready when the deadline has passed. Deadlines come nearer only while the connection is polled, and it is polled
    /// before this; one that has moved away is noticed when the timer ends.
    fn poll(&mut self, cx: &mut Context<'_>, track: &Track) -> Poll<()> {
        let mut due = track.deadline(&self.patience);
        if due < self.timer.deadline() {
            self.timer.as_mut().reset(due);
        }
        while self.timer.as_mut().poll(cx).is_ready() {
            due = track.deadline(&self.patience);
            if due <= Instant::now() {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(due);
        }
        Poll::Pending
    }
}
