//! bpf-linker: which version is wanted, whether it is there, and whether its LLVM can read a rustc's bitcode.
//! Reads only; `setup` installs.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::process;
use crate::toolchain::Toolchain;

/// The one place that pins the version.
pub(crate) const VERSION: &str = "0.13.0";

/// A bpf-linker on this machine.
#[derive(Clone, Debug)]
pub(crate) struct Linker {
    /// The executable.
    pub(crate) path: PathBuf,
    /// The LLVM inside it; `None` when it can neither be seen nor looked up.
    pub(crate) llvm_major: Option<u32>,
}

/// How a linker's LLVM stands to that of the rustc whose bitcode it must read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Match {
    /// Same major, or a newer linker: LLVM reads the bitcode of older releases.
    Good,
    /// The linker's LLVM is not known; the build will show.
    Unknown,
    /// An older LLVM cannot read what a newer one wrote.
    TooOld {
        /// The linker's major.
        linker: u32,
        /// The compiler's major.
        rustc: u32,
    },
}

impl Linker {
    /// The first bpf-linker on the PATH or in cargo's folder.
    pub(crate) fn find() -> Option<Self> {
        let path = process::find_program("bpf-linker").or_else(|| {
            let path = cargo_home()?.join("bin/bpf-linker");
            path.is_file().then_some(path)
        })?;
        let llvm_major = linked_llvm(&path).or_else(recorded_llvm);
        Some(Self { path, llvm_major })
    }

    /// Compares with the compiler's LLVM.
    pub(crate) fn fits(&self, toolchain: &Toolchain) -> Match {
        compare(self.llvm_major, toolchain.llvm_major)
    }

    /// An error in one sentence unless this linker can read the toolchain's bitcode.
    pub(crate) fn check(&self, toolchain: &Toolchain) -> Result<()> {
        match self.fits(toolchain) {
            Match::Good => Ok(()),
            Match::Unknown => {
                println!(
                    "note: cannot tell which LLVM {} was built with; {toolchain} needs {} or newer",
                    self.path.display(),
                    toolchain.llvm_major
                );
                Ok(())
            }
            Match::TooOld { linker, rustc } => bail!(
                "{} was built with LLVM {linker}, which cannot read the bitcode of {toolchain}: \
                 run `cargo xtask setup` to install a bpf-linker with LLVM {rustc}",
                self.path.display()
            ),
        }
    }
}

fn compare(linker: Option<u32>, rustc: u32) -> Match {
    match linker {
        None => Match::Unknown,
        Some(linker) if linker < rustc => Match::TooOld { linker, rustc },
        Some(_) => Match::Good,
    }
}

/// bpf-linker cannot be asked for its LLVM, but the dynamic linker says which library it loads.
fn linked_llvm(path: &Path) -> Option<u32> {
    let libraries = process::capture(Command::new("ldd").arg(path)).ok()?;
    llvm_major_of_libraries(&libraries)
}

/// The major in `libLLVM.so.22.1 => …` or in the older `libLLVM-18.so.1 => …`.
fn llvm_major_of_libraries(ldd: &str) -> Option<u32> {
    ldd.lines().find_map(|line| {
        let name = line.split_whitespace().next()?;
        let rest = name.strip_prefix("libLLVM.so.").or_else(|| name.strip_prefix("libLLVM-"))?;
        leading_number(rest)
    })
}

/// A statically linked one: cargo remembers the feature `llvm-NN` that it was installed with.
fn recorded_llvm() -> Option<u32> {
    let text = std::fs::read_to_string(cargo_home()?.join(".crates2.json")).ok()?;
    let record: serde_json::Value = serde_json::from_str(&text).ok()?;
    let installs = record.get("installs")?.as_object()?;
    let (_, install) = installs.iter().find(|(package, _)| package.starts_with("bpf-linker "))?;
    install
        .get("features")?
        .as_array()?
        .iter()
        .filter_map(|feature| feature.as_str()?.strip_prefix("llvm-"))
        .find_map(leading_number)
}

fn leading_number(text: &str) -> Option<u32> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text[..end].parse().ok()
}

fn cargo_home() -> Option<PathBuf> {
    std::env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| {
        let home = std::env::var_os("HOME")?;
        Some(PathBuf::from(home).join(".cargo"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_llvm_major_is_read_from_either_way_of_naming_the_library() {
        let new = "\tlinux-vdso.so.1 (0x0)\n\tlibLLVM.so.22.1 => /usr/lib/x (0x0)\n";
        let old = "\tlibLLVM-18.so.1 => /usr/lib/x (0x0)\n";
        assert_eq!(llvm_major_of_libraries(new), Some(22));
        assert_eq!(llvm_major_of_libraries(old), Some(18));
        assert_eq!(llvm_major_of_libraries("\tstatically linked\n"), None);
    }

    #[test]
    fn an_older_linker_is_refused_and_a_newer_one_is_not() {
        assert_eq!(compare(Some(22), 22), Match::Good);
        assert_eq!(compare(Some(23), 22), Match::Good);
        assert_eq!(compare(None, 22), Match::Unknown);
        assert_eq!(compare(Some(21), 22), Match::TooOld { linker: 21, rustc: 22 });
    }
}
