//! Who is limited, how far, and why: (use, state, clock) → decisions. Pure: nothing is read but the policy file, no clock
//! is asked, nothing is written. `enforce` acts on what comes out, and asks [`Policy::permits`] again.
//!
//! | module | owns |
//! |---|---|
//! | [`keys`] | the table of all keys of the policy file |
//! | [`value`] | what a key's value can be |
//! | `parse` | the file → a [`Policy`], or all that is wrong with it |
//! | [`rule`] | what a rule says |
//! | [`people`] | who can be limited at all |
//! | [`schedule`] | when a rule is off |
//! | [`observation`] | what an evaluation is told |
//! | [`engine`] | what has been seen and decided so far, and what follows from an observation |
//! | [`series`] | observations that were recorded or written by hand
//! | `permits` | the bounds that hold for whoever asks |

pub mod engine;
pub mod keys;
pub mod observation;
mod parse;
pub mod people;
mod permits;
pub mod rule;
pub mod schedule;
pub mod series;
pub mod value;

use std::{fmt, path::Path, time::Duration};

use jiff::tz::TimeZone;

pub use self::{
    engine::{Action, Decision, Engine, Evaluation},
    observation::{Clock, HostLoad, Observation, Person, UserLoad},
    people::Refusal,
    rule::Rule,
};
use self::{
    people::People,
    rule::{Floors, Offences, Override},
};
use crate::{
    config::{Problem, Unreadable, text_of},
    units::Uid,
};

/// Where names of users and groups become numbers. May ask a name service, and wait for it.
pub trait Directory {
    /// The UID of a user with exactly this name; `None` if there is none.
    ///
    /// # Errors
    /// Why it cannot be told.
    fn user(&self, name: &str) -> Result<Option<Uid>, String>;

    /// The number of a group with exactly this name; `None` if there is none.
    ///
    /// # Errors
    /// Why it cannot be told.
    fn group(&self, name: &str) -> Result<Option<u32>, String>;
}

/// What a policy file says, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    zone: TimeZone,
    people: People,
    /// CPUs used or waited for, from which on somebody shares the host.
    active_from: f64,
    grace: Duration,
    floors: Floors,
    offences: Offences,
    rules: Vec<Rule>,
    overrides: Vec<Override>,
}

/// All that is wrong with a policy file, in its order.
#[derive(Debug, thiserror::Error)]
pub struct PolicyErrors(pub Vec<Problem>);

impl fmt::Display for PolicyErrors {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, problem) in self.0.iter().enumerate() {
            if number > 0 {
                out.write_str("\n")?;
            }
            problem.fmt(out)?;
        }
        Ok(())
    }
}

/// The text of a policy file. Never waits.
///
/// # Errors
/// It cannot be read, or is no text.
pub fn read(path: &Path) -> Result<String, PolicyErrors> {
    text_of(path).map_err(|why| {
        let found = match why {
            Unreadable::Read(source) => format!("a file that cannot be read ({source})"),
            Unreadable::Not(what) => format!("a file that {what}"),
        };
        let allowed = "a policy file, see docs/LIMITS.md".into();
        PolicyErrors(vec![Problem::Value { at: path.display().to_string(), found, allowed }])
    })
}

impl Policy {
    /// Reads `text`, which comes from `where_`.
    ///
    /// # Errors
    /// Everything that is wrong with it, names that `directory` does not know included.
    pub fn parse(text: &str, where_: &str, directory: &dyn Directory) -> Result<Self, PolicyErrors> {
        parse::policy(text, where_, directory)
    }

    /// The rules, in the order of the file.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Bounds of `person` under `rule`, or under any rule.
    fn floors(&self, person: &Person, rule: Option<&str>) -> Floors {
        self.overrides_of(person, rule).fold(self.floors, |floors, over| floors.max(&over.floors))
    }

    /// By how much the thresholds of `person`'s own figures are multiplied: the most that an override says.
    fn allowance(&self, person: &Person, rule: &str) -> f64 {
        self.overrides_of(person, Some(rule)).map(|over| over.allowance).reduce(f64::max).unwrap_or(1.0)
    }

    fn overrides_of<'a>(&'a self, person: &'a Person, rule: Option<&'a str>) -> impl Iterator<Item = &'a Override> {
        self.overrides.iter().filter(move |over| {
            let of_rule = match (&over.rules, rule) {
                (Some(rules), Some(rule)) => rules.iter().any(|name| name == rule),
                (Some(_), None) => false,
                (None, _) => true,
            };
            of_rule && over.people.has(person)
        })
    }
}

#[cfg(test)]
mod tests;
