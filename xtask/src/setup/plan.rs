//! What each purpose needs, and which of it this machine lacks. Reads only; the steps are carried out by
//! the parent module.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::linker::{self, Linker, Match};
use crate::process::{self, find_program};
use crate::project::Project;
use crate::setup::Purpose;
use crate::toolchain::{Origin, Toolchain};

/// The workspace's minimum Rust, which the kernel programs share.
const MINIMUM_RUST: &str = env!("CARGO_PKG_RUST_VERSION");

/// A compiler, its cargo, the sources of `core`, clippy and rustfmt, as distributions name them. Debian keeps
/// one that is new enough for browsers beside the one of its release.
const RUST_PACKAGES: [[&str; 5]; 2] = [
    ["rustc-web", "cargo-web", "rust-web-src", "rust-web-clippy", "rustfmt-web"],
    ["rustc", "cargo", "rust-src", "rust-clippy", "rustfmt"],
];

/// One thing to install, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Packages of the distribution.
    Apt {
        /// Their names.
        packages: Vec<String>,
        /// What they are for.
        why: &'static str,
    },
    /// A call of rustup.
    Rustup {
        /// Its arguments.
        arguments: &'static [&'static str],
        /// What it is for.
        why: &'static str,
    },
    /// bpf-linker, once the compiler is there and its LLVM is known.
    LinkerLater {
        /// What it is for.
        why: &'static str,
    },
    /// bpf-linker, from its sources.
    Linker {
        /// Debian's LLVM to build it with, if there is one that fits.
        llvm: Option<u32>,
        /// What it is for.
        why: &'static str,
    },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Apt { packages, why } => write!(f, "{} (apt): {why}", packages.join(" ")),
            Self::Rustup { arguments, why } => write!(f, "rustup {}: {why}", arguments.join(" ")),
            Self::LinkerLater { why } => {
                write!(f, "bpf-linker {} with that compiler's LLVM (cargo install): {why}", linker::VERSION)
            }
            Self::Linker { llvm: Some(llvm), why } => {
                write!(f, "bpf-linker {} with LLVM {llvm} (cargo install): {why}", linker::VERSION)
            }
            Self::Linker { llvm: None, why } => {
                write!(f, "bpf-linker {} (cargo install): {why}", linker::VERSION)
            }
        }
    }
}

/// What this machine lacks for `purposes`, in the order of installation.
pub(super) fn missing(project: &Project, purposes: &[Purpose]) -> Result<Vec<Step>> {
    let mut steps = Vec::new();
    for purpose in purposes {
        match purpose {
            Purpose::Build => build_steps(&mut steps)?,
            Purpose::Lint => lint_steps(project, &mut steps)?,
            Purpose::Vm => {
                if find_program("qemu-system-x86_64").is_none() {
                    steps.push(apt(&["qemu-system-x86"], "boots the test kernels")?);
                }
                if static_busybox().is_none() {
                    steps.push(apt(&["busybox-static"], "the tools inside the test VMs")?);
                }
                if find_program("debootstrap").is_none() {
                    steps.push(apt(&["debootstrap"], "makes the test VM with systemd")?);
                }
            }
            Purpose::Bench => {
                if find_program("perf").is_none() {
                    let package = first_known(&["linux-perf", "linux-tools-generic"]);
                    steps.push(apt(&[package], "`perf bench sched pipe` makes the measured load")?);
                }
            }
            Purpose::Peers => {
                let wanted = packages_of(&[("curl", "curl"), ("openssl", "openssl")]);
                if !wanted.is_empty() {
                    steps.push(apt(&wanted, "clients that the web server is tested with")?);
                }
            }
            Purpose::Fleet => {
                let wanted = packages_of(&FLEET);
                if !wanted.is_empty() {
                    steps.push(apt(
                        &wanted,
                        "what checks of the fleet kit run beside servers that they fetch themselves",
                    )?);
                }
            }
        }
    }
    Ok(steps)
}

/// Programs of the fleet kit's checks, and the packages that have them.
const FLEET: [(&str, &str); 7] = [
    ("curl", "curl"),
    ("dbus-daemon", "dbus-daemon"),
    ("ip", "iproute2"),
    ("jq", "jq"),
    ("npm", "npm"),
    ("python3", "python3-venv"),
    ("systemd-analyze", "systemd"),
];

/// Packages of those programs that are not there.
fn packages_of(programs: &[(&str, &'static str)]) -> Vec<&'static str> {
    programs.iter().filter(|(program, _)| find_program(program).is_none()).map(|(_, package)| *package).collect()
}

fn build_steps(steps: &mut Vec<Step>) -> Result<()> {
    const WHY_RUST: &str = "a Rust compiler with the sources of `core`, which is built anew for the kernel programs";
    const WHY_LINKER: &str = "links the kernel programs and writes their BTF";

    let Some(toolchain) = Toolchain::find()? else {
        if let Some(names) = rust_packages() {
            steps.push(apt(&names[..3], WHY_RUST)?);
        } else if find_program("rustup").is_some() {
            steps.push(Step::Rustup {
                arguments: &["toolchain", "install", "nightly", "--profile", "minimal", "--component", "rust-src"],
                why: WHY_RUST,
            });
        } else {
            bail!(
                "building the kernel programs needs Rust {MINIMUM_RUST} or newer with the sources of \
                 `core`, and neither apt nor rustup offers one here: install rustup, then \
                 `rustup toolchain install nightly --component rust-src`"
            );
        }
        if Linker::find().is_none() {
            steps.push(Step::LinkerLater { why: WHY_LINKER });
        }
        return Ok(());
    };

    let fits = Linker::find().map(|linker| linker.fits(&toolchain));
    if matches!(fits, Some(Match::Good | Match::Unknown)) {
        return Ok(());
    }
    let llvm = toolchain.llvm_major;
    let names =
        [format!("llvm-{llvm}-dev"), format!("libpolly-{llvm}-dev"), "zlib1g-dev".to_owned(), "libzstd-dev".to_owned()];
    if is_known(&names[0]) {
        let wanted: Vec<&str> = names.iter().map(String::as_str).filter(|name| !is_installed(name)).collect();
        if !wanted.is_empty() {
            steps.push(apt(&wanted, "the compiler's LLVM, which bpf-linker is built with")?);
        }
        steps.push(Step::Linker { llvm: Some(llvm), why: WHY_LINKER });
    } else {
        let llvm = llvm_prefix(llvm).is_dir().then_some(llvm);
        steps.push(Step::Linker { llvm, why: WHY_LINKER });
    }
    Ok(())
}

fn lint_steps(project: &Project, steps: &mut Vec<Step>) -> Result<()> {
    const WHY: &str = "the lint checks format and clippy";
    const WHY_BPF: &str = "clippy of the kernel programs comes with the compiler that builds them";

    let has = |verb: &str| process::capture(project.cargo().args([verb, "--version"])).is_ok();
    if !has("clippy") || !has("fmt") {
        if find_program("rustup").is_some() {
            steps.push(Step::Rustup { arguments: &["component", "add", "clippy", "rustfmt"], why: WHY });
        } else if let Some(names) = rust_packages() {
            steps.push(apt(&names[3..], WHY)?);
            return Ok(());
        }
    }
    match Toolchain::find()? {
        Some(toolchain) if toolchain.sibling("clippy-driver").is_some() => {}
        Some(toolchain) if toolchain.origin == Origin::Override => {}
        Some(toolchain) if toolchain.origin == Origin::RustupNightly => steps
            .push(Step::Rustup { arguments: &["component", "add", "clippy", "--toolchain", "nightly"], why: WHY_BPF }),
        _ => {
            if let Some(names) = rust_packages() {
                steps.push(apt(&names[3..4], WHY_BPF)?);
            }
        }
    }
    Ok(())
}

/// A step for apt, or on a machine without apt the sentence that says what to install.
fn apt(packages: &[&str], why: &'static str) -> Result<Step> {
    if find_program("apt-get").is_none() {
        bail!(
            "this machine lacks what Debian calls {} ({why}) and has no apt: install it by hand, \
             then run the same command again",
            packages.join(", ")
        );
    }
    Ok(Step::Apt { packages: packages.iter().map(ToString::to_string).collect(), why })
}

/// The distribution's names for a Rust that is new enough.
fn rust_packages() -> Option<[&'static str; 5]> {
    let versions = RUST_PACKAGES.map(|names| candidate(names[0]));
    if versions.iter().all(Option::is_none) && find_program("apt-get").is_some() {
        // apt's lists are empty, as on a fresh machine before its first update: Debian's names, then.
        return Some(RUST_PACKAGES[0]);
    }
    versions.iter().position(|version| version.as_deref().is_some_and(is_new_enough)).map(|index| RUST_PACKAGES[index])
}

/// The version that apt would install.
fn candidate(package: &str) -> Option<String> {
    let policy = process::capture(Command::new("apt-cache").args(["policy", package])).ok()?;
    let version = policy.lines().find_map(|line| line.trim().strip_prefix("Candidate: "))?;
    (version != "(none)").then(|| version.to_owned())
}

fn is_known(package: &str) -> bool {
    candidate(package).is_some()
}

fn first_known<'a>(packages: &[&'a str]) -> &'a str {
    packages.iter().find(|package| is_known(package)).unwrap_or(&packages[0])
}

fn is_installed(package: &str) -> bool {
    let mut ask = Command::new("dpkg-query");
    process::capture(ask.args(["--show", "--showformat=${db:Status-Status}", package]))
        .is_ok_and(|status| status == "installed")
}

/// Compares the first two numbers of `1.96.0+dfsg1-1` with the minimum.
fn is_new_enough(version: &str) -> bool {
    let numbers = |text: &str| -> Vec<u32> {
        text.split(|c: char| !c.is_ascii_digit()).take(2).filter_map(|part| part.parse().ok()).collect()
    };
    numbers(version) >= numbers(MINIMUM_RUST)
}

/// Where Debian puts an LLVM.
pub(super) fn llvm_prefix(major: u32) -> PathBuf {
    PathBuf::from(format!("/usr/lib/llvm-{major}"))
}

/// A busybox that runs without shared libraries. Debian's dynamic one has the same name.
pub(crate) fn static_busybox() -> Option<PathBuf> {
    ["/bin/busybox", "/usr/bin/busybox"]
        .into_iter()
        .map(Path::new)
        .find(|path| path.is_file() && is_static(path))
        .map(Path::to_path_buf)
}

/// ldd fails for a static executable, or says so.
fn is_static(path: &Path) -> bool {
    process::capture(Command::new("ldd").arg(path)).map_or(true, |libraries| libraries.contains("statically linked"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert!(is_new_enough("1.96.0+dfsg1-1~deb12u2"));
        assert!(is_new_enough("1.100.0"));
        assert!(!is_new_enough("1.63.0+dfsg1-2"));
        assert!(!is_new_enough("1.85.0+dfsg3-1"));
    }

    #[test]
    fn a_step_says_in_one_line_what_it_installs_and_why() {
        let step = Step::Apt { packages: vec!["a".to_owned(), "b".to_owned()], why: "needed" };
        assert_eq!(step.to_string(), "a b (apt): needed");
    }
}
