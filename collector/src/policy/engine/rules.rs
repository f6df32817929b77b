//! One rule at one moment: its conditions on host and victims, and what follows for one user.

use std::time::Duration;

use super::{
    facts::Facts,
    latch::{Latch, Level, span},
    reason::{self, Figure},
    record::{Limit, Record, presses},
    resolve,
};
use crate::{
    limits::{Cause, Limits},
    policy::{
        Policy, Rule, UserLoad,
        rule::{Condition, Subject},
    },
    units::Nanos,
};

/// Who suffers most, by one figure.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Victim {
    pub(super) value: f64,
    pub(super) name: String,
}

/// One rule at one moment.
pub(super) struct Moment<'a> {
    pub(super) number: usize,
    pub(super) rule: &'a Rule,
    pub(super) policy: &'a Policy,
    pub(super) facts: &'a Facts<'a>,
    pub(super) now: Nanos,
    /// One for each condition; used for those on host and victims.
    pub(super) latches: &'a [Latch],
    pub(super) victims: &'a [Option<Victim>],
}

/// The level of one condition on the host or on victims.
pub(super) fn level_around(condition: &Condition, facts: &Facts<'_>, victim: Option<&Victim>) -> Level {
    let value = match condition.metric.subject() {
        Subject::Victim => victim.map(|victim| victim.value),
        _ => facts.host(condition.metric),
    };
    let amount = |amount| facts.amount(condition.metric, amount);
    Level::of(value, amount(condition.threshold), amount(condition.release), condition.metric.feared_low())
}

/// The level of one condition on the user himself, under the `limits` that he has.
pub(super) fn level_of(
    condition: &Condition,
    facts: &Facts<'_>,
    load: &UserLoad,
    limits: Option<&Limits>,
    allowance: f64,
) -> Level {
    if limits.is_some_and(|limits| presses(condition.metric, load, limits)) {
        return Level::TooMuch;
    }
    let amount = |amount| facts.amount(condition.metric, amount).map(|amount| amount * allowance);
    let value = facts.user(condition.metric, load);
    Level::of(value, amount(condition.threshold), amount(condition.release), false)
}

impl Moment<'_> {
    fn latch(&self, record: &Record, condition: usize) -> Latch {
        let own = self.rule.when.get(condition).is_some_and(|c| c.metric.subject() == Subject::User);
        let latches =
            if own { record.rules.get(self.number).map(|watch| &watch.latches[..]) } else { Some(self.latches) };
        latches.and_then(|latches| latches.get(condition)).copied().unwrap_or_default()
    }

    fn conditions<'r>(&'r self, record: &'r Record) -> impl Iterator<Item = (usize, &'r Condition, Latch)> + 'r {
        self.rule.when.iter().enumerate().map(|(number, condition)| (number, condition, self.latch(record, number)))
    }

    /// Since when all conditions are met without interruption.
    pub(super) fn pending_since(&self, record: &Record) -> Option<Nanos> {
        self.conditions(record)
            .map(|(_, _, latch)| latch.too_much_since())
            .try_fold(Nanos(0), |latest, since| Some(latest.max(since?)))
    }

    /// Whether all conditions have been met for as long as each asks.
    fn is_ripe(&self, record: &Record) -> bool {
        self.conditions(record)
            .all(|(_, condition, latch)| latch.held(self.now).is_some_and(|held| held >= condition.hold))
    }

    /// The first condition of `subject` or else that no longer holds.
    fn ended(&self, record: &Record, own: bool) -> Option<usize> {
        let mut of_kind =
            self.conditions(record).filter(|(_, condition, _)| (condition.metric.subject() == Subject::User) == own);
        of_kind.find(|(_, _, latch)| !latch.is_on()).map(|(number, ..)| number)
    }

    /// What follows for one user. Nothing else decides.
    pub(super) fn transit(&self, record: &mut Record, load: &UserLoad, may_begin: bool) {
        let limited = record.rules.get(self.number).and_then(|watch| watch.limited.clone());
        let Some(limit) = limited else {
            if may_begin && self.is_ripe(record) {
                self.begin(record, load);
            }
            return;
        };
        let limit = if limit.stale { self.renewed(record, load, limit) } else { limit };
        let prolonged = |time: Duration| time.mul_f64(limit.penalty);
        let over = span(limit.since, self.now) >= prolonged(self.rule.min_limited);
        if let Some(condition) = self.ended(record, true) {
            if over {
                self.end(record, load, condition);
            }
        } else if let Some(condition) = self.ended(record, false) {
            let calm = limit.calm.unwrap_or(self.now);
            let rested = span(calm.max(limit.changed), self.now) >= prolonged(self.rule.relax_after);
            if !(over && rested) {
                self.put(record, Limit { calm: Some(calm), ..limit });
            } else if limit.step == 0 {
                self.end(record, load, condition);
            } else {
                self.relax(record, load, condition, &limit);
            }
        } else if self.pending_since(record).is_some_and(|since| {
            span(since.max(limit.changed), self.now) >= self.rule.step_after && self.is_ripe(record)
        }) {
            self.tighten(record, load, limit);
        } else {
            self.put(record, Limit { calm: None, ..limit });
        }
    }

    fn begin(&self, record: &mut Record, load: &UserLoad) {
        let offences = &self.policy.offences;
        // Several rules that fire for the same thing are one offence.
        let earlier = if record.is_limited() { 0.0 } else { record.offences.add(self.now, offences) };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to some hundred")]
        let step = (earlier as usize).min(self.rule.steps.len().saturating_sub(1));
        let limits = self.resolved(record, load, step);
        let penalty = 1.0 + offences.longer * earlier;
        let (since, changed) = (self.now, self.now);
        let reason = self.accusation(record, load);
        let limit = Limit { step, since, changed, calm: None, relaxed: false, penalty, limits, reason, stale: false };
        self.change(record, limit);
    }

    fn tighten(&self, record: &mut Record, load: &UserLoad, mut limit: Limit) {
        let last = self.rule.steps.len().saturating_sub(1);
        let step = (limit.step + 1).min(last);
        let limits = resolve::tightened(self.resolved(record, load, step), limit.limits);
        if step == limit.step && !resolve::is_tighter(&limits, &limit.limits) {
            self.put(record, Limit { calm: None, ..limit });
            return;
        }
        if limit.relaxed {
            limit.penalty = 1.0 + self.policy.offences.longer * record.offences.add(self.now, &self.policy.offences);
        }
        let reason = self.accusation(record, load);
        self.change(record, Limit { step, limits, reason, changed: self.now, calm: None, relaxed: false, ..limit });
    }

    fn relax(&self, record: &mut Record, load: &UserLoad, condition: usize, limit: &Limit) {
        let step = limit.step - 1;
        let limits = resolve::relaxed(self.resolved(record, load, step), limit.limits);
        let reason = self.relief(record, load, condition);
        // Calm is asked for anew before the next step back.
        self.change(
            record,
            Limit { step, limits, reason, changed: self.now, calm: None, relaxed: true, ..limit.clone() },
        );
    }

    fn end(&self, record: &mut Record, load: &UserLoad, condition: usize) {
        let reason = self.relief(record, load, condition);
        record.drop_limit(self.number, &self.rule.name, &reason);
    }

    /// The same under a policy that has changed.
    fn renewed(&self, record: &mut Record, load: &UserLoad, limit: Limit) -> Limit {
        let step = limit.step.min(self.rule.steps.len().saturating_sub(1));
        let limit = Limit { step, limits: self.resolved(record, load, step), stale: false, ..limit };
        self.put(record, limit.clone());
        limit
    }

    fn resolved(&self, record: &Record, load: &UserLoad, step: usize) -> Limits {
        let floors = self.policy.floors(&record.person, Some(&self.rule.name));
        resolve::limits(self.rule.steps.get(..=step).unwrap_or_default(), &floors, load.memory, self.facts)
    }

    fn put(&self, record: &mut Record, limit: Limit) {
        if let Some(watch) = record.rules.get_mut(self.number) {
            watch.limited = Some(limit);
        }
    }

    fn change(&self, record: &mut Record, limit: Limit) {
        record.causes.push((self.number, Cause { rule: self.rule.name.clone(), reason: limit.reason.clone() }));
        self.put(record, limit);
    }

    /// Why somebody is limited.
    fn accusation(&self, record: &Record, load: &UserLoad) -> String {
        let (mut around, mut own) = (Vec::new(), Vec::new());
        for (number, condition, latch) in self.conditions(record) {
            let time = latch.held(self.now).unwrap_or_default();
            let Some((figure, whose)) = self.figure(record, load, number, time, false) else { continue };
            let of_user = condition.metric.subject() == Subject::User;
            if of_user { &mut own } else { &mut around }.push(figure.clause(&whose, self.facts));
        }
        reason::sentence(&around, &own, Some(load))
    }

    /// Why he is limited less, or no longer: `condition` does not hold any more.
    fn relief(&self, record: &Record, load: &UserLoad, condition: usize) -> String {
        let time = self.latch(record, condition).fine_for(self.now);
        let figure = time.and_then(|time| self.figure(record, load, condition, time, true));
        match figure {
            Some((figure, whose)) => reason::sentence(&[figure.clause(&whose, self.facts)], &[], None),
            None => format!("the conditions of the rule {} no longer hold", self.rule.name),
        }
    }

    /// What a condition looks at, and whose it is; `None` if it cannot be told, for want of victims for example.
    fn figure(
        &self,
        record: &Record,
        load: &UserLoad,
        number: usize,
        time: Duration,
        fine: bool,
    ) -> Option<(Figure, String)> {
        let condition = self.rule.when.get(number)?;
        let metric = condition.metric;
        let (value, whose, factor) = match metric.subject() {
            Subject::Host => (self.facts.host(metric)?, String::new(), 1.0),
            Subject::Victim => {
                let victim = self.victims.get(number)?.clone()?;
                (victim.value, victim.name, 1.0)
            }
            Subject::User => {
                let allowance = self.policy.allowance(&record.person, &self.rule.name);
                (self.facts.user(metric, load)?, reason::name(&record.person), allowance)
            }
        };
        let threshold = if fine { condition.release } else { condition.threshold };
        let threshold = self.facts.amount(metric, threshold)? * factor;
        Some((Figure { metric, value, threshold, time, fine }, whose))
    }
}
