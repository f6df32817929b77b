//! A guard made of real files, and requests to it.

use std::{
    error::Error,
    fs,
    os::unix::fs::PermissionsExt as _,
    sync::{
        Arc, LazyLock, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use hyper::http::request::Parts;
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use rcgen::KeyPair;

use super::super::{Guard, Identity, Observer, Peer, Refusal, Settings, VerifiedCertificate};
use crate::export::web_config::WebConfig;

pub(super) const NOW: SystemTime = SystemTime::UNIX_EPOCH;

/// So many seconds after [`NOW`].
pub(super) fn after(seconds: u64) -> SystemTime {
    NOW + Duration::from_secs(seconds)
}

/// Counts.
#[derive(Default)]
pub(super) struct Heard {
    reasons: Mutex<Vec<&'static str>>,
    password_checks: AtomicU64,
}

impl Observer for Heard {
    fn failure(&self, reason: &'static str) {
        self.reasons().push(reason);
    }

    fn password_check(&self) {
        self.password_checks.fetch_add(1, Ordering::Relaxed);
    }
}

impl Heard {
    pub(super) fn count(&self, reason: &str) -> usize {
        self.reasons().iter().filter(|heard| **heard == reason).count()
    }

    pub(super) fn total(&self) -> usize {
        self.reasons().len()
    }

    pub(super) fn password_checks(&self) -> u64 {
        self.password_checks.load(Ordering::Relaxed)
    }

    fn reasons(&self) -> MutexGuard<'_, Vec<&'static str>> {
        self.reasons.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) struct Rig {
    pub(super) guard: Guard,
    pub(super) heard: Arc<Heard>,
    folder: tempfile::TempDir,
}

/// Keys that exist once, since making them takes time.
static KEYS: LazyLock<Vec<(&'static str, KeyPair)>> = LazyLock::new(|| {
    ["old", "new"]
        .into_iter()
        .filter_map(|kid| Some((kid, KeyPair::generate_for(&rcgen::PKCS_ED25519).ok()?)))
        .collect()
});

impl Rig {
    /// A guard for this web configuration and this authentication file.
    pub(super) fn new(yaml: &str, toml: &str) -> Result<Self, Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        for (kid, pair) in KEYS.iter() {
            fs::write(folder.path().join(format!("{kid}.pub")), pair.public_key_pem())?;
        }
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
        fs::write(folder.path().join("cert.pem"), made.cert.pem())?;
        let key = folder.path().join("key.pem");
        fs::write(&key, made.signing_key.serialize_pem())?;
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600))?;
        let heard = Arc::new(Heard::default());
        let settings = load(folder.path(), yaml, toml)?;
        Ok(Self { guard: Guard::new(settings, Arc::clone(&heard) as Arc<dyn Observer>)?, heard, folder })
    }

    pub(super) fn settings(&self, yaml: &str, toml: &str) -> Result<Settings, Box<dyn Error>> {
        load(self.folder.path(), yaml, toml)
    }

    pub(super) async fn ask(&self, authorization: &[&str], peer: &Peer) -> Result<Identity, Refusal> {
        self.ask_at(authorization, peer, NOW).await
    }

    pub(super) async fn ask_at(
        &self,
        authorization: &[&str],
        peer: &Peer,
        now: SystemTime,
    ) -> Result<Identity, Refusal> {
        let Ok(head) = head(authorization) else { unreachable!("{authorization:?} is no header") };
        self.guard.check(&head, peer, now).await
    }
}

fn load(folder: &std::path::Path, yaml: &str, toml: &str) -> Result<Settings, Box<dyn Error>> {
    let (web, auth) = (folder.join("web.yml"), folder.join("auth.toml"));
    fs::write(&web, yaml)?;
    fs::write(&auth, toml)?;
    Ok(Settings::load(&WebConfig::load(&web)?, Some(&auth))?)
}

/// A request with these `Authorization` headers.
pub(super) fn head(authorization: &[&str]) -> Result<Parts, Box<dyn Error>> {
    let mut request = hyper::Request::builder().uri("/metrics");
    for value in authorization {
        request = request.header("authorization", hyper::header::HeaderValue::from_bytes(value.as_bytes())?);
    }
    Ok(request.body(())?.into_parts().0)
}

pub(super) fn network(address: &str) -> Result<Peer, Box<dyn Error>> {
    Ok(Peer { address: Some(address.parse()?), ..Peer::default() })
}

pub(super) fn basic(name: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{name}:{password}")))
}

/// What so many wrong passwords are answered with.
pub(super) async fn wrong_passwords(rig: &Rig, peer: &Peer, count: usize) -> Vec<(u16, &'static str)> {
    let mut answers = Vec::new();
    for number in 0..count {
        answers.push(super::status(&rig.ask(&[&basic("ann", &format!("guess{number}"))], peer).await));
    }
    answers
}

/// `ann` with `sesame` and `bob` with `swordfish`, as cheap as bcrypt can be.
pub(super) fn users() -> String {
    static USERS: LazyLock<String> = LazyLock::new(|| {
        let hash = |password: &str| bcrypt::hash(password, 4).unwrap_or_default();
        format!("basic_auth_users: {{ann: '{}', bob: '{}'}}\n", hash("sesame"), hash("swordfish"))
    });
    USERS.clone()
}

/// Client certificates of this kind.
pub(super) fn clients(kind: &str) -> String {
    let files = "cert_file: cert.pem, key_file: key.pem, client_ca_file: cert.pem";
    format!("tls_server_config: {{{files}, client_auth_type: {kind}}}\n")
}

/// `[jwt]` with these keys.
pub(super) fn jwt(kids: &[&str]) -> String {
    let keys = kids.iter().map(|kid| format!("[[jwt.keys]]\nkid = '{kid}'\nalgorithm = 'EdDSA'\nfile = '{kid}.pub'\n"));
    let keys = keys.collect::<Vec<_>>().concat();
    format!("[jwt]\nissuers = ['fleet']\naudiences = ['uidmeter']\n{keys}")
}

/// A token that is valid from [`NOW`] for ten minutes.
pub(super) fn token(kid: &str, permissions: &[&str]) -> String {
    let header = serde_json::json!({"alg": "EdDSA", "kid": kid});
    let claims = serde_json::json!({"iss": "fleet", "aud": "uidmeter", "sub": "prometheus", "iat": 0, "exp": 600,
        "permissions": permissions});
    let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(header), part(claims));
    let pem = KEYS.iter().find(|(known, _)| *known == kid).map(|(_, pair)| pair.serialize_pem()).unwrap_or_default();
    let signature = EncodingKey::from_ed_pem(pem.as_bytes())
        .and_then(|key| crypto::sign(signed.as_bytes(), &key, Algorithm::EdDSA))
        .unwrap_or_default();
    format!("{signed}.{signature}")
}

/// What a handshake has verified.
pub(super) fn certificate(not_after: SystemTime) -> Arc<VerifiedCertificate> {
    Arc::new(VerifiedCertificate {
        sans: vec!["a.example".into(), "b.example".into()],
        subject: "CN=a".into(),
        fingerprint: [1; 32],
        not_after,
    })
}
