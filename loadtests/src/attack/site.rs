//! A server's folder as an administrator would fill it: certificate, users, keys for tokens; and the credentials that
//! go with them. Everything is made anew and gone with the value.

use std::{
    fmt::Write as _,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rcgen::{CertificateParams, KeyPair, PKCS_ED25519};
use rustls::pki_types::CertificateDer;
use serde_json::json;
use tempfile::TempDir;

/// bcrypt's cost as its tools choose it.
const COST: u32 = 10;
const PASSWORD: &str = "correct horse";

/// The folder and what fits it.
pub(crate) struct Site {
    folder: TempDir,
    certificate: Option<CertificateDer<'static>>,
    token: Option<String>,
}

impl Site {
    /// With TLS or without; with users and tokens or open to everybody.
    pub(crate) fn new(tls: bool, guarded: bool) -> Result<Self> {
        let folder = tempfile::tempdir().context("cannot make a folder for the server's files")?;
        let path = |name: &str| folder.path().join(name);
        let mut config = String::new();
        let mut certificate = None;
        if tls {
            let key = KeyPair::generate()?;
            let made = CertificateParams::new(vec!["127.0.0.1".to_owned()])?.self_signed(&key)?;
            write(&path("server.pem"), &made.pem())?;
            write(&path("server.key"), &key.serialize_pem())?;
            config += "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n";
            certificate = Some(made.der().clone());
        }
        let mut token = None;
        if guarded {
            write!(config, "basic_auth_users:\n  prometheus: {}\n", bcrypt::hash(PASSWORD, COST)?)?;
            let key = KeyPair::generate_for(&PKCS_ED25519)?;
            write(&path("tokens.pem"), &key.public_key_pem())?;
            write(
                &path("auth.toml"),
                "[jwt]\nissuers = [\"loadtests\"]\naudiences = [\"uidmeter\"]\n\n[[jwt.keys]]\nkid = \"one\"\n\
                 algorithm = \"EdDSA\"\nfile = \"tokens.pem\"\n",
            )?;
            token = Some(mint(&key)?);
        }
        write(&path("web.yml"), &config)?;
        Ok(Self { folder, certificate, token })
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn certificate(&self) -> Option<&CertificateDer<'static>> {
        self.certificate.as_ref()
    }

    /// The header line of a token, if the server takes any.
    pub(crate) fn bearer(&self) -> String {
        self.token.as_ref().map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default()
    }
}

/// The header line of the one user.
pub(crate) fn basic() -> String {
    login(PASSWORD)
}

/// The header line of the one user with some password.
pub(crate) fn login(password: &str) -> String {
    format!("Authorization: Basic {}\r\n", STANDARD.encode(format!("prometheus:{password}")))
}

fn mint(key: &KeyPair) -> Result<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let claims = json!({
        "iss": "loadtests", "aud": "uidmeter", "sub": "prometheus", "iat": now, "exp": now + 3600 * 4,
        "permissions": ["metrics:read"],
    });
    let header = Header { kid: Some("one".into()), ..Header::new(Algorithm::EdDSA) };
    Ok(encode(&header, &claims, &EncodingKey::from_ed_pem(key.serialize_pem().as_bytes())?)?)
}

/// For its owner alone: some of them are secret.
fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(())
}
