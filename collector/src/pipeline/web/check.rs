//! What the daemon would say about the web server's settings and files, without opening a socket.

use std::{net::SocketAddr, time::SystemTime};

use super::{
    Problems, Settings,
    load::{Files, load},
};
use crate::{
    config::{Web, listen::may_listen},
    export::{http::Address, tls::expiry_warning},
};

/// Reads and checks all files as [`super::open`] does, and asks the name service for the addresses of names. Gives what the
/// daemon would warn of at `now`.
///
/// # Errors
/// Everything that is wrong, but for what [`may_listen`] knows already.
pub fn check(web: &Web, now: SystemTime) -> Result<Vec<String>, Problems> {
    let mut problems = Vec::new();
    let settings = Settings::new(web).map_err(|error| problems.extend_from_slice(error.problems())).ok();
    let files = Files { web_config: web.config_file.as_deref(), auth_file: web.auth_file.as_deref() };
    let mut warnings = Vec::new();
    match load(files, None) {
        Ok(loaded) => {
            let addresses = settings.map(|settings| tcp(&settings)).unwrap_or_default();
            let addresses: Vec<_> = addresses.into_iter().filter(|address| may_listen(address, web)).collect();
            if let Err(refused) = loaded.check_listeners(&addresses) {
                problems.extend(refused.0);
            }
            warnings.extend(loaded.tls.as_ref().and_then(|tls| expiry_warning(tls.not_after, now)));
            warnings.extend(loaded.warnings);
        }
        Err(found) => problems.extend(found.0),
    }
    if problems.is_empty() { Ok(warnings) } else { Err(Problems(problems)) }
}

/// Addresses that others may reach; which sockets systemd will hand over, nobody knows yet.
fn tcp(settings: &Settings) -> Vec<SocketAddr> {
    let of = |address: &Address| match address {
        Address::Tcp(address) => vec![*address],
        Address::Named { addresses, .. } => addresses.clone(),
        Address::Unix(_) => Vec::new(),
    };
    if settings.inherit { Vec::new() } else { settings.listen.iter().flat_map(of).collect() }
}
