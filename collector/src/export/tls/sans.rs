//! Names in a certificate (subject alternative names, RFC 5280 section 4.2.1.6), and whether one of them is allowed.
//! Pure.
//!
//! An allowed name that is an IP address matches IP SANs alone, as addresses: `::1` and `0:0:0:0:0:0:0:1` are one. All
//! else is compared as text: DNS names and the domains of e-mail addresses without regard to case, URIs byte by byte.
//! A wildcard in a certificate is a name like any other: `*.example.org` matches an allowed `*.example.org` and
//! nothing else, for it does not say who the client is. So does the exporter toolkit.

use std::{fmt, net::IpAddr};

use x509_parser::{certificate::X509Certificate, extensions::GeneralName};

/// One name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum San<'a> {
    Dns(&'a str),
    Email(&'a str),
    Ip(IpAddr),
    Uri(&'a str),
}

impl fmt::Display for San<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(text) | Self::Email(text) | Self::Uri(text) => f.write_str(text),
            Self::Ip(address) => address.fmt(f),
        }
    }
}

/// All names of the four kinds; none if the extension is malformed or there are two.
pub(super) fn of<'a>(certificate: &'a X509Certificate<'a>) -> Vec<San<'a>> {
    let extension = certificate.subject_alternative_name().ok().flatten();
    extension.map(|names| names.value.general_names.iter().filter_map(san).collect()).unwrap_or_default()
}

fn san<'a>(name: &'a GeneralName<'a>) -> Option<San<'a>> {
    match name {
        GeneralName::DNSName(text) => Some(San::Dns(text)),
        GeneralName::RFC822Name(text) => Some(San::Email(text)),
        GeneralName::URI(text) => Some(San::Uri(text)),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            v4.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from)).ok().map(San::Ip)
        }
        _ => None,
    }
}

/// Whether `san` is one of the `allowed`.
pub(super) fn is_allowed(san: San<'_>, allowed: &[String]) -> bool {
    allowed.iter().any(|allowed| match (san, address(allowed)) {
        (San::Ip(one), Some(other)) => one.to_canonical() == other.to_canonical(),
        (San::Ip(_), None) | (_, Some(_)) => false,
        (San::Dns(name), None) => name.eq_ignore_ascii_case(allowed),
        (San::Email(mailbox), None) => is_same_mailbox(mailbox, allowed),
        (San::Uri(uri), None) => uri == allowed,
    })
}

/// `[::1]` is what one writes in front of a port.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    bare.parse().ok()
}

/// The part before the @ belongs to the domain's owner, who may distinguish case.
fn is_same_mailbox(one: &str, other: &str) -> bool {
    match (one.rsplit_once('@'), other.rsplit_once('@')) {
        (Some((local, domain)), Some((other_local, other_domain))) => {
            local == other_local && domain.eq_ignore_ascii_case(other_domain)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{San, is_allowed};

    fn allowed(san: San<'_>, by: &str) -> bool {
        is_allowed(san, &["other.example".into(), by.into()])
    }

    #[test]
    fn dns_names_have_no_case_and_wildcards_no_power() {
        assert!(allowed(San::Dns("Prom.Example.org"), "prom.eXample.org"));
        assert!(allowed(San::Dns("*.example.org"), "*.Example.org"));
        for (name, by) in [
            ("*.example.org", "prom.example.org"),
            ("prom.example.org", "*.example.org"),
            ("prom.example.org", "prom.example.or"),
            ("prom.example.org", ""),
            ("10.0.0.1", "10.0.0.1"),
        ] {
            assert!(!allowed(San::Dns(name), by), "{name} {by}");
        }
    }

    #[test]
    fn addresses_are_compared_as_addresses() -> Result<(), std::net::AddrParseError> {
        for (san, by) in [
            ("::1", "0:0:0:0:0:0:0:1"),
            ("2001:db8::a", "2001:DB8:0::000A"),
            ("2001:db8::a", "[2001:db8::a]"),
            ("::ffff:10.0.0.1", "10.0.0.1"),
            ("10.0.0.1", "::ffff:a00:1"),
        ] {
            assert!(allowed(San::Ip(san.parse()?), by), "{san} {by}");
        }
        for (san, by) in [("10.0.0.1", "10.0.0.2"), ("10.0.0.1", "10.0.0.1.example"), ("::1", "[::1"), ("::1", "")] {
            assert!(!allowed(San::Ip(san.parse()?), by), "{san} {by}");
        }
        Ok(())
    }

    #[test]
    fn a_mailbox_has_case_before_the_at_sign_only() {
        assert!(allowed(San::Email("Ops@Example.org"), "Ops@example.ORG"));
        assert!(!allowed(San::Email("ops@example.org"), "Ops@example.org"));
        assert!(!allowed(San::Email("nonsense"), "nonsense"));
    }

    #[test]
    fn a_uri_is_compared_byte_by_byte() {
        assert!(allowed(San::Uri("spiffe://example.org/prometheus"), "spiffe://example.org/prometheus"));
        assert!(!allowed(San::Uri("spiffe://Example.org/prometheus"), "spiffe://example.org/prometheus"));
    }
}
