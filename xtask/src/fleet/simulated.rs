//! Simulated hosts, from their start until they are dropped: one in plain HTTP, or many with TLS and tokens.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, bail};

use super::kit::Kit;
use super::server::get;
use crate::process;

/// uidmeter as on a host, with users who do not exist.
pub(super) struct Host {
    _child: Ended,
    /// Where it listens, as `127.0.0.1:PORT`.
    pub(super) address: String,
}

impl Host {
    /// A host with so many users; hosts with other seeds have other figures.
    ///
    /// # Errors
    /// It does not start.
    pub(super) fn start(kit: &Kit<'_>, users: u32, seed: u32) -> Result<Self> {
        let arguments = ["simulate", "--users", &users.to_string(), "--seed", &seed.to_string()];
        let (child, line) = begin(kit, &arguments)?;
        let host = Self { _child: child, address: line.trim_start_matches("http://").to_owned() };
        host.port()?;
        Ok(host)
    }

    /// Its port.
    ///
    /// # Errors
    /// It has not said where it listens.
    pub(super) fn port(&self) -> Result<u16> {
        let port = self.address.rsplit(':').next().and_then(|port| port.parse().ok());
        port.with_context(|| format!("the simulated host says {:?} instead of where it listens", self.address))
    }

    /// Its page in the text format.
    ///
    /// # Errors
    /// It does not answer.
    pub(super) fn page(&self) -> Result<String> {
        get(&format!("http://{}/metrics", self.address))
    }
}

/// What hosts with TLS have in common: files that `uidmeter init` has written.
pub(super) struct Site {
    folder: PathBuf,
}

impl Site {
    /// The name in their certificate.
    pub(super) const NAME: &str = "nodes.example.com";

    /// Writes them to `folder`, which is not there yet.
    ///
    /// # Errors
    /// They cannot be written.
    pub(super) fn new(kit: &Kit<'_>, folder: &Path) -> Result<Self> {
        let mut command = Command::new(kit.daemon()?);
        command.args(["init", "--host", Self::NAME, "--folder"]).arg(folder);
        // Whoever runs the checks reads them.
        command.args(["--owner", &nix::unistd::geteuid().to_string()]);
        process::capture(&mut command)?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// A file of the other end: the CA, or the token.
    pub(super) fn for_prometheus(&self, name: &str) -> String {
        self.folder.join("for-prometheus").join(name).display().to_string()
    }
}

/// Many hosts at consecutive addresses.
pub(super) struct Fleet {
    _child: Ended,
}

impl Fleet {
    /// So many hosts from `first` on; Prometheus finds them in the file `targets`.
    ///
    /// # Errors
    /// They do not start.
    pub(super) fn start(kit: &Kit<'_>, site: &Site, count: u32, first: &str, targets: &Path) -> Result<Self> {
        let file = |name: &str| site.folder.join(name).display().to_string();
        let (count, web, auth) = (count.to_string(), file("web.yml"), file("auth.toml"));
        let targets = targets.display().to_string();
        let place = ["nodes", "--users", "5", "--interval", "3", "--count", &count, "--first", first];
        let files = ["--web.config.file", &web, "--web.auth-file", &auth, "--file-sd", &targets];
        let (child, line) = begin(kit, &[place.as_slice(), &files].concat())?;
        if line != format!("ready {count}") {
            bail!("simulated hosts say {line:?} instead of being ready");
        }
        Ok(Self { _child: child })
    }
}

/// Starts `loadtests`, and reads its first line.
fn begin(kit: &Kit<'_>, arguments: &[&str]) -> Result<(Ended, String)> {
    let mut command = Command::new(kit.loadtests()?);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = Ended(command.spawn().context("cannot start loadtests")?);
    let output = child.0.stdout.take().context("a child without output")?;
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line)?;
    Ok((child, line.trim().to_owned()))
}

/// A child that ends when it is dropped.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // Either it has ended by itself, or this ends it.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
