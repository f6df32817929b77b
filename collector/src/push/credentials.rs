//! Files → how the receiver is known and how it knows us. Everything is checked before it is used.
//!
//! The files are read together, and again whenever they may have changed; secrets must be their owner's alone, as those of the web
//! server.

use std::{fmt, path::Path, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use ureq::{
    http::HeaderValue,
    tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig, TlsProvider},
};
use zeroize::Zeroizing;

use crate::{
    config::Push,
    export::{read_open, read_private, secret::Secret},
};

/// How often files that change while they are read are read anew.
const ATTEMPTS: u32 = 5;

/// Reads a file that is something (for messages) in its own way.
type Reading = fn(&str, &Path) -> Result<Zeroizing<Vec<u8>>, String>;

/// The files' contents, as they were at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Files {
    ca: Option<Secret>,
    certificate: Option<Secret>,
    key: Option<Secret>,
    password: Option<Secret>,
    token: Option<Secret>,
}

/// What requests are made with.
pub(super) struct Credentials {
    pub(super) tls: TlsConfig,
    /// Value of the header `Authorization`.
    pub(super) authorization: Option<HeaderValue>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

impl Files {
    /// Reads all files that `push` names, until two looks show the same.
    ///
    /// # Errors
    /// Everything that cannot be read, a sentence each.
    pub(super) fn read(push: &Push) -> Result<Self, Vec<String>> {
        let mut before = Self::once(push)?;
        for _ in 1..ATTEMPTS {
            let now = Self::once(push)?;
            if now == before {
                break;
            }
            before = now;
        }
        Ok(before)
    }

    fn once(push: &Push) -> Result<Self, Vec<String>> {
        let mut problems = Vec::new();
        let mut one = |what, path: &Option<_>, read: Reading| {
            let path: &std::path::PathBuf = path.as_ref()?;
            match read(what, path) {
                Ok(bytes) => Some(Secret::new(bytes.as_slice())),
                Err(problem) => {
                    problems.push(problem);
                    None
                }
            }
        };
        let files = Self {
            ca: one("push.ca_file", &push.ca_file, read_certificates),
            certificate: one("push.certificate_file", &push.certificate_file, read_certificates),
            key: one("push.key_file", &push.key_file, read_private),
            password: one("push.password_file", &push.password_file, read_private),
            token: one("push.bearer_token_file", &push.bearer_token_file, read_private),
        };
        if problems.is_empty() { Ok(files) } else { Err(problems) }
    }
}

/// Files with certificates are public, and short.
const MOST_BYTES: usize = 1 << 20;

fn read_certificates(what: &str, path: &std::path::Path) -> Result<Zeroizing<Vec<u8>>, String> {
    read_open(what, path, MOST_BYTES)
}

impl Credentials {
    /// What `files`, which `push` names, amount to.
    ///
    /// # Errors
    /// Everything that is wrong with them, a sentence each. No secret is in it.
    pub(super) fn new(push: &Push, files: &Files) -> Result<Self, Vec<String>> {
        let mut problems = Vec::new();
        let roots = roots(push, files).map_err(|problem| problems.push(problem)).ok();
        let client = client(push, files).map_err(|problem| problems.push(problem)).ok();
        let authorization = authorization(push, files).map_err(|problem| problems.push(problem)).ok();
        let (Some(roots), Some(client), Some(authorization)) = (roots, client, authorization) else {
            return Err(problems);
        };
        let tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .unversioned_rustls_crypto_provider(Arc::new(aws_lc_rs::default_provider()))
            .root_certs(roots)
            .client_cert(client)
            .build();
        Ok(Self { tls, authorization })
    }
}

fn shown(path: Option<&Path>) -> String {
    path.unwrap_or(Path::new("")).display().to_string()
}

fn certificates(what: &str, path: Option<&Path>, pem: &Secret) -> Result<Vec<CertificateDer<'static>>, String> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.expose()).collect();
    match read {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(format!(
            "{what} {} has no certificate in PEM; write one that begins with BEGIN CERTIFICATE",
            shown(path)
        )),
        Err(error) => Err(format!("{what} {} is not PEM: {error}", shown(path))),
    }
}

fn roots(push: &Push, files: &Files) -> Result<RootCerts, String> {
    let Some(pem) = &files.ca else { return Ok(RootCerts::PlatformVerifier) };
    let path = push.ca_file.as_deref();
    let certificates = certificates("push.ca_file", path, pem)?;
    let mut store = RootCertStore::empty();
    for certificate in &certificates {
        store.add(certificate.clone()).map_err(|error| {
            format!("push.ca_file {} has a certificate with which nothing can be verified: {error}", shown(path))
        })?;
    }
    let certificates: Vec<_> = certificates.iter().map(|der| Certificate::from_der(der).to_owned()).collect();
    Ok(RootCerts::new_with_certs(&certificates))
}

fn client(push: &Push, files: &Files) -> Result<Option<ClientCert>, String> {
    let (Some(pem), Some(key_pem)) = (&files.certificate, &files.key) else { return Ok(None) };
    let chain = certificates("push.certificate_file", push.certificate_file.as_deref(), pem)?;
    let not_a_key = |error: &dyn fmt::Display| {
        let path = shown(push.key_file.as_deref());
        format!(
            "push.key_file {path} is not PEM of a private key ({error}); write it unencrypted, as PKCS#8, PKCS#1 or SEC1"
        )
    };
    let key = PrivateKeyDer::from_pem_slice(key_pem.expose()).map_err(|error| not_a_key(&error))?;
    ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map(|builder| builder.with_root_certificates(RootCertStore::empty()))
        .and_then(|builder| builder.with_client_auth_cert(chain.clone(), key))
        .map_err(|error| {
            let path = shown(push.certificate_file.as_deref());
            format!("push.certificate_file {path} and push.key_file cannot be used together: {error}; check that both are of one pair")
        })?;
    let chain: Vec<_> = chain.iter().map(|der| Certificate::from_der(der).to_owned()).collect();
    let key = PrivateKey::from_pem(key_pem.expose()).map_err(|error| not_a_key(&error))?;
    Ok(Some(ClientCert::new_with_certs(&chain, key)))
}

fn authorization(push: &Push, files: &Files) -> Result<Option<HeaderValue>, String> {
    let text = if let Some(token) = &files.token {
        let token = token.expose().trim_ascii();
        // The characters of RFC 6750, section 2.1.
        let fine = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(byte);
        if token.is_empty() || !token.iter().all(fine) {
            let path = shown(push.bearer_token_file.as_deref());
            return Err(format!(
                "push.bearer_token_file {path} does not hold a token: letters, digits and any of - . _ ~ + / ="
            ));
        }
        Zeroizing::new([b"Bearer ", token].concat())
    } else if let (Some(user), Some(password)) = (&push.username, &files.password) {
        let password = password.expose();
        let password = password.strip_suffix(b"\n").unwrap_or(password);
        let password = password.strip_suffix(b"\r").unwrap_or(password);
        if password.is_empty() {
            return Err(format!(
                "push.password_file {} is empty; write the password to it",
                shown(push.password_file.as_deref())
            ));
        }
        let plain = Zeroizing::new([user.as_bytes(), b":", password].concat());
        Zeroizing::new(["Basic ", &STANDARD.encode(&*plain)].concat().into_bytes())
    } else {
        return Ok(None);
    };
    let mut value =
        HeaderValue::from_bytes(&text).map_err(|error| format!("the credentials fit into no header: {error}"))?;
    value.set_sensitive(true);
    Ok(Some(value))
}

#[cfg(test)]
mod tests;
