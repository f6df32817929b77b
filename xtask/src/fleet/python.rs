//! One virtual environment in the user's cache for the validators that are written in Python. Made once from a pinned list, and
//! made anew only when the list changes or the machine's Python does.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::packages;
use crate::process::{self, Unavailable, heading};

/// Name and version of each package.
const PACKAGES: &str = include_str!("python/requirements.txt");
/// Copied into the environment when it is whole.
const DONE: &str = "installed.txt";

/// An environment with [`PACKAGES`].
pub(super) struct Python {
    folder: PathBuf,
}

impl Python {
    /// The environment, made unless it is there already.
    ///
    /// # Errors
    /// There is no Python, or the packages cannot be had.
    pub(super) fn prepare() -> Result<Self> {
        let folder = packages::cache_folder()?.join("python/tools");
        make(&folder).with_context(|| Unavailable("the validators written in Python cannot be had".into()))?;
        Ok(Self { folder })
    }

    /// A program of one of the packages.
    pub(super) fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.folder.join("bin").join(name));
        // What scripts of ours import lies in the environment alone.
        command.env_remove("PYTHONPATH").env("PYTHONUTF8", "1");
        command
    }

    /// Python with a script of ours.
    pub(super) fn script(&self, text: &str) -> Command {
        let mut command = self.program("python");
        command.args(["-c", text]);
        command
    }

    /// A folder for what scripts work out once and keep, as long as the environment stays.
    ///
    /// # Errors
    /// It cannot be made.
    pub(super) fn kept(&self) -> Result<PathBuf> {
        let folder = self.folder.join("kept");
        fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        Ok(folder)
    }
}

fn make(folder: &Path) -> Result<()> {
    let parent = folder.parent().context("a cache folder without a parent")?;
    fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
    // Two runs at the same time must not both make it.
    let lock = parent.join("lock");
    let lock = File::create(&lock).with_context(|| format!("cannot create {}", lock.display()))?;
    lock.lock().context("cannot lock the environment")?;
    if is_whole(folder) {
        return Ok(());
    }
    let Some(python) = process::find_program("python3") else {
        bail!("this machine has no python3: install python3-venv");
    };
    heading("installing validators written in Python");
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    process::run(Command::new(python).args(["-m", "venv"]).arg(folder))?;
    let list = folder.join("requirements.txt");
    fs::write(&list, PACKAGES).with_context(|| format!("cannot write {}", list.display()))?;
    let mut pip = Command::new(folder.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--no-deps", "--only-binary=:all:", "--disable-pip-version-check"]);
    process::run(pip.arg("--requirement").arg(&list))?;
    fs::rename(&list, folder.join(DONE)).context("cannot mark the environment as whole")
}

/// Whether all packages of the list have been installed, and the Python that they were installed for still runs.
fn is_whole(folder: &Path) -> bool {
    fs::read_to_string(folder.join(DONE)).is_ok_and(|installed| installed == PACKAGES)
        && process::capture(Command::new(folder.join("bin/python")).args(["-c", "import jsonschema"])).is_ok()
}
