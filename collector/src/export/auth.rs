//! Who asks, and what he may: credentials of a request → an [`Identity`] or a [`Refusal`].
//!
//! | module | owns |
//! |---|---|
//! | [`authorization`] | the `Authorization` header: exactly one, of bounded size, split into its scheme's parts |
//! | [`permissions`] | what may be allowed, and the names of that |
//! | [`keys`] | files with keys → keys that verify, each for one algorithm |
//! | [`jwt`] | a token, keys and a moment → claims, or the flaw |
//! | `basic` | users and passwords: a bounded pool for bcrypt, and what has been verified already |
//! | [`limiter`] | how many expensive failures an address may cause |
//! | [`settings`] | the authentication file and the web configuration → one checked [`Settings`] |
//! | `audit` | a line in the log for each refusal, at a bounded rate |
//! | [`guard`] | puts these together for each request; swapped as a whole on reload |
//!
//! # Modes
//! `none` (loopback and Unix sockets only), `basic`, `jwt`, or `both`, which accepts either. A client certificate that TLS has
//! verified authenticates by itself in mode `none`, and in the others if `certificates.sufficient` says so; else it is
//! demanded besides the credential, or not at all, as `client_auth_type` says.
//!
//! Never logs a secret, nor text of a client that has not been escaped.

pub(in crate::export) mod audit;
pub mod authorization;
mod basic;
pub mod guard;
pub mod jwt;
pub mod keys;
pub mod limiter;
pub mod permissions;
pub mod settings;

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use hyper::{StatusCode, header::HeaderValue};

pub use self::{
    guard::{Guard, NoRandomness},
    permissions::{Permission, Permissions},
    settings::{Mode, Settings, SettingsError},
};

/// Where a request comes from.
#[derive(Clone, Debug, Default)]
pub struct Peer {
    /// Its address; `None` on a Unix socket.
    pub address: Option<IpAddr>,
    /// The user at the other end of a Unix socket (`SO_PEERCRED`).
    pub unix: Option<u32>,
    /// The certificate, if the client has shown one **and** TLS has verified it.
    pub client_certificate: Option<Arc<VerifiedCertificate>>,
}

/// What TLS has verified: signed by a trusted CA, valid now, with an allowed SAN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedCertificate {
    /// Every subject alternative name as text, in the certificate's order.
    pub sans: Vec<String>,
    /// The subject, for certificates without SANs.
    pub subject: String,
    /// SHA-256 of the certificate.
    pub fingerprint: [u8; 32],
    /// The end of its validity.
    pub not_after: SystemTime,
}

/// Somebody who may come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// User, subject of the token, or name in the certificate. Text of a third party: escape before printing.
    pub name: Arc<str>,
    /// What he may.
    pub permissions: Permissions,
    /// With what he came in, to be asked for after a reload.
    pub credential: CredentialId,
    /// When that ends; a connection must not outlive it.
    pub expires: Option<SystemTime>,
}

/// Stands for a credential without holding it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CredentialId {
    /// None was needed.
    Anonymous,
    /// A user with this password: digest of both names.
    Basic([u8; 32]),
    /// Tokens of one key under one set of rules.
    Token([u8; 32]),
    /// Certificates under one set of CAs and allowed names.
    Certificate([u8; 32]),
}

/// Somebody who may not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// 401, 403 or 429.
    pub status: StatusCode,
    /// Why, as a label of `uidmeter_auth_failures_total`.
    pub reason: &'static str,
    /// Values of `WWW-Authenticate`: what would be accepted. Empty unless 401.
    pub www_authenticate: Vec<HeaderValue>,
    /// For `Retry-After`, with 429.
    pub retry_after: Option<Duration>,
    /// One sentence for the log: no secret, nothing unescaped.
    pub audit: String,
}

/// Hears of what is to be counted.
pub trait Observer: Send + Sync {
    /// Somebody was not let in. `reason` is one of [`REASONS`].
    fn failure(&self, reason: &'static str);

    /// A password goes through bcrypt, right or wrong, of a user or of nobody.
    fn password_check(&self);
}

/// Every reason that a refusal can have, so that each can be exported from the start.
pub const REASONS: [&str; 12] = [
    "missing",
    "malformed",
    "scheme",
    "password",
    "token_malformed",
    "token_key",
    "token_signature",
    "token_time",
    "token_claims",
    "certificate",
    "permission",
    "limited",
];
