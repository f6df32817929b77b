//! `setup`: finds what is missing for a purpose, says what it installs and why, and installs it.
//!
//! Changes the machine through apt, rustup and `cargo install` only, and only for what it has announced.
//! Never removes a package. What the purposes need is in `setup/plan.rs`.

mod backports;
mod plan;

use std::ffi::OsStr;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::linker::{self, Linker};
use crate::process::{self, Unavailable, heading};
use crate::project::Project;
use crate::setup::plan::Step;
pub(crate) use crate::setup::plan::static_busybox;
use crate::toolchain::Toolchain;

/// What somebody is about to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Build the kernel programs.
    Build,
    /// Check format and clippy.
    Lint,
    /// Boot other kernels.
    Vm,
    /// Measure.
    Bench,
    /// Test with real clients.
    Peers,
    /// Hold the fleet kit against the programs that read it.
    Fleet,
}

/// Installing one thing may show that another is missing (which LLVM, is known once rustc is there).
const ROUNDS: usize = 3;

/// The command: everything that any purpose needs.
pub(crate) fn everything(project: &Project, dry_run: bool) -> Result<()> {
    let purposes = [Purpose::Build, Purpose::Lint, Purpose::Vm, Purpose::Bench, Purpose::Peers, Purpose::Fleet];
    if dry_run {
        let steps = plan::missing(project, &purposes)?;
        for step in &steps {
            println!("would install {step}");
        }
        if steps.is_empty() {
            println!("nothing to do: everything is installed");
        }
        return Ok(());
    }
    if !ensure(project, &purposes)? {
        println!("nothing to do: everything is installed");
    }
    Ok(())
}

/// Installs what `purposes` lack; `false` means that nothing was missing.
pub(crate) fn ensure(project: &Project, purposes: &[Purpose]) -> Result<bool> {
    complete(project, purposes).context(Unavailable("this machine lacks something that cannot be installed".to_owned()))
}

fn complete(project: &Project, purposes: &[Purpose]) -> Result<bool> {
    let mut refreshed = false;
    for round in 0..ROUNDS {
        let mut steps = plan::missing(project, purposes);
        if !refreshed && needs_fresh_lists(&steps) {
            // What apt can offer decides what is planned.
            refresh()?;
            refreshed = true;
            steps = plan::missing(project, purposes);
        }
        let steps = steps?;
        if steps.is_empty() {
            return Ok(round > 0);
        }
        heading("installing what is missing");
        for step in &steps {
            println!("    {step}");
        }
        install(project, &steps)?;
    }
    let left = plan::missing(project, purposes)?;
    if left.is_empty() {
        return Ok(true);
    }
    let left: Vec<String> = left.iter().map(ToString::to_string).collect();
    bail!("still missing after the installation: {}", left.join("; "))
}

/// The two tools for the kernel programs, installed if need be and checked against each other.
pub(crate) fn build_tools(project: &Project) -> Result<(Toolchain, Linker)> {
    ensure(project, &[Purpose::Build])?;
    let toolchain = Toolchain::find()?.context("no Rust toolchain for BPF was found")?;
    let linker = Linker::find().context("no bpf-linker was found")?;
    linker.check(&toolchain)?;
    Ok((toolchain, linker))
}

/// Not for a plan that asks nothing of apt: nothing missing, or bpf-linker alone with an LLVM that is there.
fn needs_fresh_lists(steps: &Result<Vec<Step>>) -> bool {
    let settled = |step: &Step| matches!(step, Step::Linker { llvm: Some(_), .. });
    process::find_program("apt-get").is_some() && steps.as_ref().map_or(true, |steps| !steps.iter().all(settled))
}

fn refresh() -> Result<()> {
    heading("something is missing: apt-get update");
    process::run(apt_get()?.arg("update"))
}

fn apt_get() -> Result<Command> {
    let variables = [("DEBIAN_FRONTEND", OsStr::new("noninteractive"))];
    process::as_root("apt-get", &variables, "installing packages")
}

fn install(project: &Project, steps: &[Step]) -> Result<()> {
    for step in steps {
        match step {
            Step::Apt { packages, .. } => install_packages(packages)?,
            Step::LinkerLater { .. } => {}
            Step::Rustup { arguments, .. } => {
                heading(&step.to_string());
                process::run(Command::new("rustup").args(*arguments))?;
            }
            Step::Linker { llvm, .. } => install_linker(project, *llvm)?,
        }
    }
    Ok(())
}

/// Packages of one step together, each step by itself: what cannot be installed does not keep back the rest.
fn install_packages(packages: &[String]) -> Result<()> {
    heading(&format!("apt-get install {}", packages.join(" ")));
    let mut install = apt_get()?;
    install.args(["install", "--yes", "--no-remove", "--no-install-recommends"]).args(packages);
    let Err(refusal) = process::run(&mut install) else {
        return Ok(());
    };
    backports::install(packages, apt_get).map_err(|second| refusal.context(format!("nor from backports: {second:#}")))
}

/// `llvm` names Debian's LLVM; without it, bpf-linker looks for whatever the machine offers.
fn install_linker(project: &Project, llvm: Option<u32>) -> Result<()> {
    heading(&format!("cargo install bpf-linker {} (a minute)", linker::VERSION));
    let mut cargo = project.cargo();
    cargo
        .current_dir("/")
        .env_remove("CARGO_TARGET_DIR")
        .args(["install", "bpf-linker", "--locked", "--force"])
        .args(["--version", linker::VERSION]);
    if let Some(major) = llvm {
        cargo
            .env("LLVM_PREFIX", plan::llvm_prefix(major))
            .args(["--no-default-features", "--features"])
            .arg(format!("llvm-{major}"));
    }
    process::run(&mut cargo).context(
        "bpf-linker could not be built: it needs the development files of the compiler's LLVM \
         (a package like llvm-NN-dev, see apt.llvm.org), or put a released bpf-linker binary on the PATH",
    )
}
