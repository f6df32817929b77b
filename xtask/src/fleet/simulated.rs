//! A simulated host: `loadtests simulate`, from its start until it is dropped.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};

use super::kit::Kit;

/// uidmeter as on a host, with users who do not exist.
pub(super) struct Host {
    child: Child,
    /// Where it listens, as `127.0.0.1:PORT`.
    pub(super) address: String,
}

impl Host {
    /// A host with so many users; hosts with other seeds have other figures.
    ///
    /// # Errors
    /// It does not start.
    pub(super) fn start(kit: &Kit<'_>, users: u32, seed: usize) -> Result<Self> {
        let mut command = Command::new(kit.loadtests()?);
        command.args(["simulate", "--users", &users.to_string(), "--seed", &(seed + 1).to_string()]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let output = child.stdout.take().context("a child without output")?;
        let mut host = Self { child, address: String::new() };
        BufReader::new(output).read_line(&mut host.address)?;
        host.address = host.address.trim().trim_start_matches("http://").to_owned();
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
}

impl Drop for Host {
    fn drop(&mut self) {
        // Either it has ended by itself, or this ends it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
