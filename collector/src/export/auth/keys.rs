//! Files with keys → keys that verify tokens, each for one algorithm.
//!
//! A key that could be mistaken for another kind is refused when it is read, not when a token comes: PEM as a shared
//! secret, a private key where the public half belongs, a curve that is not the algorithm's.

mod jwks;
mod pem;

use std::fmt;

use aws_lc_rs::{
    digest, rsa,
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
        RSA_PSS_2048_8192_SHA256, RsaPublicKeyComponents, VerificationAlgorithm,
    },
};
use jsonwebtoken::{DecodingKey, crypto};

pub use self::{jwks::from_jwks, pem::from_pem};

/// RFC 7518, section 3.2 asks for as much as HS256's hash has.
const LEAST_SECRET: usize = 32;
/// RFC 7518, section 3.3 asks for 2048; beyond 8192, checking a signature becomes an attack.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// How tokens are signed. `none` is not among them, nor is anything that is no longer advised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// HMAC with SHA-256.
    Hs256,
    /// HMAC with SHA-384.
    Hs384,
    /// HMAC with SHA-512.
    Hs512,
    /// RSA PKCS#1 v1.5 with SHA-256.
    Rs256,
    /// RSA PSS with SHA-256.
    Ps256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// All there are, the advised one first.
    pub const ALL: [Self; 8] =
        [Self::EdDsa, Self::Es256, Self::Es384, Self::Ps256, Self::Rs256, Self::Hs256, Self::Hs384, Self::Hs512];

    /// As headers spell it (RFC 7518, section 3.1; RFC 8037, section 3.1).
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Hs384 => "HS384",
            Self::Hs512 => "HS512",
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
        }
    }

    /// The algorithm of exactly that name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }

    /// Whether whoever verifies could also sign.
    pub const fn is_symmetric(self) -> bool {
        matches!(self, Self::Hs256 | Self::Hs384 | Self::Hs512)
    }

    /// As the library calls it.
    pub const fn of_library(self) -> jsonwebtoken::Algorithm {
        match self {
            Self::Hs256 => jsonwebtoken::Algorithm::HS256,
            Self::Hs384 => jsonwebtoken::Algorithm::HS384,
            Self::Hs512 => jsonwebtoken::Algorithm::HS512,
            Self::Rs256 => jsonwebtoken::Algorithm::RS256,
            Self::Ps256 => jsonwebtoken::Algorithm::PS256,
            Self::Es256 => jsonwebtoken::Algorithm::ES256,
            Self::Es384 => jsonwebtoken::Algorithm::ES384,
            Self::EdDsa => jsonwebtoken::Algorithm::EdDSA,
        }
    }
}

/// One key and the one algorithm that it is for.
#[derive(Clone)]
pub struct VerifyingKey {
    kid: Option<String>,
    algorithm: Algorithm,
    key: DecodingKey,
    fingerprint: [u8; 32],
}

impl VerifyingKey {
    /// A shared secret: exactly these bytes. For those of a file, ask [`secret_of_file`] first.
    ///
    /// # Errors
    /// Continues a sentence that begins with the name of the key.
    pub fn from_secret(algorithm: Algorithm, kid: Option<String>, secret: &[u8]) -> Result<Self, String> {
        if secret.trim_ascii_start().starts_with(b"-----BEGIN") {
            return Err(format!(
                "is PEM, and {} needs a shared secret: anybody who has the public key could sign",
                algorithm.name()
            ));
        }
        if secret.len() < LEAST_SECRET {
            return Err(format!("has {} bytes, and a shared secret needs at least {LEAST_SECRET}", secret.len()));
        }
        Ok(Self::new(algorithm, kid, DecodingKey::from_secret(secret), secret))
    }

    /// A public key, in the encoding of the library.
    fn from_public(algorithm: Algorithm, kid: Option<String>, key: DecodingKey, bytes: &[u8]) -> Result<Self, String> {
        let verification: &'static dyn VerificationAlgorithm = match algorithm {
            Algorithm::Rs256 => &RSA_PKCS1_2048_8192_SHA256,
            Algorithm::Ps256 => &RSA_PSS_2048_8192_SHA256,
            Algorithm::Es256 => &ECDSA_P256_SHA256_FIXED,
            Algorithm::Es384 => &ECDSA_P384_SHA384_FIXED,
            Algorithm::EdDsa => &ED25519,
            Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512 => {
                return Err(format!("is a public key, and {} needs a shared secret", algorithm.name()));
            }
        };
        // The library asks for the size only when a signature comes.
        let is_rsa = matches!(algorithm, Algorithm::Rs256 | Algorithm::Ps256);
        if ParsedPublicKey::new(verification, bytes).is_err()
            || is_rsa && !rsa_bits(bytes).is_some_and(|bits| RSA_BITS.contains(&bits))
        {
            let wanted = match algorithm {
                Algorithm::Rs256 | Algorithm::Ps256 => "RSA key of 2048 to 8192 bits",
                Algorithm::Es256 => "point on the curve P-256",
                Algorithm::Es384 => "point on the curve P-384",
                _ => "Ed25519 key",
            };
            return Err(format!("is not the {wanted} that {} needs", algorithm.name()));
        }
        Ok(Self::new(algorithm, kid, key, bytes))
    }

    fn new(algorithm: Algorithm, kid: Option<String>, key: DecodingKey, bytes: &[u8]) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(algorithm.name().as_bytes());
        context.update(bytes);
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(context.finish().as_ref());
        Self { kid, algorithm, key, fingerprint }
    }

    /// The name by which tokens ask for it.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The only algorithm for which it may be used.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Digest of algorithm and key; stays the same whatever the key is called.
    pub const fn fingerprint(&self) -> &[u8; 32] {
        &self.fingerprint
    }

    /// Whether `signature`, in base64url, is this key's under `message`.
    pub fn verifies(&self, message: &[u8], signature: &str) -> bool {
        crypto::verify(signature, message, &self.key, self.algorithm.of_library()).unwrap_or(false)
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyingKey")
            .field("kid", &self.kid)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

/// The shared secret in a file. A newline behind a line of text is an editor's; a byte of a binary secret that happens
/// to have its value is not.
pub fn secret_of_file(bytes: &[u8]) -> &[u8] {
    let line = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.iter().all(|byte| (b' '..=b'~').contains(byte)) { line } else { bytes }
}

/// The size of the modulus of an RSA key in DER.
fn rsa_bits(der: &[u8]) -> Option<usize> {
    let key = rsa::PublicKey::from_der(der).ok()?;
    let modulus = RsaPublicKeyComponents::<Vec<u8>>::from(&key).n;
    let first = modulus.iter().position(|byte| *byte != 0)?;
    Some(8 * (modulus.len() - first) - modulus[first].leading_zeros() as usize)
}

#[cfg(test)]
mod tests;
