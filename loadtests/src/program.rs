//! Loaded kernel programs and what the kernel's BPF statistics say of them.

use std::{
    ops::{AddAssign, Sub},
    os::fd::OwnedFd,
};

use anyhow::{Context as _, Result};
use aya::sys::{Stats, enable_stats};
use collector::source::ebpf::program_runs;

/// A loaded program: its name and a descriptor of it.
pub(crate) type Program = (&'static str, OwnedFd);

/// How often programs ran, and for how long. Counted only while [`switch_on`] holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Runs {
    /// Runs.
    pub(crate) count: u64,
    /// Time spent in them, in nanoseconds.
    pub(crate) time_ns: u64,
}

impl Runs {
    /// What the kernel has counted so far.
    pub(crate) fn of(program: &OwnedFd) -> Result<Self> {
        let runs = program_runs(program).context("cannot read a program's statistics in /proc/self/fdinfo")?;
        Ok(Self { count: runs.count, time_ns: runs.time.0 })
    }

    /// From a descriptor's `fdinfo`; `None` if that is of no program.
    pub(crate) fn parse(fdinfo: &str) -> Option<Self> {
        let value = |key: &str| {
            let line = fdinfo.lines().find_map(|line| line.strip_prefix(key))?;
            line.trim().parse().ok()
        };
        Some(Self { count: value("run_cnt:")?, time_ns: value("run_time_ns:")? })
    }
}

impl Sub for Runs {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self { count: self.count.saturating_sub(before.count), time_ns: self.time_ns.saturating_sub(before.time_ns) }
    }
}

impl AddAssign for Runs {
    fn add_assign(&mut self, other: Self) {
        self.count += other.count;
        self.time_ns += other.time_ns;
    }
}

/// Switches the kernel's BPF statistics on until the descriptor is dropped; `kernel.bpf_stats_enabled` stays as it is.
pub(crate) fn switch_on() -> Result<OwnedFd> {
    enable_stats(Stats::RunTime).context("the kernel does not switch BPF statistics on (they need root, and Linux 5.8)")
}

#[cfg(test)]
mod tests {
    use super::Runs;

    #[test]
    fn statistics_are_found_in_the_fdinfo_of_a_program() {
        let text =
            "pos:\t0\nflags:\t02000002\nprog_type:\t26\nrun_time_ns:\t5120\nrun_cnt:\t256\nrecursion_misses:\t1\n";
        assert_eq!(Runs::parse(text), Some(Runs { count: 256, time_ns: 5120 }));
    }

    #[test]
    fn other_descriptors_have_none() {
        assert_eq!(Runs::parse("pos:\t0\nlink_type:\ttracing\nprog_id:\t7\n"), None);
    }

    #[test]
    fn what_happened_in_between_is_the_difference() {
        let (before, after) = (Runs { count: 2, time_ns: 50 }, Runs { count: 5, time_ns: 170 });
        assert_eq!(after - before, Runs { count: 3, time_ns: 120 });
    }
}
