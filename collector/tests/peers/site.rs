//! The scrape blocks of `docs/SECURITY-EXPORTER.md`, made to fit a host that stands still: certificates of a CA of the test's own,
//! the samples of `packaging/web`, tokens that `uidmeter token` has minted.

use std::{
    error::Error,
    fs,
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use crate::samples;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const DOCUMENT: &str = include_str!("../../../docs/SECURITY-EXPORTER.md");
/// Where the documented blocks look for their files.
const PLACE: &str = "/etc/prometheus/";

/// A folder with everything that both sides need.
pub(crate) struct Site {
    folder: tempfile::TempDir,
}

impl Site {
    pub(crate) fn new() -> Result<Self> {
        let site = Self { folder: samples::copy()? };
        let ca_key = KeyPair::generate()?;
        let mut ca = CertificateParams::new(Vec::new())?;
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca_certificate = ca.self_signed(&ca_key)?;
        let issuer = Issuer::new(ca, ca_key);
        for (name, subject) in [("tls", "127.0.0.1"), ("uidmeter-client", "prometheus.example")] {
            let key = KeyPair::generate()?;
            let certificate = CertificateParams::new(vec![subject.to_owned()])?.signed_by(&key, &issuer)?;
            site.write(&format!("{name}.crt"), &certificate.pem())?;
            site.write_secret(&format!("{name}.key"), &key.serialize_pem())?;
        }
        site.write("clients.crt", &ca_certificate.pem())?;
        site.write("uidmeter-ca.crt", &ca_certificate.pem())?;
        // The password of the samples.
        site.write_secret("uidmeter.password", "change-me")?;
        site.keygen("token", "current")?;
        site.mint("token", "current")?;
        Ok(site)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> Result<()> {
        Ok(fs::write(self.path(name), text)?)
    }

    fn write_secret(&self, name: &str, text: &str) -> Result<()> {
        self.write(name, text)?;
        Ok(fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o600))?)
    }

    /// Makes a pair of keys, `NAME.key` and `NAME.key.pub`.
    pub(crate) fn keygen(&self, name: &str, kid: &str) -> Result<()> {
        let private = self.path(&format!("{name}.key"));
        token(&["keygen", "--kid", kid, "--private"], &private)
    }

    /// Puts a token of that key where Prometheus looks for it.
    pub(crate) fn mint(&self, name: &str, kid: &str) -> Result<()> {
        let key = self.path(&format!("{name}.key"));
        let key = key.to_string_lossy();
        let words = ["mint", "--subject", "prometheus", "--issuer", "fleet.example", "--audience", "uidmeter"];
        token(&[words.as_slice(), &["--kid", kid, "--key", &key, "--out"]].concat(), &self.path("uidmeter.token"))
    }

    /// The documented scrape block under `heading`, for a host at `address`.
    pub(crate) fn block(&self, heading: &str, address: SocketAddr) -> Result<String> {
        let section = DOCUMENT.split("\n### ").find(|section| section.starts_with(heading));
        let section = section.ok_or_else(|| format!("the document has no mode {heading:?}"))?;
        let block = section.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next());
        let block = block.ok_or_else(|| format!("{heading:?} has no scrape block"))?;
        let here = format!("{}/", self.folder.path().display());
        let target = if block.contains("host.example:9101") { "host.example:9101" } else { "127.0.0.1:9101" };
        let block = block.replace(PLACE, &here).replace(target, &address.to_string());
        Ok(format!("global: {{scrape_interval: 1s, scrape_timeout: 1s}}\n{block}"))
    }
}

fn token(words: &[&str], file: &Path) -> Result<()> {
    let binary = std::env::var_os("UIDMETER_BIN").ok_or("UIDMETER_BIN is not set; run `cargo xtask test peers`")?;
    let output = Command::new(binary).arg("token").args(words).arg(file).output()?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into()) }
}
