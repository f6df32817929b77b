//! What the checks share: where the project is, a folder to write into, and the programs of Debian packages.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::daemon;
use crate::packages::{self, Wanted};
use crate::process;
use crate::project::Project;

/// Handed to every check.
pub(super) struct Kit<'a> {
    project: &'a Project,
    scratch: tempfile::TempDir,
}

impl<'a> Kit<'a> {
    pub(super) fn new(project: &'a Project) -> Result<Self> {
        Ok(Self { project, scratch: tempfile::tempdir()? })
    }

    pub(super) fn project(&self) -> &'a Project {
        self.project
    }

    /// A file or folder of `packaging/`.
    pub(super) fn packaging(&self, path: &str) -> PathBuf {
        self.project.root().join("packaging").join(path)
    }

    /// A folder that is removed at the end.
    pub(super) fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    /// Empties that folder.
    ///
    /// # Errors
    /// Something in it cannot be removed.
    pub(super) fn clean(&self) -> Result<()> {
        for entry in std::fs::read_dir(self.scratch())? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                std::fs::remove_dir_all(entry.path())?;
            } else {
                std::fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    /// The daemon: that of `UIDMETER_BIN`, as for the tests, or built for release.
    ///
    /// # Errors
    /// It cannot be built.
    pub(super) fn daemon(&self) -> Result<PathBuf> {
        if let Some(path) = std::env::var_os("UIDMETER_BIN") {
            return Ok(path.into());
        }
        daemon::build(self.project)?;
        Ok(self.project.daemon())
    }

    /// `loadtests`, which simulates hosts: that of `UIDMETER_LOADTESTS`, or built. Not for release: what it consists of is built
    /// anyway for the unit tests.
    ///
    /// # Errors
    /// It cannot be built.
    pub(super) fn loadtests(&self) -> Result<PathBuf> {
        if let Some(path) = std::env::var_os("UIDMETER_LOADTESTS") {
            return Ok(path.into());
        }
        process::run(self.project.cargo().args(["build", "--quiet", "--package", "loadtests"]))?;
        Ok(self.project.target().join("debug/loadtests"))
    }
}

/// `program` of a Debian package, fetched and unpacked unless it is there already; `program` is its path in the package.
///
/// # Errors
/// The package cannot be had.
pub(super) fn debian(wanted: Wanted, program: &str) -> Result<PathBuf> {
    Ok(packages::unpacked(wanted)?.join(program))
}
