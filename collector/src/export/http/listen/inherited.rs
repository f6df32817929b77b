//! Sockets that systemd has opened for us (`LISTEN_FDS`, `sd_listen_fds(3)`).

use std::{io, net::TcpListener};

use listenfd::ListenFd;
use socket2::SockRef;

use super::{Kind, ListenError, Listener};

/// The sockets that were passed to this process; none if it was started without. Can be asked once.
///
/// # Errors
/// One for each that is no stream socket that listens.
pub fn inherited() -> Result<Vec<Listener>, Vec<ListenError>> {
    let mut passed = ListenFd::from_env();
    let (mut listeners, mut errors) = (Vec::new(), Vec::new());
    for index in 0..passed.len() {
        match take(&mut passed, index) {
            Ok(listener) => listeners.extend(listener),
            Err(source) => errors.push(ListenError::Inherited { index, source }),
        }
    }
    if errors.is_empty() { Ok(listeners) } else { Err(errors) }
}

fn take(passed: &mut ListenFd, index: usize) -> io::Result<Option<Listener>> {
    // The library says by an error that a socket is of another family, and keeps it then.
    if let Ok(tcp) = passed.take_tcp_listener(index) {
        return tcp
            .map(|listener: TcpListener| {
                must_listen(&SockRef::from(&listener))?;
                Listener::tcp(listener)
            })
            .transpose();
    }
    let unix = passed.take_unix_listener(index)?;
    unix.map(|listener| {
        must_listen(&SockRef::from(&listener))?;
        listener.set_nonblocking(true)?;
        Ok(Listener(Kind::Unix(listener, None)))
    })
    .transpose()
}

fn must_listen(socket: &SockRef<'_>) -> io::Result<()> {
    if socket.is_listener()? { Ok(()) } else { Err(io::Error::other("it does not listen")) }
}
