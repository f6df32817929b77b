//! `vm-test limits`: what limits do, in two machines. One has cgroup v2 and no systemd; the other has systemd as its first process.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::process::heading;
use crate::project::Project;
use crate::setup::{self, Purpose};
use crate::test::counts::Counts;
use crate::test::executables;
use crate::vm::initramfs::{self, Contents};
use crate::vm::kernels::{self, Expectation};
use crate::vm::qemu::Machine;
use crate::vm::{Bounds, cases, debian};

/// Arguments of `vm-test limits`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The machine to boot; both if none is named.
    machine: Option<Kind>,
    /// The kernel to boot.
    #[arg(long, default_value = KERNEL, value_name = "NAME")]
    kernel: String,
    /// The daemon to test, instead of building one.
    #[arg(long, value_name = "PATH")]
    daemon: Option<PathBuf>,
    /// The suite's executable, instead of building it.
    #[arg(long, value_name = "PATH")]
    suite: Option<PathBuf>,
    /// Seconds that one machine may take.
    #[arg(long, default_value_t = TIME_LIMIT_SECONDS, value_name = "SECONDS")]
    time_limit: u64,
    /// Only the tests whose name contains this.
    #[arg(long, value_name = "TEXT", default_value = "")]
    filter: String,
    /// Machines to run at once; each keeps one CPU busy.
    #[arg(long, default_value_t = super::one_per_cpu(), value_name = "COUNT")]
    jobs: usize,
}

/// Who keeps the cgroups of users.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    /// Nobody: uidmeter writes them itself.
    Cgroupfs,
    /// systemd: uidmeter asks it over D-Bus.
    Systemd,
}

/// Debian's newest for the release that the machine with systemd is.
const KERNEL: &str = "6.12";

const TIME_LIMIT_SECONDS: u64 = 900;

impl Kind {
    const ALL: [Self; 2] = [Self::Cgroupfs, Self::Systemd];

    /// The suite reads it from `UIDMETER_LIMITS_MACHINE`.
    fn name(self) -> &'static str {
        match self {
            Self::Cgroupfs => "cgroupfs",
            Self::Systemd => "systemd",
        }
    }

    /// A root that is only a file system in memory takes its size of it, twice while it is unpacked.
    fn memory_mib(self) -> u32 {
        match self {
            Self::Cgroupfs => 1024,
            Self::Systemd => 2048,
        }
    }
}

/// Both machines, with what the command has by default.
pub(crate) fn run_all(project: &Project) -> Result<Counts> {
    let arguments = Arguments {
        machine: None,
        kernel: KERNEL.to_owned(),
        daemon: None,
        suite: None,
        time_limit: TIME_LIMIT_SECONDS,
        filter: String::new(),
        jobs: super::one_per_cpu(),
    };
    run(project, &arguments)
}

/// Boots what was asked for, and prints a line for each test.
pub(super) fn run(project: &Project, arguments: &Arguments) -> Result<Counts> {
    super::check_architecture()?;
    let kernel = kernels::named(std::slice::from_ref(&arguments.kernel))?;
    let kernel = kernel.first().context("no kernel")?;
    setup::ensure(project, &[Purpose::Vm])?;
    let image = kernel.image()?;
    let kinds = arguments.machine.map_or(Kind::ALL.to_vec(), |kind| vec![kind]);
    let archives = pack(project, arguments, &kinds)?;

    let machines = kinds.into_iter().zip(archives).map(|(kind, archive)| {
        let machine = Machine {
            name: kind.name().to_owned(),
            image: image.clone(),
            archive,
            memory_mib: kind.memory_mib(),
            words: format!("uidmeter.mode=limits-{} uidmeter.filter={}", kind.name(), arguments.filter),
        };
        (machine, Expectation::Suite)
    });
    let bounds = Bounds { limit: Duration::from_secs(arguments.time_limit), jobs: arguments.jobs };
    let results = super::boot_all(machines.collect(), bounds);
    println!("{:<70} {:<9} {:<10} {:>7}", "case", "machine", "result", "seconds");
    for result in &results {
        for case in cases::of_console(&result.boot.lines) {
            let seconds = case.elapsed.as_secs_f64();
            println!("{:<70} {:<9} {:<10} {seconds:>7.1}", case.name, result.machine, case.result);
        }
    }
    Ok(super::summary(&results))
}

fn pack(project: &Project, arguments: &Arguments, kinds: &[Kind]) -> Result<Vec<PathBuf>> {
    let suite = super::suite(project, arguments.suite.as_deref(), executables::LIMITS)?;
    let uidmeter = super::daemon(project, arguments.daemon.as_deref())?;
    let busybox = setup::static_busybox().context("no static busybox was found")?;
    let contents = Contents { busybox: &busybox, uidmeter: &uidmeter, suite: &suite };
    heading("packing the initial file systems");
    kinds.iter().map(|kind| archive(project, *kind, &contents)).collect()
}

fn archive(project: &Project, kind: Kind, contents: &Contents<'_>) -> Result<PathBuf> {
    let goal: &Path = &project.target().join("vm").join(format!("limits-{}.cpio", kind.name()));
    match kind {
        Kind::Cgroupfs => initramfs::write(goal, contents)?,
        Kind::Systemd => initramfs::write_onto(&debian::root()?, goal, contents)?,
    }
    Ok(goal.to_path_buf())
}
