//! Settings of the web configuration file → what a handshake needs, checked before anybody connects.
//!
//! | module | owns |
//! |---|---|
//! | [`algorithms`] | versions, suites and groups by name → those of the library |
//! | [`clients`] | the five kinds of client authentication |
//! | [`sans`] | names in a certificate; whether one of them is allowed |
//! | [`certificate`] | what we read in a certificate: names, validity, fingerprint |
//! | [`expiry`] | the end of our own certificate, to be exported and warned of |
//!
//! Each [`Tls`] has its own store of sessions, so a session can only be resumed under the settings under which it was
//! made: after a reload everybody shakes hands anew, and shows a certificate that holds under the new rules.
//!
//! Opens no socket, reads no file and no environment. The cryptography is always aws-lc-rs, named explicitly: a
//! process-wide default is neither set nor used.

mod algorithms;
mod certificate;
mod clients;
mod expiry;
mod sans;

use std::{path::PathBuf, sync::Arc};

use rustls::{ServerConfig, server::NoServerSessionStorage};
use rustls_pki_types::{PrivateKeyDer, pem::PemObject as _};

pub use self::{
    certificate::{Unreadable, read as read_certificate},
    expiry::{Expiry, WARN_BEFORE, warning as expiry_warning},
};
use super::web_config::TlsSettings;

/// Protocols in order of preference, as ALPN calls them.
const H2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";

/// Ready to shake hands.
#[derive(Clone, Debug)]
pub struct Tls {
    pub(super) config: Arc<ServerConfig>,
    /// Whether a client certificate that came through proves who the client is.
    pub(super) verifies: bool,
    /// End of the first certificate that expires: ours or one of its chain, in seconds since the epoch.
    pub not_after: i64,
    settings: Arc<TlsSettings>,
    http2: bool,
}

/// Why settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Not exactly one private key in PEM.
    #[error(
        "the private key of {certificate} is not PEM of a private key ({source}); write it unencrypted, as PKCS#8, PKCS#1 or SEC1"
    )]
    Key {
        /// Which certificate's.
        certificate: Origin,
        /// What is wrong with it.
        source: rustls_pki_types::pem::Error,
    },
    /// The key is another one's, or of a kind that the library lacks.
    #[error("{certificate} and its private key cannot be used together: {source}; check that both are of one pair")]
    Pair {
        /// Which certificate.
        certificate: Origin,
        /// What is wrong.
        source: rustls::Error,
    },
    /// Not a certificate.
    #[error("{certificate} cannot be read as an X.509 certificate: {source}")]
    Certificate {
        /// Where it is.
        certificate: Origin,
        /// What is wrong.
        source: Unreadable,
    },
    /// A client CA that nobody can be verified with.
    #[error("client_ca cannot be used: {0}")]
    ClientCa(String),
    /// A combination that can never agree with any client.
    #[error(
        "tls_server_config leaves nothing to agree on: {0}; allow TLS 1.3, or a suite and a curve that fit the key"
    )]
    Nothing(rustls::Error),
}

/// Where the server's certificate comes from, for messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(Option<PathBuf>);

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Some(path) => write!(f, "the certificate in {}", path.display()),
            None => f.write_str("the inline certificate"),
        }
    }
}

impl Tls {
    /// Checks that `settings` fit together. With `http2`, HTTP/2 is offered, too.
    ///
    /// # Errors
    /// What does not fit, in one sentence.
    pub fn new(settings: &TlsSettings, http2: bool) -> Result<Self, TlsError> {
        let origin = || Origin(settings.certificate_file.clone());
        let mut not_after = i64::MAX;
        for one in &settings.certificates {
            let read =
                certificate::validity(one).map_err(|source| TlsError::Certificate { certificate: origin(), source })?;
            not_after = not_after.min(read);
        }
        let key = PrivateKeyDer::from_pem_slice(settings.key.expose())
            .map_err(|source| TlsError::Key { certificate: origin(), source })?;
        let provider = Arc::new(algorithms::provider(settings));
        let verifier = clients::verifier(settings, &provider)?;
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&algorithms::versions(settings))
            .map_err(TlsError::Nothing)?
            .with_client_cert_verifier(verifier)
            .with_single_cert(settings.certificates.clone(), key)
            .map_err(|source| TlsError::Pair { certificate: origin(), source })?;
        config.ignore_client_order = settings.prefer_server_cipher_suites && !settings.cipher_suites.is_empty();
        config.alpn_protocols = if http2 { vec![H2.into(), HTTP1.into()] } else { vec![HTTP1.into()] };
        if !settings.client_auth.verifies() && settings.client_auth != super::web_config::ClientAuth::None {
            // A resumed session would hand out a certificate whose owner was not asked again.
            config.session_storage = Arc::new(NoServerSessionStorage {});
        }
        Ok(Self {
            config: Arc::new(config),
            verifies: settings.client_auth.verifies(),
            not_after,
            settings: Arc::new(settings.clone()),
            http2,
        })
    }

    /// Whether nobody gets in without a certificate of a trusted CA.
    pub fn admits_verified_only(&self) -> bool {
        self.settings.client_auth.admits_verified_only()
    }

    /// Whether these settings would make the same again: then sessions and connections can go on.
    pub fn is_of(&self, settings: &TlsSettings, http2: bool) -> bool {
        // Taken apart, so that nobody adds a setting and forgets it here.
        let TlsSettings {
            certificates,
            key,
            certificate_file: _,
            client_auth,
            client_ca,
            client_allowed_sans,
            min_version,
            max_version,
            cipher_suites,
            prefer_server_cipher_suites,
            curves,
        } = settings;
        let own = &*self.settings;
        self.http2 == http2
            && own.certificates == *certificates
            && own.key == *key
            && own.client_auth == *client_auth
            && own.client_ca == *client_ca
            && own.client_allowed_sans == *client_allowed_sans
            && own.min_version == *min_version
            && own.max_version == *max_version
            && own.cipher_suites == *cipher_suites
            && own.prefer_server_cipher_suites == *prefer_server_cipher_suites
            && own.curves == *curves
    }
}

/// Whether `protocol`, as agreed by ALPN, is HTTP/2.
pub(super) fn is_http2(protocol: Option<&[u8]>) -> bool {
    protocol == Some(H2)
}
