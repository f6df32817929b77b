//! `host[:port]` → an address that can be asked, and that Prometheus takes. Pure; asks no name service.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
};

use super::excerpt;

/// RFC 1035, section 2.3.4.
const LONGEST_NAME: usize = 253;
const LONGEST_LABEL: usize = 63;

/// Where a host is. Addresses stand before names, and both are in order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// By address.
    Ip(IpAddr),
    /// By name, in lower case.
    Name(String),
}

/// A host and its port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// The host.
    pub place: Place,
    /// From 1 to 65535.
    pub port: u16,
}

/// Why a text is no address; continues a sentence that begins with a file and a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressFlaw {
    /// The host.
    #[error("{0} is not the name or the address of a host; write for example node1.example or [2001:db8::1]")]
    Host(String),
    /// What follows the last colon.
    #[error("{0} has no port from 1 to 65535 behind its colon; write for example node1.example:9101")]
    Port(String),
    /// Nothing follows.
    #[error("{0} names no port, and Prometheus would not ask uidmeter's; write for example node1.example:9101")]
    NoPort(String),
}

impl Address {
    /// Reads `text`; without a port, `default` is the port.
    ///
    /// # Errors
    /// It is no address, or has no port and there is no default.
    pub fn parse(text: &str, default: Option<u16>) -> Result<Self, AddressFlaw> {
        let wrong = || AddressFlaw::Host(excerpt(text));
        // An address of version 6 has colons of its own: without brackets it has no port.
        if let Ok(address) = text.parse::<Ipv6Addr>() {
            return Self::with_port(Place::Ip(address.into()), None, text, default);
        }
        if let Some(rest) = text.strip_prefix('[') {
            let (inside, port) = rest.split_once(']').ok_or_else(wrong)?;
            let address: Ipv6Addr = inside.parse().map_err(|_| wrong())?;
            let port = match port.strip_prefix(':') {
                None if !port.is_empty() => return Err(wrong()),
                port => port,
            };
            return Self::with_port(Place::Ip(address.into()), port, text, default);
        }
        // A URL, or an address with a zone, is not about ports.
        if text.contains(['/', '%']) || text.matches(':').count() > 1 {
            return Err(wrong());
        }
        let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
        let place = match host.parse::<IpAddr>() {
            Ok(address) => Place::Ip(address),
            Err(_) if is_name(host) => Place::Name(host.to_ascii_lowercase()),
            Err(_) => return Err(wrong()),
        };
        Self::with_port(place, port, text, default)
    }

    fn with_port(place: Place, port: Option<&str>, text: &str, default: Option<u16>) -> Result<Self, AddressFlaw> {
        let port = match port {
            None => default.ok_or_else(|| AddressFlaw::NoPort(excerpt(text)))?,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().map_err(|_| AddressFlaw::Port(excerpt(text)))?
            }
            Some(_) => return Err(AddressFlaw::Port(excerpt(text))),
        };
        if port == 0 { Err(AddressFlaw::Port(excerpt(text))) } else { Ok(Self { place, port }) }
    }

    /// The host alone, as name services and certificates know it.
    pub fn host(&self) -> String {
        match &self.place {
            Place::Ip(address) => address.to_string(),
            Place::Name(name) => name.clone(),
        }
    }

    /// Whether no network lies between: a name is not believed to be this machine's, except `localhost`.
    pub fn is_loopback(&self) -> bool {
        match &self.place {
            Place::Ip(address) => address.is_loopback(),
            Place::Name(name) => name == "localhost",
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Ip(IpAddr::V6(address)) => write!(f, "[{address}]:{}", self.port),
            Place::Ip(address) => write!(f, "{address}:{}", self.port),
            Place::Name(name) => write!(f, "{name}:{}", self.port),
        }
    }
}

/// A name of hosts (RFC 1123, section 2.1), with the underscore that private zones use. One whose last part is a number
/// is an address that was mistyped.
fn is_name(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=LONGEST_LABEL).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    let last = name.rsplit('.').next().unwrap_or_default();
    name.len() <= LONGEST_NAME && name.split('.').all(is_label) && !last.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    use super::{Address, AddressFlaw};

    fn read(text: &str) -> Result<String, AddressFlaw> {
        Address::parse(text, Some(9101)).map(|address| address.to_string())
    }

    #[test]
    fn hosts_come_with_and_without_ports() {
        for (text, expected) in [
            ("node1", "node1:9101"),
            ("Node1.Example:80", "node1.example:80"),
            ("under_score.example", "under_score.example:9101"),
            ("192.0.2.7", "192.0.2.7:9101"),
            ("192.0.2.7:1", "192.0.2.7:1"),
            ("2001:db8::1", "[2001:db8::1]:9101"),
            ("[2001:DB8::1]", "[2001:db8::1]:9101"),
            ("[::1]:65535", "[::1]:65535"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for text in ["", "-a", "a-", "a..b", ".a", "a.", "a b", "a/b", "http://a", "user@a", "[::1", "[::1]x", "[a]:1"]
        {
            assert!(matches!(read(text), Err(AddressFlaw::Host(_))), "{text}");
        }
        for text in ["a:1:2", "300.0.2.7", "1.2.3", "17", "fe80::1%eth0", "h\u{f6}st", "a\u{1b}[2J", &"a".repeat(64)] {
            assert!(matches!(read(text), Err(AddressFlaw::Host(_))), "{text}");
        }
        for text in ["a:", "a:0", "a:65536", "a:x", "a:+1", "[::1]:", "192.0.2.7:99999999999"] {
            assert!(matches!(read(text), Err(AddressFlaw::Port(_))), "{text}");
        }
        assert!(matches!(Address::parse("node1", None), Err(AddressFlaw::NoPort(_))));
    }

    proptest! {
        #[test]
        fn nothing_that_is_shown_obeys_a_terminal_or_is_long(text in "\\PC*|.*") {
            let said = read(&text).unwrap_or_else(|flaw| flaw.to_string());
            prop_assert!(said.len() < 700 && !said.contains(char::is_control), "{said}");
        }

        #[test]
        fn what_is_written_is_read_as_the_same(ip in any::<std::net::IpAddr>(), port in 1..=u16::MAX) {
            let written = std::net::SocketAddr::new(ip, port).to_string();
            prop_assert_eq!(read(&written), Ok(written));
        }
    }
}
