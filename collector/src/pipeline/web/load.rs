//! Files → everything that a reload swaps, checked together.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use hyper::header::{HeaderName, HeaderValue};

use super::{Problems, files::Prints};
use crate::export::{
    auth,
    http::{Bucket, Gate, Live},
    tls::Tls,
    web_config::WebConfig,
};

/// How often files that change while they are read are read anew.
const ATTEMPTS: u32 = 5;

/// The two files that name all others.
#[derive(Clone, Copy, Debug)]
pub(super) struct Files<'a> {
    pub(super) web_config: Option<&'a Path>,
    pub(super) auth_file: Option<&'a Path>,
}

/// What the files say.
pub(super) struct Loaded {
    pub(super) tls: Option<Tls>,
    pub(super) auth: auth::Settings,
    rate: Option<Arc<Bucket>>,
    headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) warnings: Vec<String>,
    /// The files as they were read.
    pub(super) prints: Prints,
}

/// Reads the files until two looks at them show the same, so that nothing that changes meanwhile is missed. What is
/// as it was `before` stays what it is.
pub(super) fn load(files: Files<'_>, before: Option<&Live>) -> Result<Loaded, Problems> {
    let mut expected = Prints::default();
    let mut attempt = 1;
    loop {
        let mut loaded = once(files, before)?;
        let prints = loaded.prints.again();
        if prints == expected || attempt == ATTEMPTS {
            loaded.prints = prints;
            return Ok(loaded);
        }
        expected = prints;
        attempt += 1;
    }
}

fn once(Files { web_config, auth_file }: Files<'_>, before: Option<&Live>) -> Result<Loaded, Problems> {
    let config = match web_config.map(WebConfig::load) {
        Some(Ok(config)) => config,
        // What the other file has wrong by itself is told at the same time.
        Some(Err(error)) => return Err(Problems([error.0, auth::Settings::problems_of(auth_file)].concat())),
        None => WebConfig::default(),
    };
    let mut problems = Vec::new();
    let tls_before = before.and_then(|before| before.tls.as_ref());
    let tls = config.tls.as_ref().and_then(|tls| match tls_before {
        Some(before) if before.is_of(tls, config.http.http2) => Some(before.clone()),
        _ => Tls::new(tls, config.http.http2).map_err(|error| problems.push(error.to_string())).ok(),
    });
    let auth = auth::Settings::load(&config, auth_file);
    let auth = auth.map_err(|error| problems.extend(error.0)).ok();
    let Some(auth) = auth.filter(|_| problems.is_empty()) else { return Err(Problems(problems)) };
    let rate_before = before.and_then(|before| before.rate.as_ref());
    let rate = config.rate_limit.map(|limit| match rate_before {
        Some(before) if before.is_of(&limit) => Arc::clone(before),
        _ => Arc::new(Bucket::new(limit)),
    });
    let files: Vec<PathBuf> = config.files.iter().chain(&auth.files).cloned().collect();
    let warnings = config.warnings.iter().chain(&auth.warnings).cloned().collect();
    Ok(Loaded { tls, auth, rate, headers: config.http.headers, warnings, prints: Prints::of(&files) })
}

impl Loaded {
    /// That everybody who can reach one of `addresses` has to say who he is.
    pub(super) fn check_listeners(&self, addresses: &[SocketAddr]) -> Result<(), Problems> {
        let may = |address: &SocketAddr| self.auth.may_listen(*address, self.tls.is_some());
        let problems: Vec<String> = addresses.iter().filter_map(|address| may(address).err()).collect();
        if problems.is_empty() { Ok(()) } else { Err(Problems(problems)) }
    }

    pub(super) fn into_live(self, gate: Arc<dyn Gate>) -> Live {
        Live { tls: self.tls, gate, rate: self.rate, headers: self.headers }
    }
}
