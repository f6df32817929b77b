//! What the policy is asked about: the host and its users over one interval, and what time it is. Plain data; hostile
//! numbers are made harmless by [`sane`], where they are used.

use std::sync::Arc;

use crate::units::{Bytes, Cores, Nanos, Uid, UnixTime};

/// Averages over the interval of one evaluation, about a second.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observation {
    /// The host.
    pub host: HostLoad,
    /// Whoever has a task, or used something, in any order. A second entry of the same user is ignored.
    pub users: Vec<UserLoad>,
}

/// The host.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HostLoad {
    /// CPUs that are online; nothing is decided by CPU while it is 0.
    pub cpus: u32,
    /// CPUs that were busy.
    pub busy: Cores,
    /// `some avg10` of `/proc/pressure/cpu`, 0 to 1; `None` if this kernel does not tell.
    pub cpu_pressure: Option<f64>,
    /// The same of `/proc/pressure/memory`.
    pub memory_pressure: Option<f64>,
    /// The same of `/proc/pressure/io`.
    pub io_pressure: Option<f64>,
    /// `MemTotal` of `/proc/meminfo`; nothing is decided by the host's memory while it is 0.
    pub memory_total: Bytes,
    /// `MemAvailable` of the same.
    pub memory_available: Bytes,
}

/// Who somebody is, as far as a policy asks: never by the names of processes, which anybody can choose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// The real UID, by which everything is decided.
    pub uid: Uid,
    /// For sentences only.
    pub name: Option<Arc<str>>,
    /// All groups, the primary one included. `None` while they are not known: then nobody is limited whom a group
    /// could exempt.
    pub groups: Option<Arc<[u32]>>,
}

/// One user.
#[derive(Clone, Debug, PartialEq)]
pub struct UserLoad {
    /// Who.
    pub person: Person,
    /// CPUs kept busy.
    pub cpu: Cores,
    /// The part of it that ran outside of the group that would be limited.
    pub outside: Cores,
    /// Tasks that were waiting for a CPU.
    pub waiting: Cores,
    /// 99th percentile of the waits for a CPU that ended; `None` if none did.
    pub wait_p99: Option<Nanos>,
    /// Resident memory and swap.
    pub memory: Bytes,
    /// Bytes written to disks in a second.
    pub write_rate: Bytes,
}

impl UserLoad {
    /// Somebody who does nothing.
    pub fn idle(person: Person) -> Self {
        Self {
            person,
            cpu: Cores(0.0),
            outside: Cores(0.0),
            waiting: Cores(0.0),
            wait_p99: None,
            memory: Bytes(0),
            write_rate: Bytes(0),
        }
    }
}

/// What time it is, on the two clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// `CLOCK_MONOTONIC`, for durations.
    pub monotonic: Nanos,
    /// For schedules.
    pub wall: UnixTime,
}

/// A measured amount that can be computed with: what is negative, infinite or no number counts as nothing, so that
/// it never fires and never keeps a limit.
pub(super) fn sane(amount: f64) -> f64 {
    if amount.is_finite() && amount > 0.0 { amount.min(1e18) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::sane;

    #[test]
    fn what_is_no_amount_counts_as_nothing() {
        for odd in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0] {
            assert!(sane(odd).abs() < f64::EPSILON, "{odd}");
        }
        assert!((sane(1.5) - 1.5).abs() < f64::EPSILON && sane(f64::MAX) <= 1e18);
    }
}
