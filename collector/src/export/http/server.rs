//! Connections: accepts them, bounds their number and how long they may dawdle, ends them at shutdown.
//!
//! Each connection is a task of its own, so that a slow one delays nobody. The listener is the caller's: a test binds
//! port 0.

use std::{convert::Infallible, io, pin::pin, sync::Arc, time::Duration};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{super::page::Exporter, respond};

/// How much of us clients may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// For a request's head, from the moment at which one is due: an idle connection is closed after the same time.
    pub(super) head: Duration,
    /// At once; more wait in the kernel's queue.
    pub(super) connections: usize,
    /// For what is under way at shutdown.
    pub(super) grace: Duration,
}

pub(super) const LIMITS: Limits =
    Limits { head: Duration::from_secs(10), connections: 512, grace: Duration::from_millis(500) };

/// Room for one request's head: several times what Prometheus sends, so that all connections together stay small.
const HEAD_BYTES: usize = 16 * 1024;
/// Pause when no connection can be accepted, most likely for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Serves until `shutdown`; then accepts nothing new, gives requests under way half a second, and returns.
pub async fn serve(listener: TcpListener, exporter: Arc<Exporter>, shutdown: impl Future<Output = ()>) {
    serve_within(LIMITS, listener, exporter, shutdown).await;
}

pub(super) async fn serve_within(
    limits: Limits,
    listener: TcpListener,
    exporter: Arc<Exporter>,
    shutdown: impl Future<Output = ()>,
) {
    let (closing, closed) = watch::channel(());
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < limits.connections => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, Arc::clone(&exporter), limits.head, closed.clone()));
                }
                Err(error) => refused(&error).await,
            },
        }
    }
    drop(listener);
    drop(closing);
    let all_ended = async { while connections.join_next().await.is_some() {} };
    if timeout(limits.grace, all_ended).await.is_err() {
        tracing::debug!(connections = connections.len(), "cutting connections that did not end in time");
    }
}

/// A client that has gone away costs nothing; any other error would come back at once.
async fn refused(error: &io::Error) {
    if !matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) {
        tracing::warn!(%error, "cannot accept a connection");
        sleep(ACCEPT_PAUSE).await;
    }
}

/// One connection, until it ends by itself or `closed` loses its sender and the request under way is answered.
async fn connection(stream: TcpStream, exporter: Arc<Exporter>, head: Duration, mut closed: watch::Receiver<()>) {
    // Best effort: without it an answer may wait for the client's acknowledgement, and is no less right.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| {
        let exporter = Arc::clone(&exporter);
        async move { Ok::<_, Infallible>(respond(&exporter, &request).await) }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(head).max_buf_size(HEAD_BYTES);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        _ = closed.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}
