//! Where to listen. Plain data.

use std::{fmt, net::SocketAddr, path::PathBuf};

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// An address of this machine and a port; `[::]` stands for those of IPv4, too, unless they are listed themselves.
    Tcp(SocketAddr),
    /// What a name stands for: it is enough if one of them can be listened on.
    Named {
        /// As configured.
        name: String,
        /// What it stands for.
        addresses: Vec<SocketAddr>,
    },
    /// A Unix socket with mode 0660.
    Unix(PathBuf),
}

impl Address {
    /// Those that clients could come from elsewhere to.
    pub fn sockets(&self) -> &[SocketAddr] {
        match self {
            Self::Tcp(address) => std::slice::from_ref(address),
            Self::Named { addresses, .. } => addresses,
            Self::Unix(_) => &[],
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Named { name, .. } => f.write_str(name),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}
