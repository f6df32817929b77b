//! Where to listen, as administrators write it. Pure but for looking up names.

use std::{
    fmt,
    net::{Ipv6Addr, SocketAddr, ToSocketAddrs as _},
    path::PathBuf,
    str::FromStr,
};

/// Longest path of a Unix socket: `sun_path` has 108 bytes, and we need some for a temporary name.
const LONGEST_PATH: usize = 90;

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// An address of this machine and a port.
    Tcp(SocketAddr),
    /// A Unix socket with mode 0660.
    Unix(PathBuf),
}

/// Why it cannot be listened on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Neither form.
    #[error(
        "{text:?} is not an address and port ({why}); write for example 127.0.0.1:9101, :9101 or unix:/run/uidmeter/http.sock"
    )]
    Unknown {
        /// As written.
        text: String,
        /// What the parser says.
        why: String,
    },
    /// The path of a Unix socket.
    #[error(
        "{0:?} is not the absolute path of a socket of at most {LONGEST_PATH} bytes; write for example unix:/run/uidmeter/http.sock"
    )]
    Path(String),
}

impl FromStr for Address {
    type Err = AddressError;

    /// `ADDRESS:PORT`, `NAME:PORT` (its first address), `:PORT` (every address), `unix:PATH`.
    fn from_str(text: &str) -> Result<Self, AddressError> {
        if let Some(path) = text.strip_prefix("unix:") {
            let is_fine =
                path.starts_with('/') && !path.ends_with('/') && path.len() <= LONGEST_PATH && !path.contains('\0');
            return if is_fine { Ok(Self::Unix(path.into())) } else { Err(AddressError::Path(path.into())) };
        }
        let unknown = |why: String| AddressError::Unknown { text: text.into(), why };
        if let Some(port) = text.strip_prefix(':') {
            let port = port.parse().map_err(|error| unknown(format!("port: {error}")))?;
            return Ok(Self::Tcp((Ipv6Addr::UNSPECIFIED, port).into()));
        }
        let mut found = text.to_socket_addrs().map_err(|error| unknown(error.to_string()))?;
        found.next().map(Self::Tcp).ok_or_else(|| unknown("the name stands for no address".into()))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}
