//! Files → everything that a reload swaps, checked together.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use hyper::header::{HeaderName, HeaderValue};

use super::{Problems, Settings, files::Prints};
use crate::export::{
    http::{Gate, Live, Unguarded},
    tls::Tls,
    web_config::WebConfig,
};

/// How often files that change while they are read are read anew.
const ATTEMPTS: u32 = 5;

/// What the files say.
pub(super) struct Loaded {
    pub(super) tls: Option<Tls>,
    gate: Arc<dyn Gate>,
    headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) warnings: Vec<String>,
    /// The files as they were read.
    pub(super) prints: Prints,
}

/// Reads the files until two looks at them show the same, so that nothing that changes meanwhile is missed. TLS of the
/// same settings as `before` stays what it is.
pub(super) fn load(settings: &Settings, before: Option<&Tls>) -> Result<Loaded, Problems> {
    let mut expected = Prints::default();
    let mut attempt = 1;
    loop {
        let mut loaded = once(settings, before)?;
        let prints = loaded.prints.again();
        if prints == expected || attempt == ATTEMPTS {
            loaded.prints = prints;
            return Ok(loaded);
        }
        expected = prints;
        attempt += 1;
    }
}

fn once(settings: &Settings, before: Option<&Tls>) -> Result<Loaded, Problems> {
    let config = match &settings.web_config {
        Some(path) => WebConfig::load(path).map_err(|error| Problems(error.0))?,
        None => WebConfig::default(),
    };
    let mut problems = Vec::new();
    let tls = config.tls.as_ref().and_then(|tls| match before {
        Some(before) if before.is_of(tls, config.http.http2) => Some(before.clone()),
        _ => Tls::new(tls, config.http.http2).map_err(|error| problems.push(error.to_string())).ok(),
    });
    if config.basic.is_some() || config.rate_limit.is_some() || settings.auth_file.is_some() {
        problems.push("authentication is configured, which this build cannot ask for".into());
    }
    if !problems.is_empty() {
        return Err(Problems(problems));
    }
    let files: Vec<PathBuf> = config.files;
    Ok(Loaded {
        tls,
        gate: Arc::new(Unguarded),
        headers: config.http.headers,
        warnings: config.warnings,
        prints: Prints::of(&files),
    })
}

impl Loaded {
    /// That everybody who can reach one of `addresses` has to say who he is.
    pub(super) fn check_listeners(&self, addresses: &[SocketAddr]) -> Result<(), Problems> {
        let is_guarded = self.tls.as_ref().is_some_and(Tls::admits_verified_only);
        let open = addresses.iter().filter(|address| !is_guarded && !address.ip().to_canonical().is_loopback());
        let problems: Vec<String> = open
            .map(|address| format!("{address} can be reached by others, and nothing asks them who they are; ask for authentication over TLS, or listen on 127.0.0.1"))
            .collect();
        if problems.is_empty() { Ok(()) } else { Err(Problems(problems)) }
    }

    pub(super) fn into_live(self) -> Live {
        Live { tls: self.tls, gate: self.gate, headers: self.headers }
    }
}
