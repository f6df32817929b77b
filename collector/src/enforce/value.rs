//! What a property of a group is set to, in the words of whoever sets it: text by part, kept exactly as it was found so that
//! it can be put back exactly. Pure.
//!
//! `cpu.max` with its burst, or `io.max` with its disks, is written in several steps. Each step has a part of its own, so that a
//! death in between leaves nothing that could not be told apart: every part is as found, as written by us, or somebody else's.

use std::{cmp::Ordering, collections::BTreeMap};

use serde::{Deserialize, Serialize};

use crate::limits::Property;

/// The part of a burst beside its quota.
pub(super) const BURST: &str = "cpu.max.burst";
/// No limit.
pub(super) const MAX: &str = "max";

/// Parts of one property by name, such as a file or a disk, with their text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Value(BTreeMap<String, String>);

impl Value {
    /// One part.
    pub fn one(part: &str, text: impl Into<String>) -> Self {
        Self::default().and(part, text)
    }

    /// One more part.
    #[must_use]
    pub fn and(mut self, part: &str, text: impl Into<String>) -> Self {
        self.0.insert(part.to_owned(), text.into());
        self
    }

    /// The text of a part.
    pub fn get(&self, part: &str) -> Option<&str> {
        self.0.get(part).map(String::as_str)
    }

    /// All parts.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(part, text)| (part.as_str(), text.as_str()))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The parts that `current` has with another text. A part that `current` lacks cannot be written: its disk is gone.
    #[must_use]
    pub fn changed_from(&self, current: &Self) -> Self {
        let differs = |(part, text): &(&str, &str)| current.get(part).is_some_and(|current| current != *text);
        self.iter().filter(differs).map(|(part, text)| (part.to_owned(), text.to_owned())).collect()
    }

    /// What to set so that nobody gets more than he had: part by part `wanted`, or `found` where that is as strict.
    #[must_use]
    pub fn strictest(property: Property, found: &Self, wanted: &Self) -> Self {
        let keeps = |part: &str| match (found.get(part), wanted.get(part)) {
            (Some(found), Some(wanted)) => compare(usual(property, found), wanted) != Ordering::Greater,
            _ => false,
        };
        // A burst belongs to its quota.
        let quota = property == Property::CpuMax && keeps("cpu.max");
        let pick = |(part, text): (&str, &str)| {
            let kept = if part == BURST { quota } else { keeps(part) };
            let text = if kept { found.get(part).unwrap_or(text) } else { text };
            (part.to_owned(), text.to_owned())
        };
        wanted.iter().map(pick).collect()
    }
}

impl FromIterator<(String, String)> for Value {
    fn from_iter<T: IntoIterator<Item = (String, String)>>(parts: T) -> Self {
        Self(parts.into_iter().collect())
    }
}

impl std::fmt::Display for Value {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (number, (part, text)) in self.iter().enumerate() {
            write!(out, "{}{part}={text}", if number > 0 { ", " } else { "" })?;
        }
        Ok(())
    }
}

/// A weight that is not set is the one that everybody has.
fn usual(property: Property, text: &str) -> &str {
    let is_weight = matches!(property, Property::CpuWeight | Property::IoWeight);
    if is_weight && text == MAX { "100" } else { text }
}

/// By amount: `N`, or `N` in each `P` if the text is `N P`. What is no number, such as `max`, is more than any.
fn compare(one: &str, other: &str) -> Ordering {
    match (ratio(one), ratio(other)) {
        (Some((a, b)), Some((c, d))) => (u128::from(a) * u128::from(d)).cmp(&(u128::from(c) * u128::from(b))),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => Ordering::Equal,
    }
}

fn ratio(text: &str) -> Option<(u64, u64)> {
    let mut numbers = text.split_ascii_whitespace();
    let amount = numbers.next()?.parse().ok()?;
    let period = numbers.next().map_or(Some(1), |period| period.parse().ok())?;
    Some((amount, period))
}

#[cfg(test)]
mod tests {
    use super::{BURST, Property, Value};

    fn quota(max: &str, burst: &str) -> Value {
        Value::one("cpu.max", max).and(BURST, burst)
    }

    #[test]
    fn nobody_gets_more_than_he_had() {
        let ours = quota("150000 100000", "0");
        let strictest = |found: &Value| Value::strictest(Property::CpuMax, found, &ours);
        assert_eq!(strictest(&quota("max 100000", "5000")), ours);
        assert_eq!(strictest(&quota("10000 20000", "5000")), quota("10000 20000", "5000"));
        assert_eq!(strictest(&quota("100000 20000", "5000")), ours);
        assert_eq!(strictest(&quota("nonsense", "5000")), ours);
        let disks = Value::one("8:0", "max").and("8:16", "10");
        let wanted = Value::one("8:0", "20").and("8:16", "20").and("8:32", "20");
        let set = Value::strictest(Property::IoRead, &disks, &wanted);
        assert_eq!(set, Value::one("8:0", "20").and("8:16", "10").and("8:32", "20"));
    }

    #[test]
    fn only_what_differs_is_written_and_nothing_to_disks_that_are_gone() {
        let current = Value::one("8:0", "max").and("8:16", "10");
        let target = Value::one("8:0", "5").and("8:16", "10").and("8:32", "5");
        assert_eq!(target.changed_from(&current), Value::one("8:0", "5"));
        assert!(current.changed_from(&current).is_empty());
    }
}
