//! Child processes that cannot outlive this one. Owns the only `unsafe` code of this crate: what a child does
//! between fork and exec.

use std::{
    io,
    os::unix::process::CommandExt as _,
    process::{ChildStdout, Command, ExitStatus},
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;
use nix::{
    sched::{CpuSet, sched_setaffinity},
    sys::{
        prctl::set_pdeathsig,
        signal::{Signal, killpg},
    },
    unistd::Pid,
};

use crate::interrupt::Interrupt;

/// How long a child may take to end by itself when it is told to.
const PATIENCE: Duration = Duration::from_secs(3);

/// A running child; dropping it ends it.
pub(crate) struct Child(std::process::Child);

impl Child {
    /// Starts `command`, on `cpu` alone if one is named.
    pub(crate) fn spawn(command: &mut Command, cpu: Option<usize>) -> io::Result<Self> {
        let mut cpus = None;
        if let Some(cpu) = cpu {
            let mut set = CpuSet::new();
            set.set(cpu)?;
            cpus = Some(set);
        }
        let prepare = move || {
            set_pdeathsig(Signal::SIGKILL)?;
            if let Some(cpus) = &cpus {
                sched_setaffinity(Pid::from_raw(0), cpus)?;
            }
            Ok(())
        };
        // SAFETY: between fork and exec only system calls are made: no memory is allocated, no lock is taken.
        unsafe { command.pre_exec(prepare) };
        // A group of its own, so that what it starts can be ended with it.
        command.process_group(0).spawn().map(Self)
    }

    /// The child's process ID.
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(self.0.id().cast_signed())
    }

    /// What it writes to standard output, if that is a pipe that nobody has taken yet.
    pub(crate) fn output(&mut self) -> Option<ChildStdout> {
        self.0.stdout.take()
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.0.try_wait()
    }

    /// Waits until it has ended, but not for longer than `limit`.
    pub(crate) fn wait(&mut self, limit: Duration, interrupt: &Interrupt) -> Result<Option<ExitStatus>> {
        let start = Instant::now();
        loop {
            let ended = self.ended()?;
            if ended.is_some() || start.elapsed() > limit {
                return Ok(ended);
            }
            interrupt.pause()?;
        }
    }

    /// To it and to all that it has started.
    fn signal(&self, signal: Signal) {
        // Fails only if they are gone.
        let _ = killpg(self.pid(), signal);
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if matches!(self.ended(), Ok(Some(status)) if status.success()) {
            return;
        }
        self.signal(Signal::SIGTERM);
        let told = Instant::now();
        while told.elapsed() < PATIENCE && matches!(self.ended(), Ok(None)) {
            thread::sleep(Duration::from_millis(5));
        }
        self.signal(Signal::SIGKILL);
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::Child;
    use crate::interrupt::Interrupt;
    use anyhow::Result;
    use nix::{
        errno::Errno,
        sys::signal::{kill, killpg},
    };
    use std::{
        process::{Command, Stdio},
        thread,
        time::Duration,
    };

    fn shell(script: &str) -> Command {
        let mut shell = Command::new("sh");
        shell.args(["-c", script]).stdout(Stdio::null());
        shell
    }

    #[test]
    fn a_dropped_child_is_gone() -> Result<()> {
        let child = Child::spawn(&mut shell("exec sleep 60"), None)?;
        let pid = child.pid();
        assert_eq!(kill(pid, None), Ok(()));
        drop(child);
        assert_eq!(kill(pid, None), Err(Errno::ESRCH));
        Ok(())
    }

    #[test]
    fn what_a_child_started_goes_with_it() -> Result<()> {
        let mut child = Child::spawn(&mut shell("sleep 60 & wait"), None)?;
        let group = child.pid();
        child.wait(Duration::from_millis(100), &Interrupt::default())?;
        drop(child);
        // Another process reaps the orphan, soon.
        let is_gone = |_| {
            thread::sleep(Duration::from_millis(10));
            killpg(group, None) == Err(Errno::ESRCH)
        };
        assert!((0..500).any(is_gone));
        Ok(())
    }

    #[test]
    fn waiting_is_bounded() -> Result<()> {
        let mut child = Child::spawn(&mut shell("exec sleep 60"), None)?;
        assert!(child.wait(Duration::ZERO, &Interrupt::default())?.is_none());
        Ok(())
    }

    #[test]
    fn a_pinned_child_runs_on_that_cpu_alone() -> Result<()> {
        let mut child = Child::spawn(&mut shell("grep -q '^Cpus_allowed_list:.0$' /proc/self/status"), Some(0))?;
        let ended = child.wait(Duration::from_secs(10), &Interrupt::default())?;
        assert!(ended.is_some_and(|status| status.success()));
        Ok(())
    }
}
