//! Where things lie in this repository, and how its own cargo is called. Touches no file.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

/// The repository's root, `target/` below it, and the products that other programs look for.
#[derive(Clone, Debug)]
pub(crate) struct Project {
    root: PathBuf,
}

impl Project {
    /// The repository that holds this xtask.
    pub(crate) fn find() -> Result<Self> {
        let manifest = std::env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = manifest.parent().with_context(|| format!("{} has no parent folder", manifest.display()))?;
        Ok(Self { root: root.to_path_buf() })
    }

    /// The folder with the workspace's `Cargo.toml`.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Always `target/`, whatever the environment says: README and tests name files in it.
    pub(crate) fn target(&self) -> PathBuf {
        self.root.join("target")
    }

    /// The kernel programs that ship.
    pub(crate) fn programs(&self) -> PathBuf {
        self.target().join("bpf/uidmeter.bpf.o")
    }

    /// The classic timestamp-and-hash programs, for comparison only.
    pub(crate) fn reference(&self) -> PathBuf {
        self.target().join("bpf/reference.bpf.o")
    }

    /// The daemon.
    pub(crate) fn daemon(&self) -> PathBuf {
        self.target().join("release/uidmeter")
    }

    /// The load-test program.
    pub(crate) fn loadtests(&self) -> PathBuf {
        self.target().join("release/loadtests")
    }

    /// The cargo that runs this xtask, at the repository's root, for builds of the host's programs.
    pub(crate) fn cargo(&self) -> Command {
        let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(program);
        command.current_dir(&self.root).env("CARGO_TARGET_DIR", self.target());
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(describes_this_package) {
                command.env_remove(&name);
            }
        }
        command
    }
}

/// Cargo describes the package that it runs (here: xtask) in these; the next cargo must not inherit them.
fn describes_this_package(name: &str) -> bool {
    ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"].iter().any(|prefix| name.starts_with(prefix))
}
