//! Other exporters on the same host, started as their packages mean them to be.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result};

use super::{
    client::Ask,
    cost::{self, Exporter},
};
use crate::{child::Child, daemon::free_address, interrupt::Interrupt};

/// Groups by user, as uidmeter does.
const BY_USER: &str = "process_names:\n  - name: \"{{.Username}}\"\n    cmdline: ['.+']\n";

/// One of them, running; dropping it ends it.
pub(super) struct Peer {
    pub(super) exporter: Exporter,
    _child: Child,
    configuration: Option<PathBuf>,
}

impl Peer {
    pub(super) fn node_exporter(program: &Path, ask: Ask, interrupt: &Interrupt) -> Result<Self> {
        Self::start(program, &[], None, ask, interrupt)
    }

    pub(super) fn process_exporter(program: &Path, ask: Ask, interrupt: &Interrupt) -> Result<Self> {
        let configuration = std::env::temp_dir().join(format!("loadtests-{}.yml", std::process::id()));
        fs::write(&configuration, BY_USER).with_context(|| format!("cannot write {}", configuration.display()))?;
        let argument = format!("--config.path={}", configuration.display());
        Self::start(program, &[&argument], Some(configuration), ask, interrupt)
    }

    fn start(
        program: &Path,
        arguments: &[&str],
        configuration: Option<PathBuf>,
        ask: Ask,
        interrupt: &Interrupt,
    ) -> Result<Self> {
        let address = free_address()?;
        let mut command = Command::new(program);
        command
            .arg(format!("--web.listen-address={address}"))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let child = Child::spawn(&mut command, None).with_context(|| format!("cannot start {}", program.display()))?;
        let peer = Self { exporter: Exporter { address, process: child.pid() }, _child: child, configuration };
        cost::await_answer(address, ask, interrupt).with_context(|| program.display().to_string())?;
        Ok(peer)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if let Some(file) = &self.configuration {
            let _ = fs::remove_file(file);
        }
    }
}
