//! Which series have ended: those that were told last time and are not told now.
//!
//! A series is remembered by a number made of its labels, so that hundreds of thousands of them take little room; how it was called
//! is found again by a walk over the reading that had it.

use std::hash::{BuildHasher as _, RandomState};

use super::series::Series;

/// Numbers of series. Nobody outside knows how they come about, so nobody can choose names that share one.
#[derive(Debug, Default)]
pub(super) struct Numbers(RandomState);

impl Numbers {
    pub(super) fn of(&self, series: &Series<'_>) -> u64 {
        self.0.hash_one(&series.labels)
    }
}

/// The series of one reading.
#[derive(Debug, Default)]
pub(super) struct Present(Vec<u64>);

impl Present {
    /// Of all their numbers, in any order.
    pub(super) fn new(mut numbers: Vec<u64>) -> Self {
        numbers.sort_unstable();
        numbers.dedup();
        numbers.shrink_to_fit();
        Self(numbers)
    }

    /// Those of `self` that `now` has no more.
    pub(super) fn ended(&self, now: &Self) -> Self {
        Self(self.0.iter().copied().filter(|number| !now.contains(*number)).collect())
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `number` is among them.
    pub(super) fn contains(&self, number: u64) -> bool {
        self.0.binary_search(&number).is_ok()
    }
}
