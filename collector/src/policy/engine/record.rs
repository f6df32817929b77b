//! What is remembered of one user.

use std::time::Duration;

use super::{
    facts::{Facts, float},
    latch::{Latch, span},
    resolve::tightest,
    rules::level_of,
    state::{Limited, State, Times},
};
use crate::{
    config::Mode,
    limits::{Cause, Limits},
    policy::{
        Person, Policy, Refusal, Rule, UserLoad,
        observation::sane,
        rule::{Metric, Offences, Subject},
    },
    units::Nanos,
};

/// Who was not seen for so long comes anew.
pub(super) const FORGOTTEN: Duration = Duration::from_mins(1);
/// Use of that part of a limit is as much as the limit leaves.
const PRESSING: f64 = 0.9;
/// Offences that weigh less are forgotten.
const TRIFLE: f64 = 0.05;

/// One user.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) person: Person,
    pub(super) eligible: Result<(), Refusal>,
    /// When he was last observed.
    pub(super) seen: Nanos,
    /// Where he stands in the observation of this evaluation.
    pub(super) at: Option<usize>,
    pub(super) grace_until: Option<Nanos>,
    /// An administrator holds his limits as they are.
    pub(super) held: bool,
    /// An administrator released him until then.
    pub(super) free_until: Option<Nanos>,
    /// One for each rule.
    pub(super) rules: Vec<Watch>,
    pub(super) offences: Count,
    /// What was last decided, in a dry run and for good, and by which rule.
    pub(super) decided: [(Limits, String); 2],
    /// What changed since the last decisions, with the number of the rule.
    pub(super) causes: Vec<(usize, Cause)>,
    pub(super) times: Times,
    /// The first rule all conditions of which are met, by its number, and since when.
    pub(super) pending: Option<(usize, Nanos)>,
}

/// One user under one rule.
#[derive(Clone, Debug, Default)]
pub(super) struct Watch {
    /// One for each condition; used for those on the user's own figures.
    pub(super) latches: Vec<Latch>,
    pub(super) limited: Option<Limit>,
}

/// What one rule limits one user to.
#[derive(Clone, Debug)]
pub(super) struct Limit {
    /// Index of the rule's step.
    pub(super) step: usize,
    pub(super) since: Nanos,
    /// When the step last changed.
    pub(super) changed: Nanos,
    /// Since when host and victims are fine.
    pub(super) calm: Option<Nanos>,
    /// Whether a step was taken back: needing it again is an offence.
    pub(super) relaxed: bool,
    /// By what the rule's times are multiplied.
    pub(super) penalty: f64,
    pub(super) limits: Limits,
    pub(super) reason: String,
    /// Whether the policy has changed since `limits` were made.
    pub(super) stale: bool,
}

/// Offences, each of which counts less as time goes by.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Count {
    count: f64,
    at: Nanos,
}

impl Count {
    pub(super) fn now(self, now: Nanos, offences: &Offences) -> f64 {
        let half_lives = span(self.at, now).as_secs_f64() / offences.half_life.as_secs_f64().max(1.0);
        self.count * 0.5_f64.powf(half_lives)
    }

    /// One more; returns what there was before, as far as it counts.
    pub(super) fn add(&mut self, now: Nanos, offences: &Offences) -> f64 {
        let before = self.now(now, offences).min(offences.most);
        *self = Self { count: before + 1.0, at: now };
        before
    }
}

impl Record {
    pub(super) fn new(person: Person, now: Nanos, grace_until: Option<Nanos>, policy: &Policy) -> Self {
        let rules = policy.rules.iter().map(|rule| Watch::new(rule.when.len())).collect();
        Self {
            eligible: policy.people.eligible(&person),
            person,
            seen: now,
            at: None,
            grace_until,
            held: false,
            free_until: None,
            rules,
            offences: Count::default(),
            decided: Default::default(),
            causes: Vec::new(),
            times: Times::default(),
            pending: None,
        }
    }

    /// Brings the conditions on his own figures up to date.
    pub(super) fn watch(&mut self, policy: &Policy, facts: &Facts<'_>, load: &UserLoad, now: Nanos) {
        let limits = self.is_limited().then(|| self.limits());
        for (rule, watch) in policy.rules.iter().zip(&mut self.rules) {
            let allowance = policy.allowance(&self.person, &rule.name);
            for (condition, latch) in rule.when.iter().zip(&mut watch.latches) {
                if condition.metric.subject() == Subject::User {
                    latch.update(level_of(condition, facts, load, limits.as_ref(), allowance), now, condition);
                }
            }
        }
    }

    /// Whether all conditions of a rule on his own figures are met at this moment.
    pub(super) fn offends(&self, number: usize, rule: &Rule) -> bool {
        let Some(watch) = self.rules.get(number) else { return false };
        let mut own = rule.when.iter().zip(&watch.latches).filter(|(c, _)| c.metric.subject() == Subject::User);
        own.all(|(_, latch)| latch.too_much_since().is_some())
    }

    /// What `rule` limits ends.
    pub(super) fn drop_limit(&mut self, rule: usize, name: &str, reason: &str) {
        let Some(watch) = self.rules.get_mut(rule) else { return };
        if watch.limited.take().is_some() {
            self.causes.push((rule, Cause { rule: name.into(), reason: reason.into() }));
        }
        watch.latches.fill(Latch::default());
    }

    /// A rule cannot act on him at this moment.
    pub(super) fn forget(&mut self, number: usize, rule: &Rule, mode: Mode) {
        let Some(watch) = self.rules.get_mut(number) else { return };
        if watch.limited.is_none() {
            watch.latches.fill(Latch::default());
            return;
        }
        let reason = match &self.eligible {
            _ if mode == Mode::Off => format!("the rule {} is off now", rule.name),
            Err(refusal) => refusal.to_string(),
            Ok(()) => format!("the rule {} does not cover this user", rule.name),
        };
        self.drop_limit(number, &rule.name, &reason);
    }

    /// What all rules limit, whether in a dry run or not: a dry run goes the same way.
    pub(super) fn limits(&self) -> Limits {
        let limits = self.rules.iter().filter_map(|watch| Some(watch.limited.as_ref()?.limits));
        limits.fold(Limits::default(), tightest)
    }

    /// What the rules of one mode want.
    pub(super) fn wanted(&self, mode: Mode, modes: &[Mode]) -> Limits {
        let of_mode = self.rules.iter().zip(modes).filter(|(_, of)| **of == mode);
        of_mode.filter_map(|(watch, _)| Some(watch.limited.as_ref()?.limits)).fold(Limits::default(), tightest)
    }

    pub(super) fn is_limited(&self) -> bool {
        self.rules.iter().any(|watch| watch.limited.is_some())
    }

    /// Whether nothing would be lost by forgetting him.
    pub(super) fn is_over(&self, now: Nanos, offences: &Offences) -> bool {
        let decided = self.decided.iter().any(|(limits, _)| !limits.is_none());
        let kept = decided || self.is_limited() || self.held || self.free_until.is_some_and(|until| until > now);
        !kept && span(self.seen, now) >= FORGOTTEN && self.offences.now(now, offences) < TRIFLE
    }

    pub(super) fn state(&self, policy: &Policy, now: Nanos, pending: Option<(usize, Nanos)>) -> State {
        let named = |rule: usize| policy.rules.get(rule).map(|rule| rule.name.clone()).unwrap_or_default();
        if self.held {
            return State::Held;
        }
        let limits = self.rules.iter().enumerate().filter_map(|(rule, watch)| Some((rule, watch.limited.as_ref()?)));
        if let Some((rule, limit)) = limits.min_by_key(|(_, limit)| limit.since) {
            return State::Limited(Limited {
                rule: named(rule),
                step: limit.step + 1,
                steps: policy.rules.get(rule).map_or(0, |rule| rule.steps.len()),
                since: limit.since,
                reason: limit.reason.clone(),
            });
        }
        let later = |moment: Option<Nanos>| moment.filter(|until| *until > now);
        if let Some(until) = later(self.free_until) {
            return State::Released { until };
        }
        match (pending, later(self.grace_until)) {
            (_, Some(until)) => State::Grace { until },
            (Some((rule, since)), None) => State::Pending { rule: named(rule), since },
            (None, None) => State::Watched,
        }
    }
}

impl Watch {
    /// What stays under a changed policy, for the same rule.
    pub(super) fn under(self, same_conditions: bool, conditions: usize) -> Self {
        let latches = match (&self.limited, same_conditions) {
            (_, true) => self.latches,
            // What made the rule fire holds until it has been fine for long enough.
            (Some(_), false) => vec![Latch::held_on(); conditions],
            (None, false) => vec![Latch::default(); conditions],
        };
        Self { latches, limited: self.limited.map(|limit| Limit { stale: true, ..limit }) }
    }

    pub(super) fn new(conditions: usize) -> Self {
        Self { latches: vec![Latch::default(); conditions], limited: None }
    }
}

/// Whether `load` takes as much as `limits` leave: then it says nothing about what would be taken without them.
pub(super) fn presses(metric: Metric, load: &UserLoad, limits: &Limits) -> bool {
    let at_bound = |used: f64, bound: Option<f64>| bound.is_some_and(|bound| used >= bound * PRESSING);
    match metric {
        Metric::UserCpu | Metric::UserCpuFairShares => {
            let inside = sane(load.cpu.0) - sane(load.outside.0);
            at_bound(inside, limits.cpu_max.map(|cores| f64::from(cores.get()) / 1000.0))
        }
        Metric::UserMemory => at_bound(float(load.memory), limits.memory_high.map(float)),
        Metric::UserWriteRate => at_bound(float(load.write_rate), limits.io_write.map(float)),
        _ => false,
    }
}

/// Whether somebody suffers from others if he suffers: he shares the host, takes no more than his share, and it is
/// not a limit of ours that makes him wait.
pub(super) fn may_suffer(load: &UserLoad, facts: &Facts<'_>, limits: Option<&Limits>) -> bool {
    let ours = limits.is_some_and(|limits| limits.cpu_max.is_some() || limits.cpu_weight.is_some());
    !ours && facts.is_active(load) && sane(load.cpu.0) <= facts.fair
}
