//! What can be limited, and how far: plain data that `policy` decides, `enforce` applies, and everything else shows.
//!
//! All of it are properties of cgroup v2 (`Documentation/admin-guide/cgroup-v2.rst`), in units that people use.

pub mod ask;
pub mod standing;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::units::{Bytes, Uid};

/// The wanted state of one user's group: a property that is `None` is not ours, and what it was before us holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// `cpu.weight`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_weight: Option<Weight>,
    /// `cpu.max`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_max: Option<Millicores>,
    /// `memory.high`, in bytes: above it the user is slowed down and reclaimed from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_high: Option<Bytes>,
    /// `memory.max`, in bytes: above it processes are killed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_max: Option<Bytes>,
    /// `io.weight`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub io_weight: Option<Weight>,
    /// `rbps` of `io.max` for each disk, in bytes a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub io_read: Option<Bytes>,
    /// `wbps` of `io.max` for each disk, in bytes a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub io_write: Option<Bytes>,
}

/// One property of [`Limits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Property {
    /// Share of CPU time under contention.
    CpuWeight,
    /// Bound on CPU time.
    CpuMax,
    /// Bound on memory above which the user is slowed down.
    MemoryHigh,
    /// Bound on memory above which processes are killed.
    MemoryMax,
    /// Share of a disk under contention.
    IoWeight,
    /// Bound on bytes read from each disk.
    IoRead,
    /// Bound on bytes written to each disk.
    IoWrite,
}

impl Property {
    /// All, in the order in which they are applied: what makes room first.
    pub const ALL: [Self; 7] =
        [Self::CpuWeight, Self::CpuMax, Self::MemoryHigh, Self::MemoryMax, Self::IoWeight, Self::IoRead, Self::IoWrite];

    /// Its name in figures, logs and journals.
    pub fn name(self) -> &'static str {
        match self {
            Self::CpuWeight => "cpu_weight",
            Self::CpuMax => "cpu_max",
            Self::MemoryHigh => "memory_high",
            Self::MemoryMax => "memory_max",
            Self::IoWeight => "io_weight",
            Self::IoRead => "io_read",
            Self::IoWrite => "io_write",
        }
    }
}

impl Limits {
    /// Whether nothing is limited.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// The amount of one property, in its own unit: weight, thousandths of a CPU, bytes, bytes a second.
    pub fn get(&self, property: Property) -> Option<u64> {
        match property {
            Property::CpuWeight => self.cpu_weight.map(|weight| weight.get().into()),
            Property::CpuMax => self.cpu_max.map(|cores| cores.get().into()),
            Property::MemoryHigh => self.memory_high.map(|bytes| bytes.0),
            Property::MemoryMax => self.memory_max.map(|bytes| bytes.0),
            Property::IoWeight => self.io_weight.map(|weight| weight.get().into()),
            Property::IoRead => self.io_read.map(|bytes| bytes.0),
            Property::IoWrite => self.io_write.map(|bytes| bytes.0),
        }
    }

    /// What is limited, with the amounts of [`Self::get`].
    pub fn iter(&self) -> impl Iterator<Item = (Property, u64)> {
        Property::ALL.into_iter().filter_map(|property| Some((property, self.get(property)?)))
    }
}

impl fmt::Display for Limits {
    /// For people: `cpu.max 1.5 cores, memory.high 2 GiB`.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_none() {
            return out.write_str("no limit");
        }
        for (number, (property, amount)) in self.iter().enumerate() {
            if number > 0 {
                out.write_str(", ")?;
            }
            match property {
                Property::CpuWeight => write!(out, "cpu.weight {amount}")?,
                Property::CpuMax => write!(out, "cpu.max {}.{:03} cores", amount / 1000, amount % 1000)?,
                Property::MemoryHigh => write!(out, "memory.high {}", Bytes(amount))?,
                Property::MemoryMax => write!(out, "memory.max {}", Bytes(amount))?,
                Property::IoWeight => write!(out, "io.weight {amount}")?,
                Property::IoRead => write!(out, "io.max {}/s read", Bytes(amount))?,
                Property::IoWrite => write!(out, "io.max {}/s written", Bytes(amount))?,
            }
        }
        Ok(())
    }
}

/// A share under contention: 1 to 10,000, where 100 is what everybody has by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct Weight(u16);

impl Weight {
    /// The smallest share.
    pub const LEAST: Self = Self(1);

    /// `None` outside of 1 to 10,000 (`CGROUP_WEIGHT_MIN` and `_MAX` in `include/linux/cgroup.h`).
    pub fn new(weight: u16) -> Option<Self> {
        (1..=10_000).contains(&weight).then_some(Self(weight))
    }

    /// The number.
    pub fn get(self) -> u16 {
        self.0
    }
}

impl TryFrom<u16> for Weight {
    type Error = OutOfRange;

    fn try_from(weight: u16) -> Result<Self, OutOfRange> {
        Self::new(weight).ok_or(OutOfRange("a weight from 1 to 10000"))
    }
}

impl From<Weight> for u16 {
    fn from(weight: Weight) -> Self {
        weight.0
    }
}

/// CPUs in thousandths, at least 10: the kernel knows no quota under a millisecond (`min_cfs_quota_period` in
/// `kernel/sched/core.c`), which is a hundredth of the usual period of 100 ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Millicores(u32);

impl Millicores {
    /// The least.
    pub const LEAST: Self = Self(10);

    /// `None` under 10, and over what no host has.
    pub fn new(thousandths: u32) -> Option<Self> {
        (10..=100_000_000).contains(&thousandths).then_some(Self(thousandths))
    }

    /// Thousandths of a CPU.
    pub fn get(self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for Millicores {
    type Error = OutOfRange;

    fn try_from(thousandths: u32) -> Result<Self, OutOfRange> {
        Self::new(thousandths).ok_or(OutOfRange("at least 10 thousandths of a CPU"))
    }
}

impl From<Millicores> for u32 {
    fn from(cores: Millicores) -> Self {
        cores.0
    }
}

/// A number that cannot be; says what can.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("allowed is {0}")]
pub struct OutOfRange(&'static str);

/// Who stands behind a limit, for audit and explanation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cause {
    /// Name of the rule.
    pub rule: String,
    /// What was measured against which threshold, in one sentence.
    pub reason: String,
}

/// A user and what is wanted for him.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// Who.
    pub uid: Uid,
    /// The whole wanted state: a property that is left out is given back.
    pub limits: Limits,
    /// Why.
    pub cause: Cause,
}

#[cfg(test)]
mod tests {
    use super::{Bytes, Limits, Millicores, Property, Weight};

    #[test]
    fn people_read_what_is_limited() {
        let limits = Limits {
            cpu_weight: Weight::new(20),
            cpu_max: Millicores::new(1_500),
            memory_high: Some(Bytes(2 << 30)),
            ..Limits::default()
        };
        assert_eq!(limits.to_string(), "cpu.weight 20, cpu.max 1.500 cores, memory.high 2.0 GiB");
        assert_eq!(Limits::default().to_string(), "no limit");
        assert_eq!(limits.iter().map(|(property, _)| property).collect::<Vec<_>>(), Property::ALL[..3]);
    }

    #[test]
    fn numbers_out_of_range_are_refused_wherever_they_come_from() {
        assert_eq!((Weight::new(0), Weight::new(10_001)), (None, None));
        assert_eq!((Millicores::new(9), Weight::new(1)), (None, Some(Weight::LEAST)));
        let read = |text: &str| serde_json::from_str::<Limits>(text).map_err(|error| error.to_string());
        assert!(read(r#"{"cpu_weight":0}"#).is_err_and(|error| error.contains("a weight from 1 to 10000")));
        assert!(read(r#"{"cpu_max":9}"#).is_err_and(|error| error.contains("10 thousandths")));
        assert!(read(r#"{"cpu_min":9}"#).is_err());
        assert_eq!(read(r#"{"memory_max":9}"#), Ok(Limits { memory_max: Some(Bytes(9)), ..Limits::default() }));
    }
}
