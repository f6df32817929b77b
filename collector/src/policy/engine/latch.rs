//! One condition over time: how long it has been too much, how long fine, and whether it holds. The two thresholds and
//! the two durations are what keeps limits from flapping.

use std::time::Duration;

use crate::{policy::rule::Condition, units::Nanos};

/// A measured value between its thresholds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// Beyond the release threshold: fine. So is what cannot be measured.
    Fine,
    /// Neither.
    Between,
    /// Beyond the threshold: too much.
    TooMuch,
}

impl Level {
    pub(super) fn of(value: Option<f64>, threshold: Option<f64>, release: Option<f64>, feared_low: bool) -> Self {
        let (Some(value), Some(threshold), Some(release)) = (value, threshold, release) else { return Self::Fine };
        let (value, threshold, release) =
            if feared_low { (-value, -threshold, -release) } else { (value, threshold, release) };
        if value >= threshold {
            Self::TooMuch
        } else if value < release {
            Self::Fine
        } else {
            Self::Between
        }
    }
}

/// What is remembered of a condition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Latch {
    /// Since when it has been too much without interruption.
    too_much: Option<Nanos>,
    /// Since when it has been fine without interruption.
    fine: Option<Nanos>,
    on: bool,
}

impl Latch {
    pub(super) fn update(&mut self, level: Level, now: Nanos, condition: &Condition) {
        self.too_much = (level == Level::TooMuch).then(|| self.too_much.unwrap_or(now));
        self.fine = (level == Level::Fine).then(|| self.fine.unwrap_or(now));
        if self.held(now).is_some_and(|held| held >= condition.hold) {
            self.on = true;
        } else if self.fine_for(now).is_some_and(|fine| fine >= condition.release_hold) {
            self.on = false;
        }
    }

    /// Whether the condition held and has not been fine for long enough since.
    pub(super) fn is_on(self) -> bool {
        self.on
    }

    /// Taken for one that holds, as is right for somebody who is limited by it.
    pub(super) fn held_on() -> Self {
        Self { on: true, ..Self::default() }
    }

    /// Since when it is too much.
    pub(super) fn too_much_since(self) -> Option<Nanos> {
        self.too_much
    }

    /// For how long it has been too much.
    pub(super) fn held(self, now: Nanos) -> Option<Duration> {
        self.too_much.map(|since| span(since, now))
    }

    /// For how long it has been fine.
    pub(super) fn fine_for(self, now: Nanos) -> Option<Duration> {
        self.fine.map(|since| span(since, now))
    }
}

/// From one moment to a later one; nothing if it is earlier.
pub(super) fn span(from: Nanos, to: Nanos) -> Duration {
    Duration::from_nanos(to.0.saturating_sub(from.0))
}
