//! Sockets that wait for clients: on addresses, on Unix sockets, or inherited from systemd; and accepting.
//!
//! Sockets are opened before there is a runtime, so that a port that is taken is found out first, and before
//! privileges are given up.

mod address;
mod inherited;
mod unix;

use std::{
    io,
    net::{SocketAddr, TcpListener},
    os::unix::net::UnixListener,
    sync::Arc,
};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Duration, Instant, sleep, timeout},
};

use self::unix::SocketFile;
pub use self::{address::Address, inherited::inherited};
use super::{
    connection,
    crowd::{Origin, Place},
    server::{Epoch, Server},
    track::Track,
};

/// Connections that the kernel completes while we are busy.
const BACKLOG: i32 = 1024;
/// Pause when no connection can be accepted, most likely for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// A socket that waits for clients.
#[derive(Debug)]
pub struct Listener(Kind);

#[derive(Debug)]
enum Kind {
    Tcp(TcpListener),
    /// The file is removed with the listener if we made it.
    Unix(UnixListener, Option<SocketFile>),
}

/// Why a socket cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The address is taken, or not one of this machine's.
    #[error("cannot listen on {address}: {source}; free it, or choose another one with --web.listen-address")]
    Address {
        /// As configured.
        address: Address,
        /// Why.
        source: io::Error,
    },
    /// Somebody serves there.
    #[error("cannot listen on {0}: another process serves on this socket; stop it, or choose another path")]
    InUse(Address),
    /// Not ours to remove.
    #[error(
        "cannot listen on {address}: {what} is there already, and it is not ours to remove; remove it, or choose another path"
    )]
    Foreign {
        /// As configured.
        address: Address,
        /// What was found.
        what: &'static str,
    },
    /// systemd passed something that nobody can connect to.
    #[error(
        "the inherited socket {index} (LISTEN_FDS) cannot be served on: {source}; use ListenStream= with an address or a path, and Accept=no"
    )]
    Inherited {
        /// Its place, from 0.
        index: usize,
        /// Why.
        source: io::Error,
    },
}

/// Opens all of them.
///
/// # Errors
/// One for each that cannot be opened; then none stays open.
pub fn bind_all(addresses: &[Address]) -> Result<Vec<Listener>, Vec<ListenError>> {
    let (mut listeners, mut errors) = (Vec::new(), Vec::new());
    for address in addresses {
        match address {
            Address::Unix(path) => match unix::bind(path) {
                Ok((listener, file)) => listeners.push(Listener(Kind::Unix(listener, Some(file)))),
                Err(error) => errors.push(error),
            },
            Address::Tcp(_) | Address::Named { .. } => match bind_some(address, addresses) {
                Ok(bound) => listeners.extend(bound),
                Err(source) => errors.push(ListenError::Address { address: address.clone(), source }),
            },
        }
    }
    if errors.is_empty() { Ok(listeners) } else { Err(errors) }
}

/// As many as can be opened; an error if that is none.
fn bind_some(address: &Address, all: &[Address]) -> io::Result<Vec<Listener>> {
    let mut listeners = Vec::new();
    let mut failure = io::ErrorKind::AddrNotAvailable.into();
    for socket in address.sockets() {
        match bind_tcp(*socket, leaves_ipv4(*socket, all)) {
            Ok(listener) => listeners.push(listener),
            Err(error) => failure = error,
        }
    }
    if listeners.is_empty() { Err(failure) } else { Ok(listeners) }
}

/// `[::]` alone serves IPv4, too; beside an IPv4 address with the same port it leaves that to the other one.
fn leaves_ipv4(address: SocketAddr, all: &[Address]) -> bool {
    let mut others = all.iter().flat_map(Address::sockets);
    address.is_ipv6() && others.any(|other| other.is_ipv4() && other.port() == address.port())
}

fn bind_tcp(address: SocketAddr, only_v6: bool) -> io::Result<Listener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.cloexec(), Some(Protocol::TCP))?;
    // So that a restart does not wait for connections of the last run to be forgotten.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(only_v6)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Listener::tcp(socket.into())
}

impl Listener {
    /// A socket that somebody else has opened.
    ///
    /// # Errors
    /// The system refuses to make it non-blocking.
    pub fn tcp(listener: TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self(Kind::Tcp(listener)))
    }

    /// Where clients find it; `None` for a Unix socket.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        match &self.0 {
            Kind::Tcp(listener) => listener.local_addr().ok(),
            Kind::Unix(..) => None,
        }
    }

    /// Accepts until the server stops; then waits for connections, for no longer than its grace.
    pub(super) async fn accept_all(self, server: Arc<Server>, epoch: watch::Receiver<Epoch>) {
        let mut connections = JoinSet::new();
        let outcome = match self.0 {
            Kind::Tcp(listener) => accept_tcp(listener, &server, epoch, &mut connections).await,
            Kind::Unix(listener, _file) => accept_unix(listener, &server, epoch, &mut connections).await,
        };
        if let Err(error) = outcome {
            tracing::error!(%error, "cannot accept connections on a socket");
        }
        let all_ended = async { while connections.join_next().await.is_some() {} };
        if timeout(server.options.limits.grace, all_ended).await.is_err() {
            tracing::debug!(connections = connections.len(), "cutting connections that did not end in time");
        }
    }
}

type Connections = JoinSet<()>;

async fn accept_tcp(
    listener: TcpListener,
    server: &Arc<Server>,
    epoch: watch::Receiver<Epoch>,
    connections: &mut Connections,
) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let mut news = epoch.clone();
    loop {
        tokio::select! {
            biased;
            _ = news.wait_for(|epoch| epoch.stopping) => return Ok(()),
            Some(_) = connections.join_next() => {}
            accepted = accept(listener.accept(), server) => if let Some((stream, address)) = accepted {
                let address = address.ip().to_canonical();
                let epoch = epoch.clone();
                begin(server, address.into(), connections, |server, track| {
                    connection::tcp(stream, address, server, track, epoch)
                });
            },
        }
    }
}

async fn accept_unix(
    listener: UnixListener,
    server: &Arc<Server>,
    epoch: watch::Receiver<Epoch>,
    connections: &mut Connections,
) -> io::Result<()> {
    let listener = tokio::net::UnixListener::from_std(listener)?;
    let mut news = epoch.clone();
    loop {
        tokio::select! {
            biased;
            _ = news.wait_for(|epoch| epoch.stopping) => return Ok(()),
            Some(_) = connections.join_next() => {}
            accepted = accept(listener.accept(), server) => if let Some((stream, _)) = accepted {
                let user = stream.peer_cred().ok().map(|credentials| credentials.uid());
                let epoch = epoch.clone();
                begin(server, Origin::User(user), connections, |server, track| {
                    connection::unix(stream, user, server, track, epoch)
                });
            },
        }
    }
}

/// The next client, once there is room for it. Who gives up meanwhile costs nothing; any other error would come back at
/// once, so it is waited for.
async fn accept<T>(accepting: impl Future<Output = io::Result<T>>, server: &Server) -> Option<T> {
    match accepting.await {
        Ok(client) => {
            server.crowd.has_room().await;
            Some(client)
        }
        Err(error) => {
            if !matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) {
                tracing::warn!(%error, "cannot accept a connection");
                sleep(ACCEPT_PAUSE).await;
            }
            None
        }
    }
}

/// Gives a client its place and its task.
fn begin<F: Future<Output = ()> + Send + 'static>(
    server: &Arc<Server>,
    origin: Origin,
    connections: &mut Connections,
    serve: impl FnOnce(Arc<Server>, Arc<Track>) -> F,
) {
    let track = Arc::new(Track::new(Instant::now()));
    let place = server.crowd.enter(origin, Arc::clone(&track));
    let number = place.number();
    let serving = serve(Arc::clone(server), track);
    let task = connections.spawn(async move {
        let _place: Place = place;
        serving.await;
    });
    Place::occupied_by(number, &server.crowd, task);
}
