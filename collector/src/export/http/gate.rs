//! Who may come in, as the routes see it: a seam between what is asked and how credentials are checked.

use std::{pin::Pin, sync::Arc, time::SystemTime};

use hyper::http::request::Parts;

use crate::export::auth::{CredentialId, Guard, Identity, Observer, Peer, Permission, Permissions, Refusal};

/// What [`Gate::admit`] will say.
pub type Admission<'a> = Pin<Box<dyn Future<Output = Result<Identity, Refusal>> + Send + 'a>>;

/// Decides who may come in.
pub trait Gate: Send + Sync {
    /// Whether `peer` may do with `head` what takes the permission `needs`.
    fn admit<'a>(&'a self, head: &'a Parts, peer: &'a Peer, needs: Permission) -> Admission<'a>;

    /// Whether a credential that came in some time ago, perhaps through another gate, still would.
    fn still_valid(&self, credential: &CredentialId) -> bool;

    /// Whether `/-/healthy` and `/-/ready` answer everybody.
    fn open_health(&self) -> bool;
}

impl Gate for Guard {
    fn admit<'a>(&'a self, head: &'a Parts, peer: &'a Peer, needs: Permission) -> Admission<'a> {
        Box::pin(self.admit(head, peer, needs, SystemTime::now()))
    }

    fn still_valid(&self, credential: &CredentialId) -> bool {
        self.still_valid(credential)
    }

    fn open_health(&self) -> bool {
        self.open_health()
    }
}

/// Lets everybody in: for addresses that nobody else can reach.
#[derive(Clone, Copy, Debug)]
pub struct Unguarded;

impl Gate for Unguarded {
    fn admit<'a>(&'a self, _: &'a Parts, _: &'a Peer, _: Permission) -> Admission<'a> {
        let anybody = Identity {
            name: Arc::from(""),
            permissions: Permissions::READ,
            credential: CredentialId::Anonymous,
            expires: None,
        };
        Box::pin(async { Ok(anybody) })
    }

    fn still_valid(&self, _: &CredentialId) -> bool {
        true
    }

    // Nothing has to be opened, and who asks for health proves himself like anybody else.
    fn open_health(&self) -> bool {
        false
    }
}

/// Counts nothing.
#[derive(Clone, Copy, Debug)]
pub struct Unheard;

impl Observer for Unheard {
    fn failure(&self, _: &'static str) {}

    fn password_check(&self) {}
}
