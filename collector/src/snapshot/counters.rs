//! One user's counters.

use super::Latency;
use crate::units::{Bytes, Nanos};

/// One user's counters since the collector started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Time on a CPU.
    pub cpu: Nanos,
    /// The part of `cpu` in user mode.
    pub user: Nanos,
    /// The part of `cpu` in kernel mode; `user + system = cpu`.
    pub system: Nanos,
    /// Time runnable without a CPU.
    pub wait: Nanos,
    /// Waits by length.
    pub latency: Latency,
    /// Switches because a task blocked.
    pub voluntary_switches: u64,
    /// Switches because a task was preempted.
    pub involuntary_switches: u64,
    /// Moves of a task to another CPU.
    pub migrations: u64,
    /// Page faults served without I/O.
    pub minor_faults: u64,
    /// Page faults that needed I/O.
    pub major_faults: u64,
    /// The part of `cpu` that ran in a cgroup other than the user's own slice.
    pub outside: Nanos,
    /// Bytes read and written.
    pub io: Io,
    /// Waits for anything but a CPU.
    pub delays: Delays,
    /// What happens rarely.
    pub events: Events,
}

/// Bytes read and written, as `/proc/PID/io` tells them of one process (`proc_pid_io(5)`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Io {
    /// Returned by `read(2)` and its kind, from wherever.
    pub read_chars: Bytes,
    /// Taken by `write(2)` and its kind.
    pub written_chars: Bytes,
    /// Asked of block devices.
    pub read_bytes: Bytes,
    /// Page cache made dirty, to be written to a block device later.
    pub written_bytes: Bytes,
    /// The part of `written_bytes` that was dropped before it was written.
    pub cancelled_bytes: Bytes,
}

/// Waits that the kernel times with delay accounting (Documentation/accounting/delay-accounting.rst).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delays {
    /// For block I/O.
    pub block_io: Nanos,
    /// For pages from swap.
    pub swap_in: Nanos,
    /// For pages that were evicted too early.
    pub thrashing: Nanos,
}

/// Rare events and the time that they took.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Events {
    /// Times that a task had to free memory of the host first.
    pub direct_reclaims: u64,
    /// Time in that.
    pub direct_reclaim: Nanos,
    /// Times that a task had to free memory of its cgroup first.
    pub group_reclaims: u64,
    /// Time in that.
    pub group_reclaim: Nanos,
    /// Stalls on memory of whatever kind.
    pub memory_stalls: u64,
    /// Time in that.
    pub memory_stall: Nanos,
    /// Processes that ended as victims of the OOM killer.
    pub oom_kills: u64,
    /// Processes that the OOM killer chose because the limit of the user's own slice was reached.
    pub oom_kills_slice: u64,
    /// The same for the limit of any other cgroup.
    pub oom_kills_group: u64,
    /// The same where the host itself had no memory left.
    pub oom_kills_host: u64,
    /// Processes begun.
    pub forks: u64,
    /// Threads begun, the first one of each process not counted.
    pub thread_starts: u64,
    /// Programs begun.
    pub execs: u64,
    /// Processes ended.
    pub exits: u64,
}

impl Counters {
    /// Adds every counter of `other`.
    pub fn add(&mut self, other: &Self) {
        self.zip(other, |mine, other| *mine = mine.wrapping_add(other));
    }

    /// What was counted since `earlier`, or `None` if any counter has gone down.
    pub fn since(&self, earlier: &Self) -> Option<Self> {
        let mut difference = self.clone();
        let mut fell = false;
        difference.zip(earlier, |mine, earlier| {
            let (left, below) = mine.overflowing_sub(earlier);
            *mine = left;
            fell |= below;
        });
        (!fell).then_some(difference)
    }

    /// Hands every counter, with its counterpart in `other`, to `each`.
    fn zip(&mut self, other: &Self, mut each: impl FnMut(&mut u64, u64)) {
        let Self { cpu, user, system, wait, latency, outside, io, delays, events, .. } = self;
        for (mine, other) in [
            (&mut cpu.0, other.cpu.0),
            (&mut user.0, other.user.0),
            (&mut system.0, other.system.0),
            (&mut wait.0, other.wait.0),
            (&mut self.voluntary_switches, other.voluntary_switches),
            (&mut self.involuntary_switches, other.involuntary_switches),
            (&mut self.migrations, other.migrations),
            (&mut self.minor_faults, other.minor_faults),
            (&mut self.major_faults, other.major_faults),
            (&mut outside.0, other.outside.0),
            (&mut io.read_chars.0, other.io.read_chars.0),
            (&mut io.written_chars.0, other.io.written_chars.0),
            (&mut io.read_bytes.0, other.io.read_bytes.0),
            (&mut io.written_bytes.0, other.io.written_bytes.0),
            (&mut io.cancelled_bytes.0, other.io.cancelled_bytes.0),
            (&mut delays.block_io.0, other.delays.block_io.0),
            (&mut delays.swap_in.0, other.delays.swap_in.0),
            (&mut delays.thrashing.0, other.delays.thrashing.0),
            (&mut events.direct_reclaims, other.events.direct_reclaims),
            (&mut events.direct_reclaim.0, other.events.direct_reclaim.0),
            (&mut events.group_reclaims, other.events.group_reclaims),
            (&mut events.group_reclaim.0, other.events.group_reclaim.0),
            (&mut events.memory_stalls, other.events.memory_stalls),
            (&mut events.memory_stall.0, other.events.memory_stall.0),
            (&mut events.oom_kills, other.events.oom_kills),
            (&mut events.oom_kills_slice, other.events.oom_kills_slice),
            (&mut events.oom_kills_group, other.events.oom_kills_group),
            (&mut events.oom_kills_host, other.events.oom_kills_host),
            (&mut events.forks, other.events.forks),
            (&mut events.thread_starts, other.events.thread_starts),
            (&mut events.execs, other.events.execs),
            (&mut events.exits, other.events.exits),
        ] {
            each(mine, other);
        }
        for (mine, other) in latency.buckets.iter_mut().zip(other.latency.buckets) {
            each(mine, other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Bytes, Counters, Io, Nanos};

    /// If this fails, a counter has been added that `zip` does not know.
    #[test]
    fn every_word_of_the_counters_takes_part_in_sums_and_differences() {
        let mut words = 0;
        Counters::default().zip(&Counters::default(), |_, _| words += 1);
        assert_eq!(words * size_of::<u64>(), size_of::<Counters>());
    }

    #[test]
    fn a_difference_undoes_a_sum() {
        let one = Counters { cpu: Nanos(5), io: Io { read_bytes: Bytes(7), ..Io::default() }, ..Counters::default() };
        let mut sum = one.clone();
        sum.latency.buckets[3] = 2;
        let other = sum.clone();
        sum.add(&one);
        assert_eq!(sum.since(&one), Some(other.clone()));
        assert_eq!(one.since(&other), None);
    }
}
