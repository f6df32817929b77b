//! The load: `perf bench sched pipe`, two processes that wake each other in turn. A loop is two context switches of theirs.

use std::{
    io,
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, bail};
use nix::{
    sched::sched_getaffinity,
    sys::{
        resource::{UsageWho, getrusage},
        time::{TimeVal, TimeValLike as _},
    },
    unistd::Pid,
};

use crate::{child::Child, interrupt::Interrupt};

/// Context switches of one loop.
pub(crate) const SWITCHES_PER_LOOP: u32 = 2;
/// Enough for a figure that is right to some percent.
const TRIAL_LOOPS: u32 = 50_000;
/// A run takes seconds; this is for a machine that does not move at all.
const LIMIT: Duration = Duration::from_mins(1);

/// How fast this machine is, and where the load runs.
pub(crate) struct Pipe {
    perf: PathBuf,
    cpu: usize,
    free: Speed,
    one_cpu: Speed,
    interrupt: Interrupt,
}

/// Loops per second on the clock.
type Speed = f64;

/// Where the two processes run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub(crate) enum Placement {
    /// Where the scheduler puts them, as anybody who types the command has it.
    Free,
    /// Both on one CPU, so that they do nothing but switch: the worst case.
    OneCpu,
}

impl Pipe {
    /// Tries the machine's speed.
    pub(crate) fn calibrate(perf: PathBuf, interrupt: Interrupt) -> Result<Self> {
        let allowed = sched_getaffinity(Pid::from_raw(0))?;
        // The last one, because the first one often serves most of the interrupts.
        let cpu = (0..nix::sched::CpuSet::count()).rfind(|&cpu| allowed.is_set(cpu).unwrap_or(false));
        let mut pipe = Self { perf, cpu: cpu.unwrap_or(0), free: 0.0, one_cpu: 0.0, interrupt };
        pipe.one_cpu = pipe.speed(Placement::OneCpu)?;
        pipe.free = pipe.speed(Placement::Free)?;
        Ok(pipe)
    }

    fn speed(&self, placement: Placement) -> Result<Speed> {
        self.run(TRIAL_LOOPS, placement)?;
        let start = Instant::now();
        self.run(TRIAL_LOOPS, placement)?;
        Ok(f64::from(TRIAL_LOOPS) / start.elapsed().as_secs_f64())
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
    pub(crate) fn loops(&self, length: Duration, placement: Placement) -> u32 {
        let speed = match placement {
            Placement::Free => self.free,
            Placement::OneCpu => self.one_cpu,
        };
        round_loops(speed * length.as_secs_f64())
    }

    /// Runs, and tells the CPU time that it took, user and system.
    pub(crate) fn run(&self, loops: u32, placement: Placement) -> Result<Duration> {
        let mut command = Command::new(&self.perf);
        command.args(["bench", "sched", "pipe", "-l", &loops.to_string()]);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let before = time_of_children()?;
        let mut child = Child::spawn(&mut command, (placement == Placement::OneCpu).then_some(self.cpu))
            .map_err(|error| missing(&error))?;
        match child.wait(LIMIT, &self.interrupt)? {
            Some(status) if status.success() => {}
            Some(status) => bail!("`perf bench sched pipe -l {loops}` failed: {status}"),
            None => bail!("`perf bench sched pipe -l {loops}` has not ended after {} s", LIMIT.as_secs()),
        }
        Ok(time_of_children()?.saturating_sub(before))
    }
}

fn missing(error: &io::Error) -> anyhow::Error {
    match error.kind() {
        io::ErrorKind::NotFound => {
            anyhow!("there is no `perf`, which makes the load; install Debian's package linux-perf")
        }
        _ => anyhow!("cannot start `perf`: {error}"),
    }
}

/// CPU time of all children that have ended, and of theirs.
fn time_of_children() -> Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let time = |value: TimeVal| u64::try_from(value.num_microseconds()).map(Duration::from_micros);
    Ok(time(usage.user_time()).context("user time")? + time(usage.system_time()).context("system time")?)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to a range that fits")]
fn round_loops(wanted: f64) -> u32 {
    const STEP: f64 = 10_000.0;
    ((wanted / STEP).round().clamp(1.0, 10_000.0) * STEP) as u32
}

#[cfg(test)]
mod tests {
    use super::{missing, round_loops};
    use std::io;

    #[test]
    fn loops_are_rounded_and_bounded() {
        assert_eq!(round_loops(678_901.0), 680_000);
        assert_eq!(round_loops(3.0), 10_000);
        assert_eq!(round_loops(f64::INFINITY), 100_000_000);
    }

    #[test]
    fn without_perf_one_sentence_says_what_to_install() {
        assert!(missing(&io::ErrorKind::NotFound.into()).to_string().contains("linux-perf"));
    }
}
