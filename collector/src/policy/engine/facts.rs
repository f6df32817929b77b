//! An observation, made ready to be asked: numbers that can be computed with, people in order, the fair share.

use crate::{
    policy::{
        HostLoad, Observation, Policy, UserLoad,
        observation::sane,
        rule::{Amount, Metric},
    },
    units::Bytes,
};

pub(super) struct Facts<'a> {
    /// CPUs; at least a trifle, so that it can be divided by.
    pub(super) cpus: f64,
    /// CPUs for each active person.
    pub(super) fair: f64,
    /// Everybody who is a person, by UID, each once.
    pub(super) people: Vec<&'a UserLoad>,
    host: &'a HostLoad,
    active_from: f64,
}

impl<'a> Facts<'a> {
    pub(super) fn of(observation: &'a Observation, policy: &Policy) -> Self {
        let mut people: Vec<_> =
            observation.users.iter().filter(|user| policy.people.is_person(user.person.uid)).collect();
        // Stable: of two entries the first stays.
        people.sort_by_key(|user| user.person.uid);
        people.dedup_by_key(|user| user.person.uid);
        let cpus = f64::from(observation.host.cpus);
        let mut facts = Self { cpus, fair: cpus, people, host: &observation.host, active_from: policy.active_from };
        let active = facts.people.iter().filter(|user| facts.is_active(user)).count();
        facts.fair = cpus / f64::from(u32::try_from(active.max(1)).unwrap_or(u32::MAX));
        facts
    }

    /// Whether somebody shares the host with others.
    pub(super) fn is_active(&self, user: &UserLoad) -> bool {
        sane(user.cpu.0) + sane(user.waiting.0) >= self.active_from
    }

    /// `None` if this host does not tell.
    pub(super) fn host(&self, metric: Metric) -> Option<f64> {
        let host = self.host;
        match metric {
            Metric::HostCpuBusy => of_all(sane(host.busy.0), self.cpus),
            Metric::CpuPressure => host.cpu_pressure.map(sane),
            Metric::MemoryPressure => host.memory_pressure.map(sane),
            Metric::IoPressure => host.io_pressure.map(sane),
            Metric::MemoryAvailable => (host.memory_total.0 > 0).then(|| float(host.memory_available)),
            _ => None,
        }
    }

    /// A user's own figure, or what he suffers.
    pub(super) fn user(&self, metric: Metric, user: &UserLoad) -> Option<f64> {
        let (cpu, waiting) = (sane(user.cpu.0), sane(user.waiting.0));
        match metric {
            Metric::UserCpu => Some(cpu),
            Metric::UserCpuFairShares => of_all(cpu, self.fair),
            Metric::UserMemory => Some(float(user.memory)),
            Metric::UserWriteRate => Some(float(user.write_rate)),
            #[expect(clippy::cast_precision_loss, reason = "compared with a threshold of people's making")]
            Metric::VictimWaitP99 => user.wait_p99.map(|wait| wait.0 as f64),
            Metric::VictimWaitShare => of_all(waiting, cpu + waiting),
            _ => None,
        }
    }

    /// What `amount` is on this host, in the unit of `metric`.
    pub(super) fn amount(&self, metric: Metric, amount: Amount) -> Option<f64> {
        match (metric, amount) {
            (Metric::UserCpu, Amount::Share(share)) => (self.cpus > 0.0).then_some(share * self.cpus),
            (Metric::UserMemory | Metric::MemoryAvailable, Amount::Share(share)) => self.of_memory(share),
            (_, Amount::Share(amount) | Amount::Absolute(amount)) => Some(amount),
        }
    }

    /// Bytes; `None` if it is not known how much memory there is.
    pub(super) fn of_memory(&self, share: f64) -> Option<f64> {
        (self.host.memory_total.0 > 0).then(|| share * float(self.host.memory_total))
    }
}

/// `None` of nothing.
fn of_all(part: f64, all: f64) -> Option<f64> {
    (all > 0.0).then(|| part / all)
}

#[expect(clippy::cast_precision_loss, reason = "compared with thresholds of people's making")]
pub(super) fn float(bytes: Bytes) -> f64 {
    bytes.0 as f64
}
