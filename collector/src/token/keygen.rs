//! New keys, and the lines that configure them.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use aws_lc_rs::{
    encoding::{AsDer as _, Pkcs8V1Der, PublicKeyX509Der},
    error::Unspecified,
    rand, rsa,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
    },
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use zeroize::Zeroizing;

use super::{
    KeygenFlags, TokenError, check_name,
    place::{Owner, Present, put},
};
use crate::export::auth::keys::{Algorithm, VerifyingKey, from_pem, secret_of_file};

/// What both halves look like in a file.
struct Halves {
    private: Zeroizing<String>,
    /// None of a shared secret.
    public: Option<String>,
}

pub(super) fn run(flags: &KeygenFlags) -> Result<String, TokenError> {
    let owner = flags.owner.as_deref().map(Owner::parse).transpose()?;
    if let Some(kid) = &flags.kid {
        check_name("--kid", kid)?;
    }
    if flags.algorithm.is_symmetric() && flags.public.is_some() {
        return Err(TokenError::Usage(format!(
            "--public: {} has one secret and no public half",
            flags.algorithm.name()
        )));
    }
    let public_path = flags.public.clone().unwrap_or_else(|| with_pub(&flags.private));
    if !flags.algorithm.is_symmetric() && (public_path == flags.private || public_path.exists()) {
        return Err(TokenError::File(format!("{} exists already, and is kept", public_path.display())));
    }
    let halves = make(flags.algorithm)
        .map_err(|_| TokenError::File("the system yields no random numbers to make a key of".to_owned()))?;
    let kid = flags.kid.clone().map_or_else(|| name(flags.algorithm, &halves), Ok)?;
    put(&flags.private, halves.private.as_bytes(), 0o600, owner, Present::Kept)?;
    let shown = match &halves.public {
        Some(public) => {
            put(&public_path, public.as_bytes(), 0o644, owner, Present::Kept)?;
            &public_path
        }
        None => &flags.private,
    };
    Ok(explain(flags, &kid, shown))
}

/// What to do now.
fn explain(flags: &KeygenFlags, kid: &str, shown: &Path) -> String {
    let mut text = String::new();
    let absolute = std::path::absolute(shown).unwrap_or_else(|_| shown.to_owned());
    let file = absolute.display().to_string();
    let private = flags.private.display();
    // Writing to a text cannot fail.
    let _ = write!(
        text,
        "# Signs tokens; keep it where tokens are minted: {private}\n\
         # In the authentication file of each host (--web.auth-file), beside jwt.issuers and jwt.audiences:\n{}",
        lines(kid, flags.algorithm, &file),
    );
    if flags.algorithm.is_symmetric() {
        text.push_str("# Every host that has this secret can sign tokens for all others; EdDSA spares you that.\n");
    }
    text
}

/// A key in an authentication file.
pub(crate) fn lines(kid: &str, algorithm: Algorithm, file: &str) -> String {
    format!("[[jwt.keys]]\nkid = {}\nalgorithm = \"{}\"\nfile = {}\n", quoted(kid), algorithm.name(), quoted(file))
}

/// As TOML writes text.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            letter if letter.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(letter));
            }
            letter => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

/// Where the public half is, unless it was told.
pub(crate) fn with_pub(private: &Path) -> PathBuf {
    private.with_added_extension("pub")
}

/// The beginning of the digest that a host computes of this key.
fn name(algorithm: Algorithm, halves: &Halves) -> Result<String, TokenError> {
    let key = match &halves.public {
        Some(public) => from_pem(algorithm, None, public.as_bytes()),
        None => VerifyingKey::from_secret(algorithm, None, secret_of_file(halves.private.as_bytes())),
    };
    let key = key.map_err(|flaw| TokenError::File(format!("the new key {flaw}")))?;
    Ok(key.fingerprint().iter().take(8).fold(String::new(), |mut name, byte| {
        let _ = write!(name, "{byte:02x}");
        name
    }))
}

fn make(algorithm: Algorithm) -> Result<Halves, Unspecified> {
    let (private, public) = match algorithm {
        Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512 => return secret(),
        Algorithm::EdDsa => {
            let pair = Ed25519KeyPair::generate()?;
            (pair.to_pkcs8v1()?.as_ref().to_vec(), pair.public_key().as_der()?.as_ref().to_vec())
        }
        Algorithm::Es256 | Algorithm::Es384 => {
            let kind = if algorithm == Algorithm::Es256 {
                &ECDSA_P256_SHA256_FIXED_SIGNING
            } else {
                &ECDSA_P384_SHA384_FIXED_SIGNING
            };
            let pair = EcdsaKeyPair::generate(kind)?;
            let public: PublicKeyX509Der<'_> = pair.public_key().as_der()?;
            (pair.to_pkcs8v1()?.as_ref().to_vec(), public.as_ref().to_vec())
        }
        Algorithm::Rs256 | Algorithm::Ps256 => {
            let pair = rsa::KeyPair::generate(KeySize::Rsa3072)?;
            let private: Pkcs8V1Der<'_> = pair.as_der()?;
            let public: PublicKeyX509Der<'_> = pair.public_key().as_der()?;
            (private.as_ref().to_vec(), public.as_ref().to_vec())
        }
    };
    let private = Zeroizing::new(private);
    Ok(Halves { private: Zeroizing::new(pem("PRIVATE KEY", &private)), public: Some(pem("PUBLIC KEY", &public)) })
}

/// 64 random bytes as text, so that an editor cannot spoil them.
fn secret() -> Result<Halves, Unspecified> {
    let mut bytes = Zeroizing::new([0; 64]);
    rand::fill(bytes.as_mut())?;
    let mut text = Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes.as_ref()));
    text.push('\n');
    Ok(Halves { private: text, public: None })
}

/// RFC 7468: base64 in lines of 64 letters.
fn pem(label: &str, der: &[u8]) -> String {
    let encoded = Zeroizing::new(STANDARD.encode(der));
    let mut text = format!("-----BEGIN {label}-----\n");
    for (at, letter) in encoded.chars().enumerate() {
        if at > 0 && at % 64 == 0 {
            text.push('\n');
        }
        text.push(letter);
    }
    text + "\n-----END " + label + "-----\n"
}
