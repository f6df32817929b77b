//! Finds a Rust toolchain that can build `core` for BPF, and a bpf-linker that understands its output.
//!
//! Reads the machine, changes nothing; `setup` installs what is found missing. The order is: an explicit
//! override, a rustup nightly with `rust-src`, Debian's packages. Stable toolchains cannot do it: `core` for
//! BPF must be built from source, which cargo calls unstable.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::process;

/// Names the cargo of the override; goes together with [`RUSTC_OVERRIDE`].
pub(crate) const CARGO_OVERRIDE: &str = "UIDMETER_BPF_CARGO";
/// Names the rustc of the override; goes together with [`CARGO_OVERRIDE`].
pub(crate) const RUSTC_OVERRIDE: &str = "UIDMETER_BPF_RUSTC";

/// Where a toolchain was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The two environment variables.
    Override,
    /// `rustup toolchain install nightly --component rust-src`.
    RustupNightly,
    /// `rustc-web`, `cargo-web` and `rust-web-src`, or a distribution's own `rustc`, `cargo` and `rust-src`.
    System,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Override => "the override",
            Self::RustupNightly => "rustup's nightly",
            Self::System => "the system's packages",
        })
    }
}

/// A cargo and a rustc that belong together and have the sources of `core`.
#[derive(Clone, Debug)]
pub(crate) struct Toolchain {
    /// Where it was found.
    pub(crate) origin: Origin,
    /// Its cargo.
    pub(crate) cargo: PathBuf,
    /// Its rustc.
    pub(crate) rustc: PathBuf,
    /// The LLVM that its rustc writes bitcode with.
    pub(crate) llvm_major: u32,
}

impl Toolchain {
    /// The first toolchain that fits, or `None` if this machine has none.
    pub(crate) fn find() -> Result<Option<Self>> {
        if let Some(toolchain) = Self::from_override()? {
            return Ok(Some(toolchain));
        }
        if let Some(toolchain) = Self::from_rustup() {
            return Ok(Some(toolchain));
        }
        Self::from_system()
    }

    fn from_override() -> Result<Option<Self>> {
        let (cargo, rustc) = match (std::env::var_os(CARGO_OVERRIDE), std::env::var_os(RUSTC_OVERRIDE)) {
            (None, None) => return Ok(None),
            (Some(cargo), Some(rustc)) => (PathBuf::from(cargo), PathBuf::from(rustc)),
            _ => bail!("{CARGO_OVERRIDE} and {RUSTC_OVERRIDE} go together: set both or neither"),
        };
        if !has_core_sources(&rustc)? {
            bail!(
                "{RUSTC_OVERRIDE} is {}, but its sysroot has no library sources: install its rust-src",
                rustc.display()
            );
        }
        Self::new(Origin::Override, cargo, rustc).map(Some)
    }

    /// Asks rustup rather than guessing folders; a machine without rustup or nightly is no error.
    fn from_rustup() -> Option<Self> {
        let which = |program: &str| {
            let mut rustup = Command::new("rustup");
            rustup.args(["which", "--toolchain", "nightly", program]);
            process::capture(without_cargo(&mut rustup)).ok().map(|path| PathBuf::from(path.trim_end()))
        };
        process::find_program("rustup")?;
        let rustc = which("rustc")?;
        let cargo = which("cargo")?;
        if !has_core_sources(&rustc).ok()? {
            return None;
        }
        Self::new(Origin::RustupNightly, cargo, rustc).ok()
    }

    fn from_system() -> Result<Option<Self>> {
        let (cargo, rustc) = (PathBuf::from("/usr/bin/cargo"), PathBuf::from("/usr/bin/rustc"));
        if !cargo.is_file() || !rustc.is_file() || !has_core_sources(&rustc)? {
            return Ok(None);
        }
        Self::new(Origin::System, cargo, rustc).map(Some)
    }

    fn new(origin: Origin, cargo: PathBuf, rustc: PathBuf) -> Result<Self> {
        let mut ask = Command::new(&rustc);
        let answer = process::capture(without_cargo(ask.arg("-vV")))?;
        let llvm_major =
            llvm_major_of_rustc(&answer).with_context(|| format!("`{} -vV` names no LLVM version", rustc.display()))?;
        Ok(Self { origin, cargo, rustc, llvm_major })
    }

    /// This toolchain's cargo with an environment that is free of the cargo that runs this xtask.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.cargo);
        without_cargo(&mut command).env("RUSTC", &self.rustc);
        if self.origin != Origin::RustupNightly {
            // A released compiler: the switch that Debian's own packages use for unstable flags.
            command.env("RUSTC_BOOTSTRAP", "1");
        }
        command
    }

    /// Where this toolchain keeps the other programs, such as `cargo-clippy`.
    pub(crate) fn sibling(&self, program: &str) -> Option<PathBuf> {
        let path = self.rustc.parent()?.join(program);
        path.is_file().then_some(path)
    }
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}, LLVM {})", self.rustc.display(), self.origin, self.llvm_major)
    }
}

fn has_core_sources(rustc: &Path) -> Result<bool> {
    let mut ask = Command::new(rustc);
    let sysroot = process::capture(without_cargo(ask.args(["--print", "sysroot"])))?;
    let sources = Path::new(sysroot.trim_end()).join("lib/rustlib/src/rust/library/core/src/lib.rs");
    Ok(sources.is_file())
}

/// The major in the line `LLVM version: 22.1.8` of `rustc -vV`.
fn llvm_major_of_rustc(answer: &str) -> Option<u32> {
    let version = answer.lines().find_map(|line| line.strip_prefix("LLVM version: "))?;
    version.split('.').next()?.trim().parse().ok()
}

/// Removes what cargo and rustup tell their children, and keeps what a person may have set to reach a
/// registry. xtask itself runs under cargo; another toolchain must not see that one's settings.
pub(crate) fn without_cargo(command: &mut Command) -> &mut Command {
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(is_cargos_own) {
            command.env_remove(&name);
        }
    }
    if let Some(libraries) = std::env::var_os("LD_LIBRARY_PATH") {
        match foreign_libraries(&libraries) {
            Some(kept) => command.env("LD_LIBRARY_PATH", kept),
            None => command.env_remove("LD_LIBRARY_PATH"),
        };
    }
    command
}

fn is_cargos_own(name: &str) -> bool {
    const KEPT: [&str; 6] =
        ["CARGO_HOME", "CARGO_HTTP_", "CARGO_NET_", "CARGO_REGISTR", "CARGO_SOURCE_", "CARGO_TERM_"];
    const RUSTUPS: [&str; 3] = ["RUSTUP_TOOLCHAIN", "RUST_RECURSION_COUNT", "RUSTFLAGS"];
    let cargos = name.starts_with("CARGO") && !KEPT.iter().any(|kept| name.starts_with(kept));
    cargos || RUSTUPS.contains(&name) || name.starts_with("RUSTC") || name.starts_with("RUSTDOC")
}

/// `cargo run` puts its toolchain's and target's folders into the library path: those go, a person's stay.
fn foreign_libraries(path: &OsString) -> Option<OsString> {
    let kept: Vec<PathBuf> = std::env::split_paths(path)
        .filter(|folder| {
            let text = folder.to_string_lossy();
            !text.contains("/toolchains/") && !text.contains("/target/")
        })
        .collect();
    if kept.is_empty() {
        return None;
    }
    std::env::join_paths(kept).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_llvm_major_is_read_from_rustcs_long_version() {
        let answer = "rustc 1.96.0\nhost: x86_64-unknown-linux-gnu\nLLVM version: 22.1.8\n";
        assert_eq!(llvm_major_of_rustc(answer), Some(22));
        assert_eq!(llvm_major_of_rustc("rustc 1.96.0\n"), None);
    }

    #[test]
    fn settings_of_the_outer_cargo_go_and_registry_settings_stay() {
        for gone in ["CARGO", "CARGO_PKG_NAME", "CARGO_TARGET_DIR", "RUSTFLAGS", "RUSTC_WRAPPER"] {
            assert!(is_cargos_own(gone), "{gone}");
        }
        for kept in ["CARGO_HOME", "CARGO_HTTP_CAINFO", "CARGO_REGISTRIES_X_TOKEN", "RUST_BACKTRACE"] {
            assert!(!is_cargos_own(kept), "{kept}");
        }
    }

    #[test]
    fn only_foreign_folders_stay_in_the_library_path() {
        let path = OsString::from("/w/target/debug/deps:/h/.rustup/toolchains/stable/lib:/opt/lib");
        assert_eq!(foreign_libraries(&path), Some(OsString::from("/opt/lib")));
        assert_eq!(foreign_libraries(&OsString::from("/w/target/debug")), None);
    }
}
