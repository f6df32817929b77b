//! Why something was decided, in one sentence with numbers and units.

use std::{fmt::Write as _, time::Duration};

use super::facts::Facts;
use crate::{
    policy::{Person, UserLoad, observation::sane, rule::Metric},
    units::{Bytes, Nanos},
};

/// A figure and the threshold it is beyond.
#[derive(Clone, Copy, Debug)]
pub(super) struct Figure {
    pub(super) metric: Metric,
    pub(super) value: f64,
    pub(super) threshold: f64,
    /// Beyond it for how long.
    pub(super) time: Duration,
    /// Whether it is beyond the threshold at which it is fine.
    pub(super) fine: bool,
}

/// A name that anybody may have chosen, made harmless; else the number.
pub(super) fn name(person: &Person) -> String {
    match &person.name {
        Some(name) if !name.is_empty() => name.chars().map(|c| if c.is_control() { '?' } else { c }).take(64).collect(),
        _ => format!("UID {}", person.uid),
    }
}

impl Figure {
    /// `ann uses 1.92 of 2 CPUs (over 1.50 for 5 s)`.
    pub(super) fn clause(&self, whose: &str, facts: &Facts<'_>) -> String {
        let value = self.value;
        let what = match self.metric {
            Metric::HostCpuBusy => {
                format!("the host uses {:.2} of {} CPUs ({})", value * facts.cpus, facts.cpus, share(value))
            }
            Metric::CpuPressure => format!("CPU pressure is {}", share(value)),
            Metric::MemoryPressure => format!("memory pressure is {}", share(value)),
            Metric::IoPressure => format!("I/O pressure is {}", share(value)),
            Metric::MemoryAvailable => format!("{} of memory are available", bytes(value)),
            Metric::VictimWaitP99 => format!("p99 run-queue latency of {whose} is {}", nanos(value)),
            Metric::VictimWaitShare => format!("{whose} spends {} of the time waiting for a CPU", share(value)),
            Metric::UserCpu => format!("{whose} uses {value:.2} of {} CPUs", facts.cpus),
            Metric::UserCpuFairShares => {
                let used = value * facts.fair;
                let what = format!("{whose} uses {used:.2} of {} CPUs (fair share {:.2}", facts.cpus, facts.fair);
                let times = format!("{} {:.2} times that", self.side(), self.threshold);
                return format!("{what}, {times} for {})", time(self.time));
            }
            Metric::UserMemory => format!("{whose} holds {} of memory", bytes(value)),
            Metric::UserWriteRate => format!("{whose} writes {}/s", bytes(value)),
        };
        format!("{what} ({} {} for {})", self.side(), self.amount(), time(self.time))
    }

    fn side(&self) -> &'static str {
        if self.metric.feared_low() == self.fine { "over" } else { "under" }
    }

    fn amount(&self) -> String {
        let amount = self.threshold;
        match self.metric {
            Metric::HostCpuBusy
            | Metric::CpuPressure
            | Metric::MemoryPressure
            | Metric::IoPressure
            | Metric::VictimWaitShare => share(amount),
            Metric::MemoryAvailable | Metric::UserMemory => bytes(amount),
            Metric::VictimWaitP99 => nanos(amount),
            Metric::UserCpu | Metric::UserCpuFairShares => format!("{amount:.2}"),
            Metric::UserWriteRate => format!("{}/s", bytes(amount)),
        }
    }
}

/// What holds of the host and of others, while what holds of the user.
pub(super) fn sentence(surroundings: &[String], own: &[String], load: Option<&UserLoad>) -> String {
    let mut text = surroundings.join(" and ");
    if !surroundings.is_empty() && !own.is_empty() {
        text.push_str(" while ");
    }
    text.push_str(&own.join(" and "));
    if let Some(load) = load {
        let outside = sane(load.outside.0);
        if outside >= 0.01 && outside >= sane(load.cpu.0) / 10.0 {
            // Writing to a string cannot fail.
            let _ = write!(text, "; {outside:.2} of these CPUs are used outside of what can be limited");
        }
    }
    text
}

fn share(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, and is for people")]
fn bytes(bytes: f64) -> String {
    Bytes(bytes as u64).to_string()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, and is for people")]
fn nanos(nanos: f64) -> String {
    time(Duration::from_nanos(nanos as u64))
}

/// With the digits that matter: `870 µs`, `2.5 ms`, `23 ms`, `5 s`, `3 min`.
pub(super) fn time(time: Duration) -> String {
    let seconds = Nanos::from(time).as_secs_f64();
    match seconds {
        0.0..0.001 => format!("{:.0} µs", seconds * 1e6),
        0.001..0.01 => format!("{:.1} ms", seconds * 1e3),
        0.01..1.0 => format!("{:.0} ms", seconds * 1e3),
        1.0..180.0 => format!("{seconds:.0} s"),
        _ => format!("{:.0} min", seconds / 60.0),
    }
}
