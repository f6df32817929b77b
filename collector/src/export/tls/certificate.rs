//! What we read in a certificate: names, validity, fingerprint. Pure.

use std::time::{Duration, SystemTime};

use aws_lc_rs::digest::{SHA256, digest};
use x509_parser::{certificate::X509Certificate, prelude::FromDer as _};

use super::{super::auth::VerifiedCertificate, sans};

/// What is wrong with a certificate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// The encoding.
    #[error("not DER of an X.509 certificate ({0})")]
    Encoding(String),
    /// Something follows it.
    #[error("{0} bytes follow the certificate")]
    Rest(usize),
}

/// What a certificate says that TLS has verified.
///
/// # Errors
/// It is not a certificate. TLS would not have let it through, so this is for callers that have not asked it.
pub fn read(der: &[u8]) -> Result<VerifiedCertificate, Unreadable> {
    let certificate = parse(der)?;
    let mut fingerprint = [0; 32];
    fingerprint.copy_from_slice(digest(&SHA256, der).as_ref());
    let seconds = certificate.validity().not_after.timestamp();
    // A moment before the epoch is as much in the past as the epoch itself.
    let since_epoch = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    Ok(VerifiedCertificate {
        sans: sans::of(&certificate).iter().map(ToString::to_string).collect(),
        subject: certificate.subject().to_string(),
        fingerprint,
        not_after: SystemTime::UNIX_EPOCH.checked_add(since_epoch).unwrap_or(SystemTime::UNIX_EPOCH),
    })
}

/// The end of the validity, in seconds since the epoch.
pub(super) fn validity(der: &[u8]) -> Result<i64, Unreadable> {
    Ok(parse(der)?.validity().not_after.timestamp())
}

pub(super) fn parse(der: &[u8]) -> Result<X509Certificate<'_>, Unreadable> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        Ok((rest, _)) => Err(Unreadable::Rest(rest.len())),
        Err(error) => Err(Unreadable::Encoding(error.to_string())),
    }
}
