//! What is made anew for each host: a certificate that it signs itself, and a password, or a key with a first token.

use std::{
    fs,
    time::{Duration, SystemTime},
};

use aws_lc_rs::rand;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair};
use zeroize::Zeroizing;

use super::{InitError, Way};
use crate::{
    export::auth::keys::Algorithm,
    token::{self, KeygenFlags, MintFlags, TokenCommand},
};

/// A certificate that nobody else has signed is replaced by hand: seldom enough to be done, often enough to be known.
const CERTIFICATE_LIFE: Duration = Duration::from_hours(24 * 365);
/// Clocks of two hosts may differ.
const BEFORE: Duration = Duration::from_hours(1);
/// What `packaging/web/jwt.toml` allows, too.
pub(super) const TOKEN_LIFE: &str = "24h";
/// As hosts and tokens call the key.
pub(super) const KID: &str = "first";
pub(super) const ISSUER: &str = "uidmeter-init";
pub(super) const AUDIENCE: &str = "uidmeter";
/// Who asks.
pub(super) const SUBJECT: &str = "prometheus";
/// Of bcrypt: some 50 ms, once after each start.
const COST: u32 = 10;

/// Everything secret, and what belongs to it.
pub(super) struct Material {
    pub(super) certificate: String,
    pub(super) certificate_key: Zeroizing<String>,
    pub(super) credential: Credential,
}

/// What Prometheus will show.
pub(super) enum Credential {
    Password { password: Zeroizing<String>, hash: String },
    Token { token: Zeroizing<String>, key: Zeroizing<String>, public: String },
}

/// For `way`, which is not [`Way::None`].
pub(super) fn make(way: Way, host: &str, now: SystemTime) -> Result<Material, InitError> {
    let (certificate, certificate_key) =
        certificate(host, now).map_err(|error| InitError::File(format!("no certificate can be made: {error}")))?;
    let credential = if way == Way::Basic { password()? } else { key_and_token(now)? };
    Ok(Material { certificate, certificate_key, credential })
}

fn certificate(host: &str, now: SystemTime) -> Result<(String, Zeroizing<String>), rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new([host, "localhost", "127.0.0.1", "::1"].map(str::to_owned))?;
    params.distinguished_name.push(DnType::CommonName, host);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.not_before = (now - BEFORE).into();
    params.not_after = (now + CERTIFICATE_LIFE).into();
    Ok((params.self_signed(&key)?.pem(), Zeroizing::new(key.serialize_pem())))
}

fn password() -> Result<Credential, InitError> {
    let no_randomness = |_| InitError::File("the system yields no random numbers to make a password of".into());
    let mut bytes = Zeroizing::new([0_u8; 24]);
    rand::fill(bytes.as_mut()).map_err(no_randomness)?;
    let password = Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes.as_ref()));
    let hash = bcrypt::hash(password.as_bytes(), COST)
        .map_err(|error| InitError::File(format!("no hash can be made of the password: {error}")))?;
    Ok(Credential::Password { password, hash })
}

/// In the same way as by hand, in a folder that nobody else can open and that is gone afterwards.
fn key_and_token(now: SystemTime) -> Result<Credential, InitError> {
    let unusable = |error: std::io::Error| {
        InitError::File(format!("no key can be made in the folder for temporary files: {error}"))
    };
    let folder = tempfile::tempdir().map_err(unusable)?;
    let (key, token) = (folder.path().join("key"), folder.path().join("token"));
    let keygen = KeygenFlags {
        private: key.clone(),
        public: None,
        algorithm: Algorithm::EdDsa,
        kid: Some(KID.into()),
        owner: None,
    };
    token::run(&TokenCommand::Keygen(keygen), now)?;
    let mint = MintFlags {
        key: key.clone(),
        algorithm: Algorithm::EdDsa,
        kid: KID.into(),
        subject: SUBJECT.into(),
        issuer: ISSUER.into(),
        audience: vec![AUDIENCE.into()],
        permissions: vec!["metrics:read".into()],
        lifetime: TOKEN_LIFE.into(),
        out: token.clone(),
        owner: None,
    };
    token::run(&TokenCommand::Mint(mint), now)?;
    let read = |path: &std::path::Path| fs::read_to_string(path).map_err(unusable);
    Ok(Credential::Token {
        token: Zeroizing::new(read(&token)?),
        public: read(&key.with_added_extension("pub"))?,
        key: Zeroizing::new(read(&key)?),
    })
}
