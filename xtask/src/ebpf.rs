//! Builds the kernel programs and puts them where the collector's build script looks: `target/bpf/*.bpf.o`.
//! A file is replaced only when its content changed, so that cargo rebuilds nothing without need.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::linker::Linker;
use crate::process::{self, heading};
use crate::project::Project;
use crate::setup;
use crate::toolchain::Toolchain;

/// Little-endian BPF: what every supported machine runs.
const TARGET: &str = "bpfel-unknown-none";

/// The instruction set. v3 (32-bit registers and jumps) is in every kernel from 5.1, and uidmeter needs 5.11.
const CPU: &str = "v3";

/// The package that holds the programs, and its cargo profile.
const PACKAGE: &str = "collector-ebpf";
const PROFILE: &str = "bpf";

/// What goes into the kernel programs.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Options {
    /// With aya-log, which slows down every event: for debugging only.
    pub(crate) debug_log: bool,
}

/// Builds both objects, after installing the build tools if they are missing.
pub(crate) fn build(project: &Project, options: Options) -> Result<()> {
    let (toolchain, linker) = setup::build_tools(project)?;
    heading(&format!("building the kernel programs with {toolchain}"));
    let mut cargo = cargo(project, &toolchain, &linker, &[]);
    cargo.arg("build");
    selection(&mut cargo, options);
    process::run(cargo.args(["--bins", "--profile", PROFILE]))?;

    let built = build_folder(project).join(TARGET).join(PROFILE);
    install(&built.join("uidmeter-bpf"), &project.programs())?;
    install(&built.join("reference-bpf"), &project.reference())
}

/// The toolchain's cargo, set up for the BPF target, with `extra` flags for rustc. The verb comes next.
pub(crate) fn cargo(project: &Project, toolchain: &Toolchain, linker: &Linker, extra: &[&str]) -> Command {
    let cpu = format!("-Ctarget-cpu={CPU}");
    // The object names its source lines: relative to the repository, not to this machine.
    let remap = format!("--remap-path-prefix={}=.", project.root().display());
    // BTF-defined maps are described by debug information, which the linker turns into BTF.
    let mut flags = vec!["-Cdebuginfo=2", "-Clink-arg=--btf", &cpu, &remap];
    flags.extend(extra);

    let mut cargo = toolchain.command();
    cargo
        .current_dir(project.root())
        .env("CARGO_TARGET_DIR", build_folder(project))
        .env("CARGO_TARGET_BPFEL_UNKNOWN_NONE_LINKER", &linker.path)
        // This form alone allows for a space inside a flag, such as in the repository's path.
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
    cargo
}

/// What to build and for what, for any of cargo's verbs.
pub(crate) fn selection(cargo: &mut Command, options: Options) {
    cargo.args(["--package", PACKAGE, "--target", TARGET]).args([
        "-Z",
        "build-std=core",
        "--features",
        features(options),
    ]);
}

/// The features that turn the programs on.
fn features(options: Options) -> &'static str {
    if options.debug_log { "programs,debug-log" } else { "programs" }
}

/// A target folder of its own: the host's builds use another rustc and would throw each other's work away.
fn build_folder(project: &Project) -> PathBuf {
    project.target().join("bpf-build")
}

/// Copies `from` to `to` in one step, and leaves `to` untouched if it is the same already.
fn install(from: &Path, to: &Path) -> Result<()> {
    let content = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    let unchanged = fs::read(to).is_ok_and(|present| present == content);
    if !unchanged {
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        }
        let temporary = to.with_extension("o.new");
        fs::write(&temporary, &content).with_context(|| format!("cannot write {}", temporary.display()))?;
        fs::rename(&temporary, to).with_context(|| format!("cannot move {} into place", temporary.display()))?;
    }
    println!(
        "    {} ({} KiB, {})",
        to.display(),
        content.len().div_ceil(1024),
        if unchanged { "unchanged" } else { "new" }
    );
    Ok(())
}
