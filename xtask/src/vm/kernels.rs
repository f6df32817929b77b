//! The kernels that uidmeter is tested on, and where their images come from.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::packages::{self, Wanted};

/// What must happen on a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expectation {
    /// The kernel suite passes.
    Suite,
    /// The daemon refuses, naming what it found and what it needs.
    Refusal {
        /// The kernel's version, as far as it is known here.
        found: &'static str,
        /// The oldest version that will do.
        needed: &'static str,
    },
}

/// One kernel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kernel {
    /// What the command line calls it.
    pub(super) name: &'static str,
    /// What must happen on it.
    pub(super) expectation: Expectation,
    package: Wanted,
}

/// The oldest Debian that is still in wide use, its newest kernel, the newest anywhere, and one too old:
/// task storage for tracing programs came with 5.11. Cloud kernels, because they boot fastest.
const ALL: [Kernel; 4] = [
    Kernel {
        name: "6.1",
        expectation: Expectation::Suite,
        package: Wanted { suite: "bookworm", pattern: "linux-image-6.1.*-cloud-amd64" },
    },
    Kernel {
        name: "6.12",
        expectation: Expectation::Suite,
        package: Wanted { suite: "bookworm", pattern: "linux-image-6.12.*-cloud-amd64" },
    },
    Kernel {
        name: "7.2",
        expectation: Expectation::Suite,
        package: Wanted { suite: "sid", pattern: "linux-binary-7.2.*-cloud-amd64" },
    },
    Kernel {
        name: "5.10",
        expectation: Expectation::Refusal { found: "5.10", needed: "5.11" },
        package: Wanted { suite: "bullseye", pattern: "linux-image-5.10.*-cloud-amd64" },
    },
];

/// Oldest, newest, and too old. The one in between has the suite of limits besides.
pub(super) const EXTREMES: [&str; 3] = ["6.1", "7.2", "5.10"];

/// The kernels of these names; all of them for no name.
pub(super) fn named(names: &[String]) -> Result<Vec<Kernel>> {
    if names.is_empty() {
        return Ok(ALL.to_vec());
    }
    names
        .iter()
        .map(|name| {
            let known = ALL.into_iter().find(|kernel| kernel.name == name);
            known.with_context(|| {
                let all = ALL.map(|kernel| kernel.name).join(", ");
                format!("no test kernel is called {name}; there are {all}")
            })
        })
        .collect()
}

impl Kernel {
    /// The image, from the cache or from Debian's archive.
    pub(super) fn image(&self) -> Result<PathBuf> {
        let package = packages::unpacked(self.package)?;
        match find_image(&package) {
            Some(image) => Ok(image),
            None => bail!("{} holds no vmlinuz", package.display()),
        }
    }
}

/// Debian moved the image from /boot to the modules' folder.
fn find_image(package: &Path) -> Option<PathBuf> {
    let in_modules = ["usr/lib/modules", "lib/modules"]
        .into_iter()
        .flat_map(|folder| entries(&package.join(folder)))
        .map(|version| version.join("vmlinuz"));
    entries(&package.join("boot"))
        .into_iter()
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz")))
        .chain(in_modules)
        .find(|path| path.is_file())
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())).collect()
}
