//! Signs anything, however wrong.

use std::error::Error;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{EncodingKey, crypto};
use rcgen::{KeyPair, RsaKeySize};
use serde_json::Value;

use crate::export::auth::keys::{Algorithm, VerifyingKey, from_pem};

pub(super) struct Signer {
    pub(super) algorithm: Algorithm,
    private: EncodingKey,
    /// PEM; empty for a shared secret.
    pub(super) public: String,
    pub(super) key: VerifyingKey,
}

/// A part of a token.
pub(super) fn part(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Signer {
    pub(super) fn new(algorithm: Algorithm, kid: &str) -> Result<Self, Box<dyn Error>> {
        Self::make(algorithm, Some(kid.to_owned()))
    }

    pub(super) fn unnamed(algorithm: Algorithm) -> Result<Self, Box<dyn Error>> {
        Self::make(algorithm, None)
    }

    fn make(algorithm: Algorithm, kid: Option<String>) -> Result<Self, Box<dyn Error>> {
        let pair = match algorithm {
            Algorithm::EdDsa => KeyPair::generate_for(&rcgen::PKCS_ED25519)?,
            Algorithm::Es256 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?,
            Algorithm::Es384 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384)?,
            Algorithm::Rs256 | Algorithm::Ps256 => {
                KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048)?
            }
            Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512 => {
                let mut secret = [0; 64];
                aws_lc_rs::rand::fill(&mut secret)?;
                return Ok(Self {
                    algorithm,
                    private: EncodingKey::from_secret(&secret),
                    public: String::new(),
                    key: VerifyingKey::from_secret(algorithm, kid, &secret)?,
                });
            }
        };
        let (private, public) = (pair.serialize_pem(), pair.public_key_pem());
        let private = match algorithm {
            Algorithm::EdDsa => EncodingKey::from_ed_pem(private.as_bytes())?,
            Algorithm::Rs256 | Algorithm::Ps256 => EncodingKey::from_rsa_pem(private.as_bytes())?,
            _ => EncodingKey::from_ec_pem(private.as_bytes())?,
        };
        let key = from_pem(algorithm, kid, public.as_bytes())?;
        Ok(Self { algorithm, private, public, key })
    }

    /// Signs with HS256 and these bytes, whatever they are.
    pub(super) fn of_secret(secret: &[u8]) -> Result<Self, Box<dyn Error>> {
        let stand_in = VerifyingKey::from_secret(Algorithm::Hs256, None, &[0; 32])?;
        let private = EncodingKey::from_secret(secret);
        Ok(Self { algorithm: Algorithm::Hs256, private, public: String::new(), key: stand_in })
    }

    /// HS256 with the name `k`; always the same.
    pub(super) fn shared() -> &'static Self {
        static SHARED: std::sync::LazyLock<Signer> = std::sync::LazyLock::new(|| {
            let secret = [42; 32];
            let key = VerifyingKey::from_secret(Algorithm::Hs256, Some("k".to_owned()), &secret);
            let Ok(key) = key else { unreachable!("32 bytes suffice") };
            Signer {
                algorithm: Algorithm::Hs256,
                private: EncodingKey::from_secret(&secret),
                public: String::new(),
                key,
            }
        });
        &SHARED
    }

    /// The keys of somebody who trusts this signer alone.
    pub(super) fn only(&self) -> &[VerifyingKey] {
        std::slice::from_ref(&self.key)
    }

    pub(super) fn token(&self, header: &Value, claims: &Value) -> String {
        self.raw(header.to_string().as_bytes(), claims.to_string().as_bytes())
    }

    /// A token of these bytes with a good signature.
    pub(super) fn raw(&self, header: &[u8], claims: &[u8]) -> String {
        let signed = format!("{}.{}", part(header), part(claims));
        let signature = crypto::sign(signed.as_bytes(), &self.private, self.algorithm.of_library()).unwrap_or_default();
        format!("{signed}.{signature}")
    }
}
