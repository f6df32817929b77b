//! What has been seen and decided so far, and what follows from one more observation. Pure: equal input in equal order
//! gives equal output.
//!
//! Each rule goes through the same states for each user: all its conditions hold for their durations → the first step →
//! `step_after` later, if all of them still hold, the next → once host and victims are fine for `relax_after`, one step
//! back → and once the user himself no longer gives cause, after `min_limited`, none.
//!
//! | module | owns |
//! |---|---|
//! | `facts` | an observation that can be asked |
//! | `latch` | one condition over time |
//! | `rules` | what one rule makes of one user |
//! | `record` | what is remembered of one user |
//! | `resolve` | a step → limits, within floors |
//! | `reason` | sentences |
//! | [`state`] | what can be told |

mod facts;
mod latch;
mod reason;
mod record;
mod resolve;
mod rules;
pub mod state;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

pub use self::state::{Action, Decision, Evaluation, Limited, State, StateKind, Times, UserState};
use self::{
    facts::Facts,
    latch::{Latch, span},
    record::{FORGOTTEN, Record, Watch, may_suffer},
    rules::{Victim, level_around},
};
use super::{Clock, Observation, Person, Policy, UserLoad, rule::Subject, schedule::Moment};
use crate::{
    config::Mode,
    limits::{Cause, Limits, Order},
    units::{Nanos, Uid},
};

/// Modes in which something is decided, in the order of [`Record::decided`].
const LANES: [Mode; 2] = [Mode::DryRun, Mode::Enforce];

/// Decides. Begins in a dry run.
#[derive(Debug)]
pub struct Engine {
    policy: Arc<Policy>,
    mode: Mode,
    /// The last evaluation.
    now: Option<Nanos>,
    /// For each rule, one for each condition: used for those on host and victims.
    around: Vec<Vec<Latch>>,
    records: BTreeMap<Uid, Record>,
    /// Of everybody, those who are forgotten included.
    times: Times,
    evaluations: u64,
}

impl Engine {
    /// Nobody is limited, and nothing has been seen.
    pub fn new(policy: Arc<Policy>) -> Self {
        Self {
            around: unlatched(&policy),
            policy,
            mode: Mode::default(),
            now: None,
            records: BTreeMap::new(),
            times: Times::default(),
            evaluations: 0,
        }
    }

    /// Bounds the modes of all rules, from the next evaluation on.
    pub fn set_mode(&mut self, mode: Mode) {
        self.mode = mode;
    }

    /// Puts another policy into force, from the next evaluation on: who is limited stays so as far as the same rule of
    /// the new one covers him, and is released otherwise.
    pub fn set_policy(&mut self, policy: Arc<Policy>) {
        let old = std::mem::replace(&mut self.policy, policy);
        let policy = Arc::clone(&self.policy);
        let kept: Vec<Option<usize>> =
            policy.rules.iter().map(|rule| old.rules.iter().position(|known| known.name == rule.name)).collect();
        let around = unlatched(&policy);
        let before = std::mem::replace(&mut self.around, around);
        for ((number, rule), from) in policy.rules.iter().enumerate().zip(&kept) {
            match from {
                Some(from) if old.rules[*from].when == rule.when => self.around[number].clone_from(&before[*from]),
                // What made the rule fire holds until it has been fine for long enough.
                Some(_) => self.around[number].fill(Latch::held_on()),
                None => {}
            }
        }
        for record in self.records.values_mut() {
            record.eligible = policy.people.eligible(&record.person);
            record.causes.clear();
            let mut watches = std::mem::take(&mut record.rules);
            for (rule, from) in policy.rules.iter().zip(&kept) {
                let watch = from.map(|from| std::mem::take(&mut watches[from]));
                record.rules.push(match (watch, *from) {
                    (Some(watch), Some(from)) => watch.under(old.rules[from].when == rule.when, rule.when.len()),
                    _ => Watch::new(rule.when.len()),
                });
            }
        }
    }

    /// Keeps the limits of `uid` as they are, whatever is measured, until [`Self::release`].
    pub fn hold(&mut self, uid: Uid) {
        self.record(uid).held = true;
    }

    /// Releases `uid`, and leaves him alone for so long.
    pub fn release(&mut self, uid: Uid, time: Duration) {
        let policy = Arc::clone(&self.policy);
        let until = self.now.unwrap_or_default().0.saturating_add(Nanos::from(time).0);
        let record = self.record(uid);
        record.held = false;
        record.free_until = Some(Nanos(until));
        let reason = format!("an administrator released the user for {}", reason::time(time));
        for (number, rule) in policy.rules.iter().enumerate() {
            record.drop_limit(number, &rule.name, &reason);
        }
    }

    fn record(&mut self, uid: Uid) -> &mut Record {
        let (policy, now) = (&self.policy, self.now.unwrap_or_default());
        self.records
            .entry(uid)
            .or_insert_with(|| Record::new(Person { uid, name: None, groups: None }, now, None, policy))
    }

    /// What follows from `observation`. Time that goes back stands still.
    pub fn evaluate(&mut self, observation: &Observation, clock: &Clock) -> Evaluation {
        let policy = Arc::clone(&self.policy);
        let before = self.now;
        let now = clock.monotonic.max(before.unwrap_or_default());
        self.now = Some(now);
        self.evaluations = self.evaluations.wrapping_add(1);
        let facts = Facts::of(observation, &policy);
        let modes = self.modes(clock);

        self.attend(&policy, &facts, now, before.is_none());
        let victims = self.watch(&policy, &facts, now);
        self.look_around(&policy, &facts, now, &victims, &modes);
        let elapsed = before.map_or(Duration::ZERO, |before| span(before, now));
        let mut decisions = Vec::new();
        for record in self.records.values_mut() {
            let idle;
            let load = if let Some(at) = record.at {
                facts.people[at]
            } else {
                idle = UserLoad::idle(record.person.clone());
                &idle
            };
            let mut pending = None;
            for (number, rule) in policy.rules.iter().enumerate() {
                let latches = &self.around[number][..];
                let victims = &victims[number][..];
                let moment = rules::Moment { number, rule, policy: &policy, facts: &facts, now, latches, victims };
                if modes[number] == Mode::Off || record.eligible.is_err() || !rule.who.has(&record.person) {
                    record.forget(number, rule, modes[number]);
                } else if !record.held {
                    let later = |moment: Option<Nanos>| moment.is_some_and(|until| until > now);
                    let may_begin = !later(record.free_until) && !later(record.grace_until);
                    moment.transit(record, load, may_begin);
                    pending = pending.or_else(|| Some((number, moment.pending_since(record)?)));
                }
            }
            decisions.extend(decide(record, &modes));
            let kind = record.state(&policy, now, pending).kind();
            record.pending = pending;
            record.times.add(kind, elapsed);
            self.times.add(kind, elapsed);
        }
        self.records.retain(|_, record| !record.is_over(now, &policy.offences));
        Evaluation { decisions }
    }

    /// How far each rule goes at this moment.
    fn modes(&self, clock: &Clock) -> Vec<Mode> {
        let moment = Moment::of(clock.wall, &self.policy.zone);
        let mode = |rule: &super::Rule| if rule.schedule.is_on(moment) { rule.mode.min(self.mode) } else { Mode::Off };
        self.policy.rules.iter().map(mode).collect()
    }

    /// Notes who is there, and who has come.
    fn attend(&mut self, policy: &Policy, facts: &Facts<'_>, now: Nanos, first: bool) {
        for record in self.records.values_mut() {
            record.at = None;
        }
        for (at, load) in facts.people.iter().enumerate() {
            let grace = || (!first).then(|| Nanos(now.0.saturating_add(Nanos::from(policy.grace).0)));
            let uid = load.person.uid;
            let Some(record) = self.records.get_mut(&uid) else {
                if policy.people.eligible(&load.person).is_ok() {
                    let mut record = Record::new(load.person.clone(), now, grace(), policy);
                    record.at = Some(at);
                    self.records.insert(uid, record);
                }
                continue;
            };
            // Who comes back to go on where he left off is no newcomer.
            if span(record.seen, now) >= FORGOTTEN && record.offences.now(now, &policy.offences) < 0.5 {
                record.grace_until = grace();
            }
            if record.person != load.person {
                record.person = load.person.clone();
                record.eligible = policy.people.eligible(&record.person);
            }
            (record.seen, record.at) = (now, Some(at));
        }
    }

    /// Brings the conditions on users' own figures up to date, and finds who suffers most: for each rule, one for each
    /// condition. Offenders are no victims.
    fn watch(&mut self, policy: &Policy, facts: &Facts<'_>, now: Nanos) -> Vec<Vec<Option<Victim>>> {
        let mut worst: Vec<Vec<Option<(f64, usize)>>> =
            policy.rules.iter().map(|rule| vec![None; rule.when.len()]).collect();
        for record in self.records.values_mut().filter(|record| record.at.is_none()) {
            let idle = UserLoad::idle(record.person.clone());
            record.watch(policy, facts, &idle, now);
        }
        for (at, load) in facts.people.iter().enumerate() {
            let mut record = self.records.get_mut(&load.person.uid);
            let limits = record.as_ref().filter(|record| record.is_limited()).map(|record| record.limits());
            if let Some(record) = &mut record {
                record.watch(policy, facts, load, now);
            }
            if !may_suffer(load, facts, limits.as_ref()) {
                continue;
            }
            for (number, rule) in policy.rules.iter().enumerate() {
                if record.as_ref().is_some_and(|record| record.offends(number, rule)) {
                    continue;
                }
                let victim = |condition: &super::rule::Condition| condition.metric.subject() == Subject::Victim;
                for (condition, worst) in rule.when.iter().zip(&mut worst[number]).filter(|(c, _)| victim(c)) {
                    if let Some(value) = facts.user(condition.metric, load)
                        && worst.is_none_or(|(most, _)| value > most)
                    {
                        *worst = Some((value, at));
                    }
                }
            }
        }
        let named = |(value, at): (f64, usize)| Victim { value, name: reason::name(&facts.people[at].person) };
        worst.into_iter().map(|rule| rule.into_iter().map(|worst| worst.map(named)).collect()).collect()
    }

    /// Brings the conditions on host and victims up to date. A rule that is off forgets.
    fn look_around(
        &mut self,
        policy: &Policy,
        facts: &Facts<'_>,
        now: Nanos,
        victims: &[Vec<Option<Victim>>],
        modes: &[Mode],
    ) {
        for (number, rule) in policy.rules.iter().enumerate() {
            for ((condition, latch), victim) in rule.when.iter().zip(&mut self.around[number]).zip(&victims[number]) {
                if modes[number] == Mode::Off {
                    *latch = Latch::default();
                } else if condition.metric.subject() != Subject::User {
                    latch.update(level_around(condition, facts, victim.as_ref()), now, condition);
                }
            }
        }
    }

    /// What can be told about everybody who can be limited and is known, by UID.
    pub fn states(&self) -> Vec<UserState> {
        let now = self.now.unwrap_or_default();
        let [dry, real] = [0, 1];
        let known = self.records.iter().map(|(uid, record)| UserState {
            uid: *uid,
            name: record.person.name.clone(),
            state: record.state(&self.policy, now, record.pending),
            wanted: record.decided[real].0,
            would_be: resolve::tightest(record.decided[dry].0, record.decided[real].0),
            offences: record.offences.now(now, &self.policy.offences),
            times: record.times,
        });
        known.collect()
    }

    /// Time that users spent in each state, all together, since the beginning.
    pub fn times(&self) -> Times {
        self.times
    }

    /// Evaluations since the beginning.
    pub fn evaluations(&self) -> u64 {
        self.evaluations
    }
}

fn unlatched(policy: &Policy) -> Vec<Vec<Latch>> {
    policy.rules.iter().map(|rule| vec![Latch::default(); rule.when.len()]).collect()
}

/// What has changed for one user in each mode.
fn decide(record: &mut Record, modes: &[Mode]) -> Vec<Decision> {
    let mut decisions = Vec::new();
    let causes = std::mem::take(&mut record.causes);
    for (lane, mode) in LANES.into_iter().enumerate() {
        let wanted = record.wanted(mode, modes);
        let (before, rule) = &record.decided[lane];
        if wanted == *before {
            continue;
        }
        let of_mode = causes.iter().rev().find(|(number, _)| modes.get(*number) == Some(&mode));
        let cause = of_mode.or(causes.last()).map(|(_, cause)| cause.clone());
        let cause = cause.unwrap_or_else(|| Cause {
            rule: rule.clone(),
            reason: "the policy, or how far it goes, has changed".into(),
        });
        let action = action(before, &wanted);
        record.decided[lane] = (wanted, cause.rule.clone());
        decisions.push(Decision { order: Order { uid: record.person.uid, limits: wanted, cause }, action, mode });
    }
    decisions
}

fn action(before: &Limits, wanted: &Limits) -> Action {
    if wanted.is_none() {
        Action::Release
    } else if before.is_none() {
        Action::Set
    } else if resolve::is_tighter(wanted, before) {
        Action::Tighten
    } else {
        Action::Relax
    }
}

#[cfg(test)]
mod tests;
