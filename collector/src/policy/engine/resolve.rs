//! A step of a rule → limits in units of the kernel, for one user at this moment: shares become amounts, and floors are kept.

use super::facts::Facts;
use crate::{
    limits::Limits,
    policy::{
        rule::{Amount, Floors, Step},
        value::millicores,
    },
    units::Bytes,
};

/// The limits of the last of `steps`. Steps may use different units: none is looser than one before it.
pub(super) fn limits(steps: &[Step], floors: &Floors, memory_used: Bytes, facts: &Facts<'_>) -> Limits {
    let cores = |amount| match amount {
        Amount::Absolute(cores) => millicores(cores),
        Amount::Share(share) => millicores((share * facts.cpus).max(0.01)),
    };
    let memory = |amount| match amount {
        Amount::Absolute(bytes) => Some(whole(bytes)),
        Amount::Share(share) => facts.of_memory(share).map(whole),
    };
    let least_memory = Bytes(memory_used.0.saturating_add(floors.memory_margin.0)).max(floors.memory);
    let memory_high = steps.iter().filter_map(|step| step.memory_high.and_then(memory)).min();
    let memory_high = memory_high.map(|high| high.max(least_memory));
    let memory_max = steps.iter().filter_map(|step| step.memory_max.and_then(memory)).min();
    Limits {
        cpu_weight: steps.iter().filter_map(|step| step.cpu_weight).min().map(|weight| weight.max(floors.cpu_weight)),
        cpu_max: steps.iter().filter_map(|step| step.cpu_max.and_then(cores)).min().map(|max| max.max(floors.cpu_max)),
        memory_high,
        // Kills: so it stands behind what slows down, never alone.
        memory_max: memory_high.and_then(|high| memory_max.map(|max| max.max(high))),
        io_weight: steps.iter().filter_map(|step| step.io_weight).min().map(|weight| weight.max(floors.io_weight)),
        io_read: steps.iter().filter_map(|step| step.io_read).min().map(|rate| rate.max(floors.io_read)),
        io_write: steps.iter().filter_map(|step| step.io_write).min().map(|rate| rate.max(floors.io_write)),
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, which is what is meant")]
fn whole(bytes: f64) -> Bytes {
    Bytes(bytes as u64)
}

/// What both ask for: the tighter of each.
pub(super) fn tightest(one: Limits, other: Limits) -> Limits {
    Limits {
        cpu_weight: least(one.cpu_weight, other.cpu_weight),
        cpu_max: least(one.cpu_max, other.cpu_max),
        memory_high: least(one.memory_high, other.memory_high),
        memory_max: least(one.memory_max, other.memory_max),
        io_weight: least(one.io_weight, other.io_weight),
        io_read: least(one.io_read, other.io_read),
        io_write: least(one.io_write, other.io_write),
    }
}

/// `new`, but no tighter than `old` in what both limit: for a step back, while shares may have come to mean less.
pub(super) fn relaxed(new: Limits, old: Limits) -> Limits {
    Limits {
        cpu_weight: new.cpu_weight.map(|new| new.max(old.cpu_weight.unwrap_or(new))),
        cpu_max: new.cpu_max.map(|new| new.max(old.cpu_max.unwrap_or(new))),
        memory_high: new.memory_high.map(|new| new.max(old.memory_high.unwrap_or(new))),
        memory_max: new.memory_max.map(|new| new.max(old.memory_max.unwrap_or(new))),
        io_weight: new.io_weight.map(|new| new.max(old.io_weight.unwrap_or(new))),
        io_read: new.io_read.map(|new| new.max(old.io_read.unwrap_or(new))),
        io_write: new.io_write.map(|new| new.max(old.io_write.unwrap_or(new))),
    }
}

/// `new`, but of CPU no more than `old`: for a step on, while shares may have come to mean more. Memory may be more, where
/// more has come to be in use: a limit below that would stop all that the user does.
pub(super) fn tightened(new: Limits, old: Limits) -> Limits {
    Limits { cpu_max: least(new.cpu_max, old.cpu_max), ..new }
}

/// Whether anything is tighter in `new`.
pub(super) fn is_tighter(new: &Limits, old: &Limits) -> bool {
    new.iter().any(|(property, amount)| old.get(property).is_none_or(|old| amount < old))
}

fn least<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
