//! `vm-test`: boots Debian's kernels in QEMU without hardware virtualisation and runs the kernel suite in each;
//! on a kernel that is too old, checks that the daemon refuses in one clear sentence.
//! Needs no root: the guest's first process is root there.

mod initramfs;
mod kernels;
mod newc;
mod qemu;
mod verdict;

use std::path::PathBuf;
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
use crate::vm::verdict::Verdict;

/// Arguments of `vm-test`.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Arguments {
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

/// A machine boots in 5 s; the suite inside runs at a fraction of the host's speed.
const TIME_LIMIT_SECONDS: u64 = 1500;

/// The command: boots what was asked for; `false` if a kernel failed.
pub(crate) fn command(project: &Project, arguments: &Arguments) -> Result<bool> {
    let counts = run(project, arguments)?;
    println!("vm-test: {counts}");
    Ok(counts.failed == 0)
}

/// Every kernel, with the limits that the command has by default.
pub(crate) fn run_all(project: &Project) -> Result<Counts> {
    let arguments = Arguments { time_limit: TIME_LIMIT_SECONDS, jobs: one_per_cpu(), ..Arguments::default() };
    run(project, &arguments)
}

fn one_per_cpu() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

fn run(project: &Project, arguments: &Arguments) -> Result<Counts> {
    if std::env::consts::ARCH != "x86_64" {
        bail!(Unavailable(format!(
            "the test kernels are built for x86_64, and this machine is {}",
            std::env::consts::ARCH
        )));
    }
    let kernels = kernels::named(&arguments.kernels)?;
    setup::ensure(project, &[Purpose::Vm])?;
    let images = kernels.into_iter().map(|kernel| Ok((kernel, kernel.image()?))).collect::<Result<Vec<_>>>()?;
    let archive = pack(project, arguments)?;

    let limit = Duration::from_secs(arguments.time_limit);
    heading(&format!("booting {} kernels, at most {} s each", images.len(), limit.as_secs()));
    let queue = Mutex::new(images.into_iter());
    let verdicts = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..arguments.jobs.max(1) {
            scope.spawn(|| {
                loop {
                    // A statement of its own: the lock must be free while the machine runs.
                    let next = locked(&queue).next();
                    let Some((kernel, image)) = next else { break };
                    let verdict = match qemu::boot(kernel, &image, &archive, &arguments.filter, limit) {
                        Ok(boot) => verdict::judge(kernel, &boot),
                        Err(error) => Verdict::broken(kernel, &error),
                    };
                    locked(&verdicts).push(verdict);
                }
            });
        }
    });
    let verdicts = locked(&verdicts);
    println!("{:<8} {:>7} {:>7} {:>8}  ", "kernel", "passed", "failed", "seconds");
    for verdict in verdicts.iter() {
        println!("{verdict}");
    }
    Ok(verdicts.iter().map(|verdict| verdict.counts).sum())
}

/// One archive serves all kernels.
fn pack(project: &Project, arguments: &Arguments) -> Result<PathBuf> {
    let suite = match &arguments.suite {
        Some(path) => path.clone(),
        None => executables::build(project, executables::KERNEL)?,
    };
    let uidmeter = if let Some(path) = &arguments.daemon {
        path.clone()
    } else {
        daemon::build(project)?;
        project.daemon()
    };
    let busybox = setup::static_busybox().context("no static busybox was found")?;
    let archive = project.target().join("vm/initramfs.cpio");
    heading("packing the initial file system");
    initramfs::write(&archive, &Contents { busybox: &busybox, uidmeter: &uidmeter, suite: &suite })?;
    Ok(archive)
}

/// A poisoned lock means that another thread panicked; what it guards here is whole at any time.
fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
