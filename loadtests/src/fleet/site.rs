//! A fleet's folder: certificates, credentials, the files of all hosts, Prometheus' configuration. All is made anew and gone with
//! the value.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use collector::{
    export::auth::keys::Algorithm,
    token::{self, KeygenFlags, MintFlags, TokenCommand},
};
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use serde::Serialize;
use serde_json::{Value, json};
use tempfile::TempDir;

/// In the certificate of all hosts: they have one name and many addresses.
const NAME: &str = "node.fleet.test";
const USER: &str = "prometheus";
const PASSWORD: &str = "correct horse";
/// The least that is allowed: here one machine computes what each host of a fleet computes once.
const COST: u32 = 4;
const SECONDS: u64 = 15;

/// How Prometheus says who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(super) enum Auth {
    None,
    Basic,
    Jwt,
    Mtls,
}

/// What Prometheus asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(super) enum Format {
    Text,
    Openmetrics,
    /// With native histograms.
    Protobuf,
}

/// How much of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(super) enum Page {
    /// All metrics
    Full,
    /// The eleven that a fleet's overview needs, eleven series a user
    Small,
}

/// What a small page has.
const SMALL: [&str; 11] = [
    "uidmeter_cpu_seconds_total",
    "uidmeter_cpu_peak_cores",
    "uidmeter_run_queue_wait_seconds_total",
    "uidmeter_resident_memory_bytes",
    "uidmeter_memory_stall_seconds_total",
    "uidmeter_storage_bytes_total",
    "uidmeter_processes",
    "uidmeter_oom_kills_total",
    "uidmeter_ticks_late_total",
    "uidmeter_auth_failures_total",
    "uidmeter_build_info",
];

impl Format {
    fn protocol(self) -> &'static str {
        match self {
            Self::Text => "PrometheusText0.0.4",
            Self::Openmetrics => "OpenMetricsText1.0.0",
            Self::Protobuf => "PrometheusProto",
        }
    }
}

/// The folder.
pub(super) struct Site {
    folder: TempDir,
    auth: Auth,
}

impl Site {
    /// Everything but Prometheus' configuration.
    pub(super) fn new(auth: Auth) -> Result<Self> {
        let site = Self { folder: tempfile::tempdir().context("cannot make a folder for the fleet's files")?, auth };
        site.make().context("cannot make the fleet's certificates and credentials")?;
        Ok(site)
    }

    fn make(&self) -> Result<()> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "fleet");
        self.write("ca.pem", &params.self_signed(&key)?.pem())?;
        let issuer = Issuer::new(params, key);
        self.pair("server", &CertificateParams::new(vec![NAME.to_owned()])?, &issuer)?;
        let mut web = json!({ "tls_server_config": { "cert_file": "server.pem", "key_file": "server.key" } });
        match self.auth {
            Auth::None => {}
            Auth::Basic => {
                web["basic_auth_users"] = json!({ USER: bcrypt::hash(PASSWORD, COST)? });
                self.write("password", PASSWORD)?;
            }
            Auth::Jwt => self.token()?,
            Auth::Mtls => {
                let mut params = CertificateParams::default();
                params.distinguished_name.push(DnType::CommonName, USER);
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
                self.pair("client", &params, &issuer)?;
                web["tls_server_config"]["client_auth_type"] = "RequireAndVerifyClientCert".into();
                web["tls_server_config"]["client_ca_file"] = "ca.pem".into();
            }
        }
        // JSON is YAML.
        self.write("web.yml", &web.to_string())
    }

    fn pair(&self, name: &str, params: &CertificateParams, issuer: &Issuer<'_, KeyPair>) -> Result<()> {
        let key = KeyPair::generate()?;
        self.write(&format!("{name}.pem"), &params.signed_by(&key, issuer)?.pem())?;
        self.write(&format!("{name}.key"), &key.serialize_pem())
    }

    /// As `uidmeter token` makes them.
    fn token(&self) -> Result<()> {
        let (key, kid, now) = (self.path("token.key"), "one".to_owned(), SystemTime::now());
        let keygen = KeygenFlags {
            private: key.clone(),
            public: None,
            algorithm: Algorithm::EdDsa,
            kid: Some(kid.clone()),
            owner: None,
        };
        // What it explains is for people.
        token::run(&TokenCommand::Keygen(keygen), now)?;
        let mint = MintFlags {
            key,
            algorithm: Algorithm::EdDsa,
            kid,
            subject: USER.to_owned(),
            issuer: "fleet".to_owned(),
            audience: vec!["uidmeter".to_owned()],
            permissions: vec!["metrics:read".to_owned()],
            lifetime: "12h".to_owned(),
            out: self.path("token"),
            owner: None,
        };
        token::run(&TokenCommand::Mint(mint), now)?;
        self.write(
            "auth.toml",
            "[jwt]\nissuers = [\"fleet\"]\naudiences = [\"uidmeter\"]\n\n[[jwt.keys]]\nkid = \"one\"\n\
             algorithm = \"EdDSA\"\nfile = \"token.key.pub\"\n",
        )
    }

    /// Writes Prometheus' configuration and says where it is.
    pub(super) fn configure(&self, format: Format, page: Page) -> Result<PathBuf> {
        let mut job = json!({
            "job_name": "fleet",
            "scheme": "https",
            "file_sd_configs": [{ "files": [self.targets()] }],
            "tls_config": { "ca_file": self.path("ca.pem"), "server_name": NAME },
        });
        match self.auth {
            Auth::None => {}
            Auth::Basic => job["basic_auth"] = json!({ "username": USER, "password_file": self.path("password") }),
            Auth::Jwt => job["authorization"] = json!({ "credentials_file": self.path("token") }),
            Auth::Mtls => {
                job["tls_config"]["cert_file"] = json!(self.path("client.pem"));
                job["tls_config"]["key_file"] = json!(self.path("client.key"));
            }
        }
        if page == Page::Small {
            job["params"] = json!({ "name[]": SMALL });
        }
        let global: Value = json!({
            "scrape_interval": format!("{SECONDS}s"), "scrape_timeout": "10s", "scrape_protocols": [format.protocol()],
        });
        self.write("prometheus.yml", &json!({ "global": global, "scrape_configs": [job] }).to_string())?;
        Ok(self.path("prometheus.yml"))
    }

    /// Where the hosts' addresses are written.
    pub(super) fn targets(&self) -> PathBuf {
        self.path("nodes.json")
    }

    /// Flags of `loadtests nodes`.
    pub(super) fn flags(&self) -> Vec<PathBuf> {
        let mut flags = vec!["--web.config.file".into(), self.path("web.yml")];
        if self.auth == Auth::Jwt {
            flags.extend(["--web.auth-file".into(), self.path("auth.toml")]);
        }
        flags
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// For its owner alone: some of them are secret.
    fn write(&self, name: &str, text: &str) -> Result<()> {
        let path: &Path = &self.path(name);
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        Ok(())
    }
}
