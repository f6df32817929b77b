//! What each tier runs. The tier `vm` has a module of its own.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::daemon;
use crate::packages::{self, Wanted};
use crate::process;
use crate::project::Project;
use crate::test::counts::Counts;
use crate::test::executables::{self, Target};

/// The oldest and the newest Prometheus that somebody may run: the suite, and what the tests call it.
const PROMETHEUS: [(&str, &str); 2] = [("2", "bookworm"), ("3", "sid")];

/// Everything that needs neither root nor a server: other targets ask for features that are off here.
pub(super) fn unit(project: &Project) -> Result<Counts> {
    Counts::of_command(project.cargo().args(["test", "--workspace"]))
}

/// The kernel suite on this machine's own kernel.
pub(super) fn kernel(project: &Project) -> Result<Counts> {
    let mut suite = privileged(project, executables::KERNEL, &[])?;
    Counts::of_command(&mut suite)
}

/// The daemon scraped by real servers.
pub(super) fn peers(project: &Project) -> Result<Counts> {
    let mut programs = Vec::new();
    for (major, suite) in PROMETHEUS {
        let package = packages::unpacked(Wanted {
            suite,
            pattern: "prometheus",
        })?;
        for program in ["prometheus", "promtool"] {
            let path = package.join("usr/bin").join(program);
            // A program that does not start here would fail every test for the wrong reason.
            process::capture(Command::new(&path).arg("--version")).with_context(|| {
                format!("Debian {suite}'s {program} does not run on this machine")
            })?;
            programs.push((format!("UIDMETER_{}_{major}", program.to_uppercase()), path));
        }
    }
    let mut suite = privileged(project, executables::PEERS, &programs)?;
    Counts::of_command(&mut suite)
}

/// A test executable, built as this user, to be run as root one test at a time: the tests attach to the whole
/// machine's scheduler and would measure each other.
fn privileged(
    project: &Project,
    target: Target,
    programs: &[(String, PathBuf)],
) -> Result<Command> {
    daemon::build(project)?;
    let executable = executables::build(project, target)?;
    let daemon = project.daemon();
    let mut variables: Vec<(&str, &OsStr)> = vec![("UIDMETER_BIN", daemon.as_os_str())];
    variables.extend(
        programs
            .iter()
            .map(|(name, path)| (name.as_str(), Path::as_os_str(path))),
    );
    let mut command = process::as_root(executable, &variables, "testing on this machine's kernel")?;
    command
        .current_dir(project.root().join("collector"))
        .arg("--test-threads=1");
    Ok(command)
}
