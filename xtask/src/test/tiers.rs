//! What each tier runs. The tiers `vm` and `limits` have a module of their own.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::daemon;
use crate::packages::{self, Wanted};
use crate::process::{self, Unavailable};
use crate::project::Project;
use crate::setup::{self, Purpose};
use crate::test::counts::Counts;
use crate::test::executables::{self, Target};

/// Every Prometheus that a supported Debian has, from the oldest that somebody may run to the newest: what the tests call the
/// program, and which package of which Debian holds it.
const PROMETHEUS: [(&str, &str, Wanted); 6] = [
    ("UIDMETER_PROMETHEUS_2_42", "prometheus", Wanted { suite: "bookworm", pattern: "prometheus" }),
    ("UIDMETER_PROMTOOL_2_42", "promtool", Wanted { suite: "bookworm", pattern: "prometheus" }),
    ("UIDMETER_PROMETHEUS_2_53", "prometheus", Wanted { suite: "trixie", pattern: "prometheus" }),
    ("UIDMETER_PROMTOOL_2_53", "promtool", Wanted { suite: "trixie", pattern: "promtool" }),
    ("UIDMETER_PROMETHEUS_3", "prometheus", Wanted { suite: "sid", pattern: "prometheus" }),
    ("UIDMETER_PROMTOOL_3", "promtool", Wanted { suite: "sid", pattern: "promtool" }),
];

/// Everything that needs neither root nor a server: other targets ask for features that are off here.
pub(super) fn unit(project: &Project) -> Result<Counts> {
    Counts::of_command(project.cargo().args(["test", "--workspace", "--no-fail-fast"]))
}

/// The kernel suite on this machine's own kernel.
pub(super) fn kernel(project: &Project) -> Result<Counts> {
    let mut suite = privileged(project, executables::KERNEL, &[])?;
    Counts::of_command(&mut suite)
}

/// The daemon scraped by real servers and asked by real clients.
pub(super) fn peers(project: &Project) -> Result<Counts> {
    setup::ensure(project, &[Purpose::Peers])?;
    let mut programs = Vec::new();
    for (variable, program, package) in PROMETHEUS {
        let path = packages::unpacked(package)?.join("usr/bin").join(program);
        // A program that does not start here would fail every test for the wrong reason.
        process::capture(Command::new(&path).arg("--version")).with_context(|| {
            let suite = package.suite;
            Unavailable(format!("{program} from Debian {suite} does not run on this machine"))
        })?;
        programs.push((variable, path));
    }
    let mut suite = privileged(project, executables::PEERS, &programs)?;
    Counts::of_command(&mut suite)
}

/// A test executable, built as this user, to be run as root one test at a time: the tests attach to the whole
/// machine's scheduler and would measure each other.
fn privileged(project: &Project, target: Target, programs: &[(&str, PathBuf)]) -> Result<Command> {
    daemon::build(project)?;
    let executable = executables::build(project, target)?;
    let daemon = project.daemon();
    let mut variables: Vec<(&str, &OsStr)> = vec![("UIDMETER_BIN", daemon.as_os_str())];
    variables.extend(programs.iter().map(|(name, path)| (*name, path.as_os_str())));
    let mut command = process::as_root(executable, &variables, "testing on this machine's kernel")?;
    command.current_dir(project.root().join("collector")).arg("--test-threads=1");
    Ok(command)
}
