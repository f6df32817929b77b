//! The load: `perf bench sched pipe`, two processes on one CPU that wake each other in turn. A loop is two context
//! switches.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use nix::{sched::sched_getaffinity, unistd::Pid};

use crate::{child::Child, interrupt::Interrupt, spread::per};

/// Enough for a figure that is right to some percent.
const TRIAL_LOOPS: u32 = 50_000;
/// Time to get going.
const STARTING: Duration = Duration::from_millis(300);
/// A run takes seconds; this is for a machine that does not move at all.
const LIMIT: Duration = Duration::from_mins(1);

/// How fast this machine is, and where the load runs.
pub(crate) struct Pipe {
    perf: PathBuf,
    cpu: usize,
    loops_per_second: f64,
    interrupt: Interrupt,
}

impl Pipe {
    /// Tries the machine's speed.
    pub(crate) fn calibrate(perf: PathBuf, interrupt: Interrupt) -> Result<Self> {
        let allowed = sched_getaffinity(Pid::from_raw(0))?;
        // The last one, because the first one often serves most of the interrupts.
        let cpu = (0..nix::sched::CpuSet::count()).rfind(|&cpu| allowed.is_set(cpu).unwrap_or(false));
        let mut pipe = Self { perf, cpu: cpu.unwrap_or(0), loops_per_second: 0.0, interrupt };
        pipe.run(TRIAL_LOOPS)?;
        let start = Instant::now();
        pipe.run(TRIAL_LOOPS)?;
        pipe.loops_per_second = f64::from(TRIAL_LOOPS) / start.elapsed().as_secs_f64();
        Ok(pipe)
    }

    /// What may end the measurement early.
    pub(crate) fn interrupt(&self) -> &Interrupt {
        &self.interrupt
    }

    /// The CPU that it runs on.
    pub(crate) fn cpu(&self) -> usize {
        self.cpu
    }

    /// Loops that take about as long, rounded to what a person types.
    pub(crate) fn loops(&self, length: Duration) -> u32 {
        round_loops(self.loops_per_second * length.as_secs_f64())
    }

    /// Starts a run that goes on until it is dropped.
    pub(crate) fn start(&self) -> Result<Running> {
        let child = self.spawn(u32::MAX >> 1)?;
        // perf forks the other half first.
        self.interrupt.sleep(STARTING)?;
        let tasks = tasks_of_group(child.pid().as_raw())?;
        ensure!(tasks.len() == 2, "`perf bench sched pipe` has {} tasks instead of two", tasks.len());
        Ok(Running { tasks, _child: child })
    }

    fn spawn(&self, loops: u32) -> Result<Child> {
        let mut command = Command::new(&self.perf);
        command.args(["bench", "sched", "pipe", "-l", &loops.to_string()]);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        Child::spawn(&mut command, Some(self.cpu)).map_err(|error| missing(&error))
    }

    /// Runs to the end.
    pub(crate) fn run(&self, loops: u32) -> Result<()> {
        let mut child = self.spawn(loops)?;
        match child.wait(LIMIT, &self.interrupt)? {
            Some(status) if status.success() => {}
            Some(status) => bail!("`perf bench sched pipe -l {loops}` failed: {status}"),
            None => bail!("`perf bench sched pipe -l {loops}` has not ended after {} s", LIMIT.as_secs()),
        }
        Ok(())
    }
}

/// A load that goes on.
pub(crate) struct Running {
    /// Folders under `/proc`.
    tasks: Vec<PathBuf>,
    _child: Child,
}

/// What the two tasks have used so far.
#[derive(Clone, Copy)]
struct Used {
    cpu_ns: u64,
    switches: u64,
}

impl Running {
    /// CPU time per context switch over the next while, in nanoseconds: the load's own work, the kernel's, and that of whatever
    /// watches.
    pub(crate) fn ns_per_switch(&self, window: Duration, interrupt: &Interrupt) -> Result<f64> {
        let before = self.used()?;
        interrupt.sleep(window)?;
        let after = self.used()?;
        let switches = after.switches - before.switches;
        ensure!(switches > 1_000, "`perf bench sched pipe` switched only {switches} times in {window:?}");
        Ok(per(after.cpu_ns - before.cpu_ns, switches))
    }

    fn used(&self) -> Result<Used> {
        let mut sum = Used { cpu_ns: 0, switches: 0 };
        for task in &self.tasks {
            let read = |file| fs::read_to_string(task.join(file)).context("`perf bench sched pipe` has ended");
            sum.cpu_ns += read("schedstat")?.split(' ').next().unwrap_or_default().parse::<u64>()?;
            sum.switches += switches(&read("status")?);
        }
        Ok(sum)
    }
}

/// Both kinds of switches in a task's `status`.
fn switches(status: &str) -> u64 {
    let kinds = status.lines().filter_map(|line| line.split_once("voluntary_ctxt_switches:"));
    kinds.filter_map(|(_, count)| count.trim().parse::<u64>().ok()).sum()
}

/// All processes of a process group.
fn tasks_of_group(group: i32) -> Result<Vec<PathBuf>> {
    let mut tasks = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let path = entry?.path();
        if group_of(&path) == Some(group) {
            tasks.push(path);
        }
    }
    Ok(tasks)
}

/// Field 5 of `stat`; the command's name before it may contain anything. `None` for what is no process, or gone.
fn group_of(process: &Path) -> Option<i32> {
    let stat = fs::read_to_string(process.join("stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(2)?.parse().ok()
}

fn missing(error: &io::Error) -> anyhow::Error {
    match error.kind() {
        io::ErrorKind::NotFound => {
            anyhow!("there is no `perf`, which makes the load; install Debian's package linux-perf")
        }
        _ => anyhow!("cannot start `perf`: {error}"),
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to a range that fits")]
fn round_loops(wanted: f64) -> u32 {
    const STEP: f64 = 10_000.0;
    ((wanted / STEP).round().clamp(1.0, 10_000.0) * STEP) as u32
}

#[cfg(test)]
mod tests {
    use super::{missing, round_loops, switches};
    use std::io;

    #[test]
    fn loops_are_rounded_and_bounded() {
        assert_eq!(round_loops(678_901.0), 680_000);
        assert_eq!(round_loops(3.0), 10_000);
        assert_eq!(round_loops(f64::INFINITY), 100_000_000);
    }

    #[test]
    fn both_kinds_of_switches_count() {
        assert_eq!(switches("Pid:\t1\nvoluntary_ctxt_switches:\t40\nnonvoluntary_ctxt_switches:\t2\n"), 42);
    }

    #[test]
    fn without_perf_one_sentence_says_what_to_install() {
        assert!(missing(&io::ErrorKind::NotFound.into()).to_string().contains("linux-perf"));
    }
}
