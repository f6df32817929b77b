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

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

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
        let own = site.authority("uidmeter-ca.crt", "ours")?;
        fs::copy(site.path("uidmeter-ca.crt"), site.path("clients.crt"))?;
        site.pair("tls", "127.0.0.1", &own)?;
        site.pair("uidmeter-client", "prometheus.example", &own)?;
        // Nobody here trusts it; what it signs has the right names.
        let other = site.authority("other-ca.crt", "theirs")?;
        site.pair("other-client", "prometheus.example", &other)?;
        // The password of the samples.
        site.write_secret("uidmeter.password", "change-me")?;
        site.keygen("token", "current")?;
        site.mint("token", "current")?;
        // What somebody with a right certificate may try: a guess, and a token that another key signed under the same name.
        site.write_secret("guessed.password", "change-you")?;
        site.keygen("forged", "current")?;
        site.mint_into("forged.token", "forged", "current")?;
        Ok(site)
    }

    fn authority(&self, file: &str, name: &str) -> Result<Issuer<'static, KeyPair>> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        self.write(file, &params.self_signed(&key)?.pem())?;
        Ok(Issuer::new(params, key))
    }

    /// A certificate for `subject`, `NAME.crt`, and its key, `NAME.key`.
    fn pair(&self, name: &str, subject: &str, issuer: &Issuer<'_, KeyPair>) -> Result<()> {
        let key = KeyPair::generate()?;
        let certificate = CertificateParams::new(vec![subject.to_owned()])?.signed_by(&key, issuer)?;
        self.write(&format!("{name}.crt"), &certificate.pem())?;
        self.write_secret(&format!("{name}.key"), &key.serialize_pem())
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
        uidmeter(&["token", "keygen", "--kid", kid, "--private"], &private)
    }

    /// Puts a token of that key where Prometheus looks for it.
    pub(crate) fn mint(&self, name: &str, kid: &str) -> Result<()> {
        self.mint_into("uidmeter.token", name, kid)
    }

    fn mint_into(&self, file: &str, name: &str, kid: &str) -> Result<()> {
        let key = self.path(&format!("{name}.key"));
        let key = key.to_string_lossy();
        let words = ["token", "mint", "--subject", "prometheus", "--issuer", "fleet.example", "--audience", "uidmeter"];
        uidmeter(&[words.as_slice(), &["--kid", kid, "--key", &key, "--out"]].concat(), &self.path(file))
    }

    /// Gives Prometheus a token of another key, `NAME.key`, that the host at `address` accepts.
    pub(crate) fn rotate(&self, address: SocketAddr, name: &str, more: &[&str]) -> Result<()> {
        self.write("hosts", &address.to_string())?;
        let [hosts, ca, auth, key, token] =
            ["hosts", "uidmeter-ca.crt", "jwt.toml", &format!("{name}.key"), "uidmeter.token"]
                .map(|file| self.path(file).to_string_lossy().into_owned());
        let files = ["--hosts", &hosts, "--ca", &ca, "--auth-file", &auth, "--signing-key", &key, "--kid", name];
        let words = [&["fleet", "rotate", "--new-key"], files.as_slice(), more, &["--token-file"]].concat();
        uidmeter(&words, Path::new(&token))
    }

    /// The job of the documented scrape block under `heading`, under another name and for a host at `address`.
    pub(crate) fn job(&self, heading: &str, name: &str, address: SocketAddr) -> Result<String> {
        let is_under = |section: &&str| {
            let title = section.lines().next().unwrap_or_default();
            title == heading || title.strip_prefix(heading).is_some_and(|rest| rest.starts_with(':'))
        };
        let section = DOCUMENT.split("\n### ").find(is_under);
        let section = section.ok_or_else(|| format!("the document has no mode {heading:?}"))?;
        let block = section.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next());
        let job = block.and_then(|block| block.strip_prefix("scrape_configs:\n"));
        let job = job.ok_or_else(|| format!("{heading:?} has no scrape block"))?;
        let here = format!("{}/", self.folder.path().display());
        let target = if job.contains("host.example:9101") { "host.example:9101" } else { "127.0.0.1:9101" };
        let job = job.replace(PLACE, &here).replace(target, &address.to_string());
        Ok(job.replace("job_name: uidmeter\n", &format!("job_name: '{name}'\n")))
    }
}

/// A job that has no credential at all.
pub(crate) fn stranger(name: &str, address: SocketAddr) -> String {
    format!(
        "  - {{job_name: '{name}', scheme: https, tls_config: {{insecure_skip_verify: true}}, \
         static_configs: [{{targets: ['{address}']}}]}}\n"
    )
}

fn uidmeter(words: &[&str], file: &Path) -> Result<()> {
    let binary = std::env::var_os("UIDMETER_BIN").ok_or("UIDMETER_BIN is not set; run `cargo xtask test peers`")?;
    let output = Command::new(binary).args(words).arg(file).output()?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into()) }
}
