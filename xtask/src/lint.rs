//! `lint`: format, clippy on the host and for BPF, the direction of imports, the size of files.
//! Every check runs, so that one round shows every finding.

mod imports;
mod sizes;
mod tokens;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::ebpf;
use crate::process::{self, heading};
use crate::project::Project;
use crate::setup::{self, Purpose};

/// Prints what it finds; `true` if that is nothing.
type Check = fn(&Project) -> Result<bool>;

/// How many checks held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Checks that found nothing.
    pub(crate) passed: usize,
    /// Checks with findings.
    pub(crate) failed: usize,
}

/// The command: runs all checks and says at the end which failed.
pub(crate) fn command(project: &Project) -> Result<bool> {
    let outcome = run(project)?;
    println!("lint: {} checks passed, {} failed", outcome.passed, outcome.failed);
    Ok(outcome.failed == 0)
}

/// Runs all checks.
pub(crate) fn run(project: &Project) -> Result<Outcome> {
    setup::ensure(project, &[Purpose::Build, Purpose::Lint])?;
    let checks: [(&str, Check); 6] = [
        ("format", format),
        ("clippy: programs of the host", clippy_host),
        ("clippy: layout shared with the kernel programs", clippy_layout),
        ("clippy: kernel programs", clippy_bpf),
        ("direction of imports", imports::check),
        ("size of files", sizes::check),
    ];
    let mut outcome = Outcome::default();
    for (name, check) in checks {
        heading(&format!("lint: {name}"));
        if check(project)? {
            outcome.passed += 1;
        } else {
            println!("    FAILED: {name}");
            outcome.failed += 1;
        }
    }
    Ok(outcome)
}

/// Names the files alone: `cargo fmt` shows, and mends, what is in them.
fn format(project: &Project) -> Result<bool> {
    process::succeeds(project.cargo().args(["fmt", "--all", "--check", "--", "--files-with-diff"]))
}

/// Every feature at once: none of the host's features excludes another.
fn clippy_host(project: &Project) -> Result<bool> {
    process::succeeds(project.cargo().args(["clippy", "--workspace", "--exclude", "collector-ebpf"]).args([
        "--all-targets",
        "--all-features",
        "--",
        "-D",
        "warnings",
    ]))
}

/// Without features: those of this package compile for BPF only.
fn clippy_layout(project: &Project) -> Result<bool> {
    process::succeeds(
        project
            .cargo()
            .args(["clippy", "--package", "collector-ebpf", "--lib", "--tests"])
            .args(["--", "-D", "warnings"]),
    )
}

/// With the clippy of the compiler that builds the programs; without one, at least its own warnings.
fn clippy_bpf(project: &Project) -> Result<bool> {
    let (toolchain, linker) = setup::build_tools(project)?;
    let clippy = toolchain.sibling("clippy-driver").and(toolchain.sibling("cargo-clippy"));
    if clippy.is_none() {
        println!("    {toolchain} has no clippy: its own warnings are checked, clippy's are not");
    }
    let mut held = true;
    for debug_log in [false, true] {
        let flags: &[&str] = if clippy.is_some() { &[] } else { &["-Dwarnings"] };
        let mut command = ebpf::cargo(project, &toolchain, &linker, flags);
        if let Some(clippy) = &clippy {
            // By its path: cargo would look in its own folder first and find another toolchain's.
            command = with_surroundings_of(&command, clippy);
            command.env("CARGO", &toolchain.cargo).arg("clippy");
        } else {
            command.arg("check");
        }
        ebpf::selection(&mut command, ebpf::Options { debug_log });
        command.arg("--bins");
        if clippy.is_some() {
            command.args(["--", "-D", "warnings"]);
        }
        held &= process::succeeds(&mut command)?;
    }
    Ok(held)
}

/// `program` with the environment and the folder of `other`.
fn with_surroundings_of(other: &Command, program: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, value) in other.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    if let Some(folder) = other.get_current_dir() {
        command.current_dir(folder);
    }
    command
}

/// Every file below `folder` with one of the extensions, in order; build products and hidden folders apart.
fn files(folder: &Path, extensions: &[&str]) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut entries: Vec<PathBuf> = fs::read_dir(folder)
        .with_context(|| format!("cannot list {}", folder.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    entries.sort();
    for path in entries {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() {
            if name != "target" && !name.starts_with('.') {
                found.extend(files(&path, extensions)?);
            }
        } else if path.extension().is_some_and(|extension| extensions.iter().any(|wanted| extension == *wanted)) {
            found.push(path);
        }
    }
    Ok(found)
}
