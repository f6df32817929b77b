//! What a rule says: when, for whom, what. Plain data, as [`super::parse`] makes it; nothing here decides.

use std::time::Duration;

use super::{
    people::{Choice, Selection},
    schedule::Schedule,
};
use crate::{
    config::Mode,
    limits::{Millicores, Weight},
    units::Bytes,
};

/// An amount that stands for itself, or for a share of what this host has: 0.5 is a half.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Amount {
    /// In the unit of what it is compared with: CPUs, bytes, bytes a second, nanoseconds, times.
    Absolute(f64),
    /// Of all CPUs, of all memory, or of all time.
    Share(f64),
}

impl Amount {
    /// So many times as much.
    pub(super) fn scaled(self, factor: f64) -> Self {
        match self {
            Self::Absolute(amount) => Self::Absolute(amount * factor),
            Self::Share(share) => Self::Share(share * factor),
        }
    }
}

/// What a condition looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Metric {
    /// CPUs of the host that are busy, as a share of all of them.
    HostCpuBusy,
    /// Share of time in which a task waits for a CPU.
    CpuPressure,
    /// Share of time in which a task waits for memory.
    MemoryPressure,
    /// Share of time in which a task waits for I/O.
    IoPressure,
    /// What new work could get without swapping: the one that is feared low.
    MemoryAvailable,
    /// 99th percentile of a victim's waits for a CPU.
    VictimWaitP99,
    /// Share of a victim's time that he waits for a CPU, of that in which he runs or would.
    VictimWaitShare,
    /// The offender's CPUs.
    UserCpu,
    /// The offender's CPUs, as a multiple of the fair share.
    UserCpuFairShares,
    /// The offender's memory.
    UserMemory,
    /// The offender's writes.
    UserWriteRate,
}

/// Whose figure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The whole host's.
    Host,
    /// That of whoever suffers most.
    Victim,
    /// That of whoever would be limited.
    User,
}

impl Metric {
    /// Whose figure it is.
    pub fn subject(self) -> Subject {
        match self {
            Self::HostCpuBusy | Self::CpuPressure | Self::MemoryPressure | Self::IoPressure | Self::MemoryAvailable => {
                Subject::Host
            }
            Self::VictimWaitP99 | Self::VictimWaitShare => Subject::Victim,
            Self::UserCpu | Self::UserCpuFairShares | Self::UserMemory | Self::UserWriteRate => Subject::User,
        }
    }

    /// Whether little of it is what is feared.
    pub fn feared_low(self) -> bool {
        self == Self::MemoryAvailable
    }
}

/// One thing that must hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Condition {
    /// What is looked at.
    pub metric: Metric,
    /// From here on it is too much, or too little of what is feared low.
    pub threshold: Amount,
    /// How long, before the condition holds.
    pub hold: Duration,
    /// Beyond this, on the other side, it is fine again.
    pub release: Amount,
    /// How long, before the condition no longer holds.
    pub release_hold: Duration,
}

/// What is limited. As parsed, a step has what those before it limit, too.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Step {
    /// At most 100: nobody gains by being limited.
    pub cpu_weight: Option<Weight>,
    /// CPUs, or a share of all.
    pub cpu_max: Option<Amount>,
    /// Bytes, or a share of all.
    pub memory_high: Option<Amount>,
    /// Bytes, or a share of all; never below `memory_high`.
    pub memory_max: Option<Amount>,
    /// At most 100.
    pub io_weight: Option<Weight>,
    /// Bytes a second.
    pub io_read: Option<Bytes>,
    /// Bytes a second.
    pub io_write: Option<Bytes>,
}

impl Step {
    /// With what an earlier step limits and this one does not mention.
    pub(super) fn after(self, before: &Self) -> Self {
        Self {
            cpu_weight: self.cpu_weight.or(before.cpu_weight),
            cpu_max: self.cpu_max.or(before.cpu_max),
            memory_high: self.memory_high.or(before.memory_high),
            memory_max: self.memory_max.or(before.memory_max),
            io_weight: self.io_weight.or(before.io_weight),
            io_read: self.io_read.or(before.io_read),
            io_write: self.io_write.or(before.io_write),
        }
    }
}

/// Nobody is ever limited below these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Floors {
    /// Of `cpu.weight`.
    pub cpu_weight: Weight,
    /// Of `cpu.max`.
    pub cpu_max: Millicores,
    /// Of `memory.high` and `memory.max`.
    pub memory: Bytes,
    /// What `memory.high` and `memory.max` leave above the memory in use when they are set.
    pub memory_margin: Bytes,
    /// Of `io.weight`.
    pub io_weight: Weight,
    /// Of `io.max`, reading.
    pub io_read: Bytes,
    /// Of `io.max`, writing.
    pub io_write: Bytes,
}

impl Floors {
    /// The higher of each.
    pub(super) fn max(self, other: &PartFloors) -> Self {
        Self {
            cpu_weight: self.cpu_weight.max(other.cpu_weight.unwrap_or(self.cpu_weight)),
            cpu_max: self.cpu_max.max(other.cpu_max.unwrap_or(self.cpu_max)),
            memory: self.memory.max(other.memory.unwrap_or(self.memory)),
            memory_margin: self.memory_margin,
            io_weight: self.io_weight.max(other.io_weight.unwrap_or(self.io_weight)),
            io_read: self.io_read.max(other.io_read.unwrap_or(self.io_read)),
            io_write: self.io_write.max(other.io_write.unwrap_or(self.io_write)),
        }
    }
}

/// The floors that an override raises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PartFloors {
    /// Of `cpu.weight`.
    pub cpu_weight: Option<Weight>,
    /// Of `cpu.max`.
    pub cpu_max: Option<Millicores>,
    /// Of `memory.high` and `memory.max`.
    pub memory: Option<Bytes>,
    /// Of `io.weight`.
    pub io_weight: Option<Weight>,
    /// Of `io.max`, reading.
    pub io_read: Option<Bytes>,
    /// Of `io.max`, writing.
    pub io_write: Option<Bytes>,
}

/// What some people may do more than others.
#[derive(Clone, Debug, PartialEq)]
pub struct Override {
    /// Who.
    pub people: Choice,
    /// By the names of rules; `None` means all rules.
    pub rules: Option<Vec<String>>,
    /// The thresholds of a user's own figures are multiplied by this.
    pub allowance: f64,
    /// Raised floors.
    pub floors: PartFloors,
}

/// How long repeated offences count, and how much.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Offences {
    /// After this time an offence counts half.
    pub half_life: Duration,
    /// Each earlier offence makes limits last longer by so much: 1 means twice as long for the second.
    pub longer: f64,
    /// More than so many do not count.
    pub most: f64,
}

/// A rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Its name.
    pub name: String,
    /// How far it goes; never farther than the main configuration allows.
    pub mode: Mode,
    /// All must hold, and at least one is about the user's own figures.
    pub when: Vec<Condition>,
    /// On whom it may act, among those who can be limited at all.
    pub who: Selection,
    /// When it is off.
    pub schedule: Schedule,
    /// What it does, from the mildest; never empty.
    pub steps: Vec<Step>,
    /// How long a limit stands at least.
    pub min_limited: Duration,
    /// How long a step is given to help before the next.
    pub step_after: Duration,
    /// How long all must be fine before one step is taken back.
    pub relax_after: Duration,
}
