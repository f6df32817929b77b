//! Whom we believe to be the host, and what its certificate said even if we do not.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        Resumption, WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::aws_lc_rs::default_provider,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject as _};

use super::{super::FleetError, AskFlags, Certificate};
use crate::export::{read_credential, read_open, shown, tls::read_certificate};

/// A whole system's authorities fit ten times.
const MOST_CA_BYTES: usize = 4 * 1024 * 1024;

/// What every connection begins with.
pub(super) struct Trust {
    config: ClientConfig,
    verifier: Arc<WebPkiServerVerifier>,
}

/// The certificate that one host has shown.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen(Arc<Mutex<Option<Certificate>>>);

impl Seen {
    pub(super) fn certificate(&self) -> Option<Certificate> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Trust {
    /// Reads the files that `flags` name.
    ///
    /// # Errors
    /// One sentence.
    pub(super) fn new(flags: &AskFlags) -> Result<Self, FleetError> {
        let roots = Arc::new(match &flags.ca {
            Some(path) => of_file(path)?,
            None => of_system()?,
        });
        let provider = Arc::new(default_provider());
        let unusable = |error: &dyn std::fmt::Display| FleetError::Input(format!("TLS cannot be set up: {error}"));
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider))
            .build()
            .map_err(|error| unusable(&error))?;
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(&error))?
            .with_root_certificates(roots);
        let mut config = match (&flags.cert, &flags.key) {
            (Some(cert), Some(key)) => {
                let bytes = read_open("the client certificate", cert, MOST_CA_BYTES).map_err(FleetError::Input)?;
                let chain = certificates(&bytes)
                    .ok_or_else(|| FleetError::Input(format!("{} holds no certificate in PEM", shown(cert))))?;
                let secret = read_credential("the client's key", key).map_err(FleetError::Input)?;
                let wrong = |error: &dyn std::fmt::Display| {
                    let (key, cert) = (shown(key), shown(cert));
                    FleetError::Input(format!("{key} is not the private key in PEM of {cert} ({error})"))
                };
                let secret = PrivateKeyDer::from_pem_slice(&secret).map_err(|error| wrong(&error))?;
                builder.with_client_auth_cert(chain, secret).map_err(|error| wrong(&error))?
            }
            (None, None) => builder.with_no_client_auth(),
            _ => return Err(FleetError::Usage("--cert and --key go together; give both".into())),
        };
        // Each host shows its certificate anew.
        config.resumption = Resumption::disabled();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { config, verifier })
    }

    /// For one connection, and what it will have shown.
    pub(super) fn connection(&self) -> (Arc<ClientConfig>, Seen) {
        let seen = Seen::default();
        let mut config = self.config.clone();
        let witness = Witness { verifier: Arc::clone(&self.verifier), seen: seen.clone() };
        // Not dangerous: the witness says what the library's verifier says.
        config.dangerous().set_certificate_verifier(Arc::new(witness));
        (Arc::new(config), seen)
    }
}

fn of_file(path: &std::path::Path) -> Result<RootCertStore, FleetError> {
    let bytes = read_open("the CA", path, MOST_CA_BYTES).map_err(FleetError::Input)?;
    let unusable = || FleetError::Input(format!("{} holds no certificate of a CA in PEM", shown(path)));
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&bytes).ok_or_else(unusable)? {
        roots.add(certificate).map_err(|_| unusable())?;
    }
    Ok(roots)
}

/// Those that this system trusts; one that cannot be read is left out, as others do.
fn of_system() -> Result<RootCertStore, FleetError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(FleetError::Input("this system trusts no CA; name that of the hosts with --ca".into()));
    }
    Ok(roots)
}

/// All of them, if there is at least one and each is one.
fn certificates(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let all: Vec<_> = CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().ok()?;
    Some(all).filter(|all| !all.is_empty())
}

/// Asks the library, and writes down what it was asked about.
#[derive(Debug)]
struct Witness {
    verifier: Arc<WebPkiServerVerifier>,
    seen: Seen,
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verdict = self.verifier.verify_server_cert(certificate, intermediates, name, ocsp, now);
        let not_after = read_certificate(certificate).ok().map(|read| read.not_after);
        let problem = verdict.as_ref().err().map(problem);
        let found = Certificate { not_after, problem };
        *self.seen.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(found);
        verdict
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

/// In our own words: the library's repeat names from the certificate, which are the host's.
fn problem(error: &Error) -> &'static str {
    let Error::InvalidCertificate(flaw) = error else { return "cannot be verified" };
    match flaw {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "has expired",
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => "is not valid yet",
        CertificateError::UnknownIssuer => "is of a CA that is not trusted here",
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => "is for another name",
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => "is not for servers",
        CertificateError::BadEncoding => "is not encoded as a certificate",
        CertificateError::BadSignature => "has a wrong signature",
        _ => "cannot be verified",
    }
}
