//! One client's connection as its requests see it: who is at the other end, and with what it came in.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use super::{
    server::{Live, Server, instant_of, still_holds},
    track::Track,
};
use crate::export::{
    auth::{CredentialId, Identity, Peer},
    tls::Tls,
};

/// A connected client.
pub(super) struct Guest {
    pub(super) server: Arc<Server>,
    pub(super) track: Arc<Track>,
    pub(super) peer: Peer,
    /// Over TCP, as opposed to a Unix socket, which never speaks TLS.
    pub(super) over_tcp: bool,
    /// Under which settings hands were shaken.
    pub(super) tls: Option<Tls>,
    /// With what the last request came in; `None` before the first that was let in.
    credential: Mutex<Option<CredentialId>>,
}

impl Guest {
    pub(super) fn new(server: Arc<Server>, track: Arc<Track>, peer: Peer, over_tcp: bool, tls: Option<Tls>) -> Self {
        Self { server, track, peer, over_tcp, tls, credential: Mutex::default() }
    }

    /// A request was let in as `identity`.
    pub(super) fn admitted(&self, identity: &Identity) {
        *self.credential() = Some(identity.credential);
        self.track.prove(identity.expires.and_then(instant_of));
    }

    /// Whether `live` would have let this client in with what it showed when it came.
    pub(super) fn is_welcome(&self, live: &Live, now: SystemTime) -> bool {
        self.may_ask(live, now) && self.credential().is_none_or(|credential| live.gate.still_valid(&credential))
    }

    /// Whether a request may still be asked over this connection, whatever it shows. The deadline cuts the connection
    /// at its certificate's end; this is for clocks that were set meanwhile, and for requests that came with a reload.
    pub(super) fn may_ask(&self, live: &Live, now: SystemTime) -> bool {
        let certificate = self.peer.client_certificate.as_ref();
        still_holds(live, self.tls.as_ref(), self.over_tcp)
            && certificate.is_none_or(|certificate| now < certificate.not_after)
    }

    fn credential(&self) -> MutexGuard<'_, Option<CredentialId>> {
        // A copy in, a copy out: a panic elsewhere leaves nothing half done.
        self.credential.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
