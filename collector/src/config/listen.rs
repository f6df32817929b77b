//! Where is listened, and who could reach that. Names are looked up only by [`ListenAddress::resolve`].

use std::{
    fmt, io,
    net::{SocketAddr, ToSocketAddrs as _},
    path::{Path, PathBuf},
    str::FromStr,
};

use super::Web;

/// Where is listened.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ListenAddress {
    /// An address and port; port 0 lets the kernel choose.
    Ip(SocketAddr),
    /// A host's name and a port.
    Name {
        /// Host name.
        host: String,
        /// Port.
        port: u16,
    },
    /// A socket in the file system.
    Unix(PathBuf),
}

/// What a path of a socket may have (`sun_path`, unix(7)), with its terminating zero.
const SUN_PATH: usize = 108;
/// What a host's name may have (RFC 1035, section 2.3.4).
const HOST_NAME: usize = 253;

impl FromStr for ListenAddress {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if let Some(path) = text.strip_prefix("unix:") {
            let fine = path.starts_with('/') && !path.ends_with('/') && path.len() < SUN_PATH && !path.contains('\0');
            return if fine { Ok(Self::Unix(Path::new(path).into())) } else { Err(()) };
        }
        if let Ok(address) = text.parse() {
            return Ok(Self::Ip(address));
        }
        let (host, port) = text.rsplit_once(':').ok_or(())?;
        // `parse` alone would take a sign.
        let port = if port.starts_with('+') { Err(()) } else { port.parse().map_err(drop) }?;
        if is_host_name(host) { Ok(Self::Name { host: host.to_owned(), port }) } else { Err(()) }
    }
}

/// Letters, digits, `-`, `_` and dots in between; not what looks like an IP address but is none.
fn is_host_name(host: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    let numeric = host.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    host.len() <= HOST_NAME && host.split('.').all(label) && !numeric
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Name { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl ListenAddress {
    /// The socket addresses behind it, none for a socket in the file system. Asks the name service, which may take long.
    ///
    /// # Errors
    /// The name is unknown, or the name service does not answer.
    pub fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        match self {
            Self::Ip(address) => Ok(vec![*address]),
            Self::Name { host, port } => Ok((host.as_str(), *port).to_socket_addrs()?.collect()),
            Self::Unix(_) => Ok(Vec::new()),
        }
    }
}

/// Whether `web` may serve on `address`: one that others can reach needs a file that configures authentication. Whether it does is
/// for the exporter to check, which reads it.
pub fn may_listen(address: &SocketAddr, web: &Web) -> bool {
    web.config_file.is_some() || web.auth_file.is_some() || address.ip().to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::{ListenAddress, Web, may_listen};

    #[test]
    fn addresses_are_read_and_written_as_they_are_configured() {
        for fine in [
            "127.0.0.1:0",
            "[::1]:9101",
            "0.0.0.0:65535",
            "localhost:9101",
            "node-1.example.org:80",
            "unix:/run/uidmeter/metrics.sock",
            "[fe80::1%2]:9101",
        ] {
            assert_eq!(fine.parse::<ListenAddress>().map(|address| address.to_string()), Ok(fine.into()));
        }
        let long = format!("{}:1", "a.".repeat(200));
        for bad in [
            "",
            ":",
            "9101",
            ":9101",
            "127.0.0.1",
            "127.0.0.1:",
            "127.0.0.1:99999",
            "127.0.0.1:-1",
            "localhost:+1",
            "256.1.1.1:1",
            "1.2.3:4",
            "::1:9101",
            "[::1]",
            "a b:1",
            "a..b:1",
            "ä:1",
            "unix:",
            "unix:relative",
            "unix:/",
            "unix:/a\0b",
            "http://127.0.0.1:1",
            long.as_str(),
        ] {
            assert_eq!(bad.parse::<ListenAddress>(), Err(()), "{bad:?}");
        }
    }

    #[test]
    fn only_this_machine_may_reach_what_asks_for_no_password() -> Result<(), std::net::AddrParseError> {
        let open = Web::default();
        let guarded = Web { config_file: Some("/etc/uidmeter/web.yml".into()), ..Web::default() };
        for (address, local) in [
            ("127.0.0.1:0", true),
            ("127.8.9.1:9101", true),
            ("[::1]:9101", true),
            ("[::ffff:127.0.0.1]:1", true),
            ("0.0.0.0:9101", false),
            ("[::]:9101", false),
            ("10.1.2.3:9101", false),
            ("[::ffff:10.1.2.3]:1", false),
        ] {
            let address: SocketAddr = address.parse()?;
            assert_eq!(may_listen(&address, &open), local, "{address}");
            assert!(may_listen(&address, &guarded), "{address}");
        }
        Ok(())
    }

    #[test]
    fn a_name_stands_for_its_addresses_and_a_path_for_none() -> std::io::Result<()> {
        let resolve = |text: &str| text.parse::<ListenAddress>().map_or(Ok(Vec::new()), |address| address.resolve());
        assert!(resolve("localhost:7")?.iter().all(|address| address.ip().is_loopback() && address.port() == 7));
        assert!(!resolve("localhost:7")?.is_empty());
        assert_eq!(resolve("unix:/run/x")?, []);
        Ok(())
    }
}
