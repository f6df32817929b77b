//! Public keys in PEM.

use jsonwebtoken::DecodingKey;
use rustls_pki_types::pem::{PemObject as _, SectionKind};

use super::{Algorithm, VerifyingKey};

/// The one public key in `bytes` (`-----BEGIN PUBLIC KEY-----`).
///
/// # Errors
/// Continues a sentence that begins with the name of the key.
pub fn from_pem(algorithm: Algorithm, kid: Option<String>, bytes: &[u8]) -> Result<VerifyingKey, String> {
    if algorithm.is_symmetric() {
        return Err(format!("is to be a public key, and {} needs a shared secret", algorithm.name()));
    }
    let mut sections = <(SectionKind, Vec<u8>)>::pem_slice_iter(bytes);
    let found = match (sections.next(), sections.next()) {
        (Some(Ok((section, _))), None) => section,
        (None, _) => return Err("is not PEM; write it with -----BEGIN PUBLIC KEY-----".to_owned()),
        (Some(Ok(_)), Some(_)) => return Err("holds more than one PEM section; keep the public key alone".to_owned()),
        (Some(Err(_)), _) => return Err("is broken PEM".to_owned()),
    };
    match found {
        SectionKind::PublicKey => {}
        SectionKind::PrivateKey | SectionKind::RsaPrivateKey | SectionKind::EcPrivateKey => {
            return Err(
                "is a private key, which has no place here: make its public half with openssl pkey -pubout".to_owned()
            );
        }
        _ => return Err("is PEM of something else; write it with -----BEGIN PUBLIC KEY-----".to_owned()),
    }
    let key = match algorithm {
        Algorithm::Rs256 | Algorithm::Ps256 => DecodingKey::from_rsa_pem(bytes),
        Algorithm::Es256 | Algorithm::Es384 => DecodingKey::from_ec_pem(bytes),
        _ => DecodingKey::from_ed_pem(bytes),
    };
    let key = key.map_err(|_| format!("is not a public key for {}", algorithm.name()))?;
    let encoded = key.try_get_as_bytes().map_err(|_| "is in an encoding that cannot be used".to_owned())?.to_vec();
    VerifyingKey::from_public(algorithm, kid, key, &encoded)
}
