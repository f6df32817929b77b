//! `build` and `run`: the release build of the daemon, and starting it.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;

use anyhow::{Context as _, Result};

use crate::ebpf;
use crate::process::{self, heading};
use crate::project::Project;

/// Builds the kernel programs and the daemon around them.
pub(crate) fn build(project: &Project) -> Result<()> {
    ebpf::build(project, ebpf::Options::default())?;
    build_release(project, "collector")?;
    println!("    {}", project.daemon().display());
    Ok(())
}

/// `cargo build --release` of one package.
pub(crate) fn build_release(project: &Project, package: &str) -> Result<()> {
    heading(&format!("building {package} (release)"));
    process::run(project.cargo().args(["build", "--release", "--package", package]))
}

/// Builds, then becomes the daemon, so that a signal reaches it and its exit code is this one's.
pub(crate) fn run(project: &Project, arguments: &[OsString]) -> Result<()> {
    build(project)?;
    let mut daemon = process::as_root(project.daemon(), &[], "loading programs into the kernel (`uidmeter run`)")?;
    daemon.arg("run").args(arguments);
    heading(&format!("starting {}", process::display(&daemon)));
    let error = daemon.exec();
    Err(error).with_context(|| format!("cannot start `{}`", process::display(&daemon)))
}
