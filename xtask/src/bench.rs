//! `bench`: measurements that need the release build, root and the machine's own kernel. The load-test
//! program measures; this module gives it what it needs. A new bench is a new variant.

use std::ffi::{OsStr, OsString};
use std::process::Command;

use anyhow::Result;
use clap::Subcommand;

use crate::daemon;
use crate::packages::{self, Wanted};
use crate::process::{self, heading};
use crate::project::Project;
use crate::setup::{self, Purpose};

/// What can be measured.
#[derive(Debug, Subcommand)]
pub(crate) enum Bench {
    /// The cost of a context switch and of `perf bench sched pipe`, with the daemon on and off.
    Overhead {
        /// Arguments for `loadtests overhead`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// The cost of a scrape of a thousand users in each format, beside other exporters.
    Scrape {
        /// Arguments for `loadtests scrape`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Whether Prometheus can watch a thousand hosts, and what that costs both sides.
    Fleet {
        /// Arguments for `loadtests fleet`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// The cost of evaluating a policy for a thousand users.
    Policy {
        /// Arguments for `loadtests policy`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
}

/// The exporters to compare with: what the load-test program calls them, and Debian's packages.
const EXPORTERS: [(&str, Wanted); 2] = [
    ("UIDMETER_NODE_EXPORTER", Wanted { suite: "bookworm", pattern: "prometheus-node-exporter" }),
    ("UIDMETER_PROCESS_EXPORTER", Wanted { suite: "bookworm", pattern: "prometheus-process-exporter" }),
];

/// The newest there is.
const PROMETHEUS: Wanted = Wanted { suite: "sid", pattern: "prometheus" };

/// Builds, measures, and says whether the bench met its targets.
pub(crate) fn command(project: &Project, bench: &Bench) -> Result<bool> {
    match bench {
        Bench::Overhead { arguments } => overhead(project, arguments),
        Bench::Scrape { arguments } => scrape(project, arguments),
        Bench::Fleet { arguments } => fleet(project, arguments),
        Bench::Policy { arguments } => policy(project, arguments),
    }
}

fn overhead(project: &Project, arguments: &[OsString]) -> Result<bool> {
    setup::ensure(project, &[Purpose::Build, Purpose::Bench])?;
    daemon::build(project)?;
    daemon::build_release(project, "loadtests")?;

    let (uidmeter, reference) = (project.daemon(), project.reference());
    let variables: [(&str, &OsStr); 2] =
        [("UIDMETER_BIN", uidmeter.as_os_str()), ("UIDMETER_REFERENCE_BPF", reference.as_os_str())];
    measure(project, "overhead", arguments, &variables)
}

/// Needs no kernel programs: the users are simulated.
fn scrape(project: &Project, arguments: &[OsString]) -> Result<bool> {
    let mut programs = Vec::new();
    for (variable, package) in EXPORTERS {
        programs.push((variable, packages::unpacked(package)?.join("usr/bin").join(package.pattern)));
    }
    daemon::build_release(project, "loadtests")?;
    let variables: Vec<(&str, &OsStr)> = programs.iter().map(|(name, path)| (*name, path.as_os_str())).collect();
    measure(project, "scrape", arguments, &variables)
}

/// Needs no root: hosts are simulated, and their addresses are this machine's own.
fn fleet(project: &Project, arguments: &[OsString]) -> Result<bool> {
    let prometheus = packages::unpacked(PROMETHEUS)?.join("usr/bin/prometheus");
    daemon::build_release(project, "loadtests")?;
    let mut measure = Command::new(project.loadtests());
    measure.env("UIDMETER_PROMETHEUS_3", prometheus).current_dir(project.root()).arg("fleet").args(arguments);
    heading(&format!("measuring: {}", process::display(&measure)));
    process::succeeds(&mut measure)
}

/// Needs neither kernel programs nor anything else: it computes.
fn policy(project: &Project, arguments: &[OsString]) -> Result<bool> {
    daemon::build_release(project, "loadtests")?;
    measure(project, "policy", arguments, &[])
}

fn measure(project: &Project, name: &str, arguments: &[OsString], variables: &[(&str, &OsStr)]) -> Result<bool> {
    let mut measure = process::as_root(project.loadtests(), variables, "measuring")?;
    measure.current_dir(project.root()).arg(name).args(arguments);
    heading(&format!("measuring: {}", process::display(&measure)));
    process::succeeds(&mut measure)
}
