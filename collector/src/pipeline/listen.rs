//! Opens the sockets that the configuration asks for, and refuses those that others could reach without authentication.

use std::{
    io,
    net::{SocketAddr, TcpListener},
};

use super::RunError;
use crate::config::{ConfigError, ListenAddress, Problem, Web, listen::may_listen};

/// A socket for every address; of a name's addresses at least one.
pub(super) fn bind(web: &Web) -> Result<Vec<TcpListener>, RunError> {
    for (asked, what) in [
        (web.config_file.is_some(), "TLS and authentication (web.config_file)"),
        (web.systemd_socket, "sockets of systemd (web.systemd_socket)"),
        (web.listen_addresses.iter().any(|address| matches!(address, ListenAddress::Unix(_))), "unix sockets"),
    ] {
        if asked {
            return Err(RunError::Unserved { what });
        }
    }
    let mut listeners = Vec::new();
    for address in &web.listen_addresses {
        let failed = |source| RunError::Listen { address: address.to_string(), source };
        let resolved = address.resolve().map_err(failed)?;
        if let Some(exposed) = resolved.iter().find(|ip| !may_listen(ip, web)) {
            let at = format!("--web.listen-address {address}");
            return Err(ConfigError(vec![Problem::Exposed { at, address: *exposed }]).into());
        }
        listeners.extend(some(&resolved).map_err(failed)?);
    }
    Ok(listeners)
}

/// Sockets for those of `addresses` for which there can be one; an error if there is none at all.
fn some(addresses: &[SocketAddr]) -> io::Result<Vec<TcpListener>> {
    let mut listeners = Vec::new();
    let mut failure = io::ErrorKind::AddrNotAvailable.into();
    for address in addresses {
        match TcpListener::bind(address) {
            Ok(listener) => listeners.push(listener),
            Err(error) => failure = error,
        }
    }
    if listeners.is_empty() { Err(failure) } else { Ok(listeners) }
}

#[cfg(test)]
mod tests {
    use super::{ListenAddress, RunError, TcpListener, Web, bind};

    fn web(addresses: &[&str]) -> Web {
        let addresses = addresses.iter().filter_map(|address| address.parse::<ListenAddress>().ok());
        Web { listen_addresses: addresses.collect(), ..Web::default() }
    }

    #[test]
    fn every_address_gets_a_socket() -> Result<(), RunError> {
        assert_eq!(bind(&web(&["127.0.0.1:0", "127.0.0.2:0"]))?.len(), 2);
        assert!(!bind(&web(&["localhost:0"]))?.is_empty());
        Ok(())
    }

    #[test]
    fn a_taken_port_is_named() -> std::io::Result<()> {
        let taken = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let _held = TcpListener::bind(taken)?;
        let error = bind(&web(&["127.0.0.1:0", &taken.to_string()])).err().map(|error| error.to_string());
        assert!(error.is_some_and(|error| error.contains(&taken.to_string()) && error.contains("in use")));
        Ok(())
    }

    #[test]
    fn what_others_can_reach_is_refused_whatever_the_caller_checked() {
        assert!(matches!(bind(&web(&["0.0.0.0:0"])), Err(RunError::Config(_))));
    }

    #[test]
    fn authentication_that_cannot_be_given_is_never_left_out_in_silence() {
        let guarded = Web { config_file: Some("/x".into()), ..web(&["127.0.0.1:0"]) };
        assert!(matches!(bind(&guarded), Err(RunError::Unserved { .. })));
        assert!(matches!(bind(&web(&["unix:/x"])), Err(RunError::Unserved { .. })));
    }
}
