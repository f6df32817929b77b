//! `bench`: measurements that need the release build, root and the machine's own kernel. The load-test
//! program measures; this module gives it what it needs. A new bench is a new variant.

use std::ffi::{OsStr, OsString};

use anyhow::Result;
use clap::Subcommand;

use crate::daemon;
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
}

/// Builds, measures, and says whether the bench met its targets.
pub(crate) fn command(project: &Project, bench: &Bench) -> Result<bool> {
    let (name, arguments) = match bench {
        Bench::Overhead { arguments } => ("overhead", arguments),
    };
    setup::ensure(project, &[Purpose::Build, Purpose::Bench])?;
    daemon::build(project)?;
    daemon::build_release(project, "loadtests")?;

    let (uidmeter, reference) = (project.daemon(), project.reference());
    let variables: [(&str, &OsStr); 2] =
        [("UIDMETER_BIN", uidmeter.as_os_str()), ("UIDMETER_REFERENCE_BPF", reference.as_os_str())];
    let mut measure = process::as_root(project.loadtests(), &variables, "measuring the kernel")?;
    measure.current_dir(project.root()).arg(name).args(arguments);
    heading(&format!("measuring: {}", process::display(&measure)));
    process::succeeds(&mut measure)
}
