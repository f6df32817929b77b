//! `vm-test`: boots Debian's kernels in QEMU without hardware virtualisation and runs the kernel suite in each;
//! on a kernel that is too old, checks that the daemon refuses in one clear sentence.
//! Needs no root, but once to make the root of the machine with systemd: the guest's first process is root there.

mod cases;
mod debian;
mod initramfs;
mod kernels;
mod limits;
mod newc;
mod qemu;
mod verdict;

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::daemon;
use crate::process::{Unavailable, heading};
use crate::project::Project;
use crate::setup::{self, Purpose};
use crate::test::counts::Counts;
use crate::test::executables;
use crate::vm::initramfs::Contents;
use crate::vm::kernels::Expectation;
use crate::vm::qemu::{Boot, Machine};
use crate::vm::verdict::Verdict;

pub(crate) use crate::vm::limits::run_all as run_limits;

/// Arguments of `vm-test`.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    other: Option<Other>,
    /// Kernels to boot, such as 6.1; all of them if none is named.
    kernels: Vec<String>,
    /// The daemon to test, instead of building one.
    #[arg(long, value_name = "PATH")]
    daemon: Option<PathBuf>,
    /// The kernel suite's executable, instead of building it.
    #[arg(long, value_name = "PATH")]
    suite: Option<PathBuf>,
    /// Seconds that one machine may take.
    #[arg(long, default_value_t = TIME_LIMIT_SECONDS, value_name = "SECONDS")]
    time_limit: u64,
    /// Only the tests whose name contains this.
    #[arg(long, value_name = "TEXT", default_value = "")]
    filter: String,
    /// Machines to run at once; each keeps one CPU busy.
    #[arg(long, default_value_t = one_per_cpu(), value_name = "COUNT")]
    jobs: usize,
}

/// A suite of its own.
#[derive(Clone, Debug, clap::Subcommand)]
enum Other {
    /// Run the suite of limits in a machine without systemd and in one with systemd as its first process.
    Limits(limits::Arguments),
}

/// A machine boots in 5 s; the suite inside runs at a fraction of the host's speed.
const TIME_LIMIT_SECONDS: u64 = 1500;

/// How long machines may run, and how many at once.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    limit: Duration,
    jobs: usize,
}

/// What a machine has proven, and its console.
#[derive(Clone, Debug)]
struct Outcome {
    machine: String,
    verdict: Verdict,
    boot: Boot,
}

/// The command: boots what was asked for; `false` if a machine failed.
pub(crate) fn command(project: &Project, arguments: &Arguments) -> Result<bool> {
    let counts = match &arguments.other {
        None => run(project, arguments)?,
        Some(Other::Limits(arguments)) => limits::run(project, arguments)?,
    };
    println!("vm-test: {counts}");
    Ok(counts.failed == 0)
}

/// Every kernel, or where somebody waits for the result those that differ most, with the limits that the command has by default.
pub(crate) fn run_all(project: &Project) -> Result<Counts> {
    let kernels = if crate::test::is_ci() {
        println!("    in a pipeline only the oldest and the newest kernel; `cargo xtask vm-test` boots all");
        kernels::EXTREMES.map(str::to_owned).to_vec()
    } else {
        Vec::new()
    };
    let arguments = Arguments { kernels, time_limit: TIME_LIMIT_SECONDS, jobs: one_per_cpu(), ..Arguments::default() };
    run(project, &arguments)
}

fn one_per_cpu() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

fn check_architecture() -> Result<()> {
    if std::env::consts::ARCH != "x86_64" {
        bail!(Unavailable(format!(
            "the test kernels are built for x86_64, and this machine is {}",
            std::env::consts::ARCH
        )));
    }
    Ok(())
}

fn run(project: &Project, arguments: &Arguments) -> Result<Counts> {
    check_architecture()?;
    let kernels = kernels::named(&arguments.kernels)?;
    setup::ensure(project, &[Purpose::Vm])?;
    let images = kernels.into_iter().map(|kernel| Ok((kernel, kernel.image()?))).collect::<Result<Vec<_>>>()?;
    let archive = pack(project, arguments)?;

    let machines = images.into_iter().map(|(kernel, image)| {
        let mode = match kernel.expectation {
            Expectation::Suite => "suite",
            Expectation::Refusal { .. } => "refusal",
        };
        let machine = Machine {
            name: kernel.name.to_owned(),
            image,
            archive: archive.clone(),
            memory_mib: 1024,
            words: format!("uidmeter.mode={mode} uidmeter.filter={}", arguments.filter),
        };
        (machine, kernel.expectation)
    });
    let bounds = Bounds { limit: Duration::from_secs(arguments.time_limit), jobs: arguments.jobs };
    Ok(summary(&boot_all(machines.collect(), bounds)))
}

/// Boots machines, some at a time; in the order in which they ended.
fn boot_all(machines: Vec<(Machine, Expectation)>, bounds: Bounds) -> Vec<Outcome> {
    heading(&format!("booting {} machines, at most {} s each", machines.len(), bounds.limit.as_secs()));
    let queue = Mutex::new(machines.into_iter());
    let outcomes = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..bounds.jobs.max(1) {
            scope.spawn(|| {
                loop {
                    // A statement of its own: the lock must be free while the machine runs.
                    let next = locked(&queue).next();
                    let Some((machine, expectation)) = next else { break };
                    let (verdict, boot) = match qemu::boot(&machine, bounds.limit) {
                        Ok(boot) => (verdict::judge(&machine.name, expectation, &boot), boot),
                        Err(error) => (Verdict::broken(&machine.name, &error), Boot::default()),
                    };
                    locked(&outcomes).push(Outcome { machine: machine.name, verdict, boot });
                }
            });
        }
    });
    outcomes.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Prints a line for each machine.
fn summary(outcomes: &[Outcome]) -> Counts {
    println!("{:<12} {:>7} {:>7} {:>8}  ", "machine", "passed", "failed", "seconds");
    for outcome in outcomes {
        println!("{}", outcome.verdict);
    }
    outcomes.iter().map(|outcome| outcome.verdict.counts).sum()
}

/// One archive serves all kernels.
fn pack(project: &Project, arguments: &Arguments) -> Result<PathBuf> {
    let suite = suite(project, arguments.suite.as_deref(), executables::KERNEL)?;
    let uidmeter = daemon(project, arguments.daemon.as_deref())?;
    let busybox = setup::static_busybox().context("no static busybox was found")?;
    let archive = project.target().join("vm/initramfs.cpio");
    heading("packing the initial file system");
    initramfs::write(&archive, &Contents { busybox: &busybox, uidmeter: &uidmeter, suite: &suite })?;
    Ok(archive)
}

/// The suite that was named, or one that is built now.
fn suite(project: &Project, named: Option<&Path>, target: executables::Target) -> Result<PathBuf> {
    named.map_or_else(|| executables::build(project, target), |path| Ok(path.to_path_buf()))
}

/// The daemon that was named, or one that is built now.
fn daemon(project: &Project, named: Option<&Path>) -> Result<PathBuf> {
    if let Some(path) = named {
        return Ok(path.to_path_buf());
    }
    daemon::build(project)?;
    Ok(project.daemon())
}

/// A poisoned lock means that another thread panicked; what it guards here is whole at any time.
fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
