//! The Prometheus web configuration file: YAML → one checked [`WebConfig`], with every problem reported at once.
//!
//! The schema is that of the exporter toolkit, so a file that serves other exporters serves here unchanged. Where the
//! original leaves a door open, this one refuses: allowed SANs that nobody verifies, a client CA without certificates,
//! verification without a CA (the original then trusts the system's CAs). What our TLS library lacks is refused, or
//! narrowed with a warning.
//!
//! Reads the file and those that it names, each bounded in size; private keys must be readable by their owner alone.
//! Plain data: opens no socket, knows no TLS library.

mod http;
mod load;
mod names;
mod tls;
mod users;

use std::{path::PathBuf, time::Duration};

use hyper::header::{HeaderName, HeaderValue};
use rustls_pki_types::CertificateDer;

use super::secret::Secret;

/// The whole file, checked. The default is that of an empty file: no TLS, no users.
#[derive(Clone, Debug, Default)]
pub struct WebConfig {
    /// `tls_server_config`; `None` serves plain HTTP.
    pub tls: Option<TlsSettings>,
    /// `http_server_config`.
    pub http: HttpSettings,
    /// `basic_auth_users`; `None` if the section is absent or empty.
    pub basic: Option<BasicUsers>,
    /// `rate_limit`; `None` if absent or if the interval is zero.
    pub rate_limit: Option<RateLimit>,
    /// What was narrowed or is unwise: one sentence each, for the log.
    pub warnings: Vec<String>,
    /// Every file that was read, this one first: a change in any of them is a reason to reload.
    pub files: Vec<PathBuf>,
}

/// `tls_server_config`.
#[derive(Clone, Debug)]
pub struct TlsSettings {
    /// The server's certificate first, then its chain: at least one.
    pub certificates: Vec<CertificateDer<'static>>,
    /// PEM of exactly one private key. Whether it fits the certificate has not been checked.
    pub key: Secret,
    /// The file of the certificate, for messages; `None` if it is inline.
    pub certificate_file: Option<PathBuf>,
    /// What clients must show.
    pub client_auth: ClientAuth,
    /// Who may sign client certificates: at least one if `client_auth` verifies, else none.
    pub client_ca: Vec<CertificateDer<'static>>,
    /// The client's certificate must carry one of these SANs, compared byte by byte: a DNS name, an e-mail address, an
    /// IP address in its canonical text, or a URI. `None` if any will do; never empty.
    pub client_allowed_sans: Option<Vec<String>>,
    /// Oldest version.
    pub min_version: TlsVersion,
    /// Newest version.
    pub max_version: TlsVersion,
    /// Suites for TLS 1.2 in order of preference; empty means the library's own. Those of TLS 1.3 cannot be configured,
    /// as in the original.
    pub cipher_suites: Vec<CipherSuite>,
    /// Whether the order of `cipher_suites` counts more than the client's.
    pub prefer_server_cipher_suites: bool,
    /// Groups for the key exchange in order of preference; empty means the library's own.
    pub curves: Vec<Curve>,
}

/// `client_auth_type`, by the names of Go's `crypto/tls`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ClientAuth {
    /// `NoClientCert`: none is asked for.
    #[default]
    None,
    /// `RequestClientCert`: asked for, not required, not verified.
    Request,
    /// `RequireAnyClientCert`: required, not verified.
    RequireAny,
    /// `VerifyClientCertIfGiven`: not required, verified if there is one.
    VerifyIfGiven,
    /// `RequireAndVerifyClientCert`.
    RequireAndVerify,
}

impl ClientAuth {
    /// Whether a certificate that came through proves who the client is.
    pub const fn verifies(self) -> bool {
        matches!(self, Self::VerifyIfGiven | Self::RequireAndVerify)
    }

    /// Whether nobody gets in without a certificate of a trusted CA.
    pub const fn admits_verified_only(self) -> bool {
        matches!(self, Self::RequireAndVerify)
    }
}

/// What our TLS library speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// TLS 1.2
    Tls12,
    /// TLS 1.3
    Tls13,
}

/// The suites of TLS 1.2 that our TLS library speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CipherSuite {
    /// `TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256`
    EcdsaAes128,
    /// `TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384`
    EcdsaAes256,
    /// `TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256`
    EcdsaChaCha20,
    /// `TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256`
    RsaAes128,
    /// `TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384`
    RsaAes256,
    /// `TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256`
    RsaChaCha20,
}

/// The groups of the schema that our TLS library speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Curve {
    /// `X25519`
    X25519,
    /// `CurveP256`
    P256,
    /// `CurveP384`
    P384,
}

/// `http_server_config`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpSettings {
    /// Whether HTTP/2 is offered; only with TLS.
    pub http2: bool,
    /// Added to every answer.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self { http2: true, headers: Vec::new() }
    }
}

/// `basic_auth_users`: at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BasicUsers(pub Vec<BasicUser>);

/// One user and the bcrypt hash of the password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BasicUser {
    /// Without colon and control characters; unique.
    pub name: String,
    /// A well-formed bcrypt hash of bounded cost.
    pub hash: Secret,
}

/// `rate_limit`: a token bucket over all requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// A token comes back after this time; above zero.
    pub interval: Duration,
    /// Size of the bucket; at least 1.
    pub burst: u32,
}

/// All that is wrong with a file: one sentence each.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct WebConfigError(pub Vec<String>);

#[cfg(test)]
mod tests;
