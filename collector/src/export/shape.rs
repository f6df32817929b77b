//! The buckets of a histogram: exponential ones as Prometheus' native histograms have them, and which of their bounds
//! the text formats show as classic `le` buckets. Each classic bound is also a native one, so that a classic bucket
//! is an exact sum of native buckets: nothing is interpolated.
//!
//! Bucket 0 holds what is at most the zero threshold, the last bucket what is beyond the last bound, and the bucket
//! with number `i` in between what lies in `(2^((i-1)/4 + lowest), 2^(i/4 + lowest)]`: schema 2 has four buckets in
//! each power of two (Prometheus documentation, "Native histograms", section "Schema").

use collector_ebpf::latency::{BUCKETS_PER_OCTAVE, HIGHEST_EXPONENT, LOWEST_EXPONENT};

use crate::bursts;

/// A histogram's buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// log2 of the zero threshold, which is the lowest bound.
    lowest: i32,
    /// log2 of the last bound.
    highest: i32,
    /// From low to high; `+Inf` comes on top.
    classic: &'static [Classic],
}

/// A classic bucket: all observations of at most its bound, which is a power of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Classic {
    /// log2 of the bound.
    exponent: i32,
    /// The bound as Prometheus itself writes a number.
    pub le: &'static str,
}

/// Run-queue latency in seconds, in the buckets in which the kernel side counts. Classic bounds from 3.8 µs to 16 s,
/// finest where a wait begins to be felt.
pub static LATENCY: Shape = Shape::new(
    LOWEST_EXPONENT,
    HIGHEST_EXPONENT,
    &[
        bound(-18, "3.814697265625e-06"),
        bound(-16, "1.52587890625e-05"),
        bound(-14, "6.103515625e-05"),
        bound(-12, "0.000244140625"),
        bound(-10, "0.0009765625"),
        bound(-9, "0.001953125"),
        bound(-8, "0.00390625"),
        bound(-7, "0.0078125"),
        bound(-6, "0.015625"),
        bound(-5, "0.03125"),
        bound(-4, "0.0625"),
        bound(-3, "0.125"),
        bound(-2, "0.25"),
        bound(-1, "0.5"),
        bound(0, "1"),
        bound(2, "4"),
        bound(4, "16"),
    ],
);

/// Use of CPUs in cores: from less than a hundredth of a core to a thousand.
pub static CORES: Shape = Shape::new(
    bursts::LOWEST_EXPONENT,
    bursts::HIGHEST_EXPONENT,
    &[
        bound(-7, "0.0078125"),
        bound(-5, "0.03125"),
        bound(-3, "0.125"),
        bound(-2, "0.25"),
        bound(-1, "0.5"),
        bound(0, "1"),
        bound(1, "2"),
        bound(2, "4"),
        bound(3, "8"),
        bound(4, "16"),
        bound(5, "32"),
        bound(6, "64"),
        bound(8, "256"),
        bound(10, "1024"),
    ],
);

const fn bound(exponent: i32, le: &'static str) -> Classic {
    Classic { exponent, le }
}

/// 2 to the power of `exponent`, which is that of a normal number: exact.
#[expect(clippy::cast_sign_loss, reason = "a normal number's exponent is at least -1022")]
const fn power_of_two(exponent: i32) -> f64 {
    f64::from_bits(((1023 + exponent) as u64) << 52)
}

impl Classic {
    /// The bound.
    pub const fn bound(&self) -> f64 {
        power_of_two(self.exponent)
    }
}

impl Shape {
    /// Prometheus' number for this many buckets in each power of two: its binary logarithm.
    pub const SCHEMA: i32 = BUCKETS_PER_OCTAVE.ilog2().cast_signed();

    /// Panics at compile time if the bounds are out of order or beyond what a number can be.
    const fn new(lowest: i32, highest: i32, classic: &'static [Classic]) -> Self {
        assert!(-1000 < lowest && lowest < highest && highest < 1000);
        let mut i = 0;
        while i < classic.len() {
            assert!(lowest <= classic[i].exponent && classic[i].exponent <= highest);
            assert!(i == 0 || classic[i - 1].exponent < classic[i].exponent);
            i += 1;
        }
        Self { lowest, highest, classic }
    }

    /// Number of buckets: up to each bound, and one for what is beyond the last.
    pub const fn buckets(&self) -> usize {
        self.highest.abs_diff(self.lowest) as usize * BUCKETS_PER_OCTAVE + 2
    }

    /// Greatest absolute value in bucket 0.
    pub const fn zero_threshold(&self) -> f64 {
        power_of_two(self.lowest)
    }

    /// The index that Prometheus gives to bucket 1: that of `i` is `i - 1` higher. What is beyond the last bound is
    /// counted as if it were in the bucket after it.
    pub const fn first_index(&self) -> i32 {
        self.lowest * (1 << Self::SCHEMA) + 1
    }

    /// The bounds that text formats show.
    pub const fn classic(&self) -> &'static [Classic] {
        self.classic
    }

    /// Observations of at most each bound of [`Shape::classic`], and last, for `+Inf`, all.
    #[inline]
    pub fn cumulative<'a>(&'a self, buckets: &'a [u64]) -> impl Iterator<Item = u64> + 'a {
        let (mut seen, mut rest, mut start) = (0_u64, buckets, 0);
        (0..=self.classic.len()).map(move |number| {
            let end = self.classic.get(number).map_or(usize::MAX, |classic| self.natives(classic));
            let (within, beyond) = rest.split_at(rest.len().min(end - start));
            (rest, start) = (beyond, end);
            seen += within.iter().sum::<u64>();
            seen
        })
    }

    /// Native buckets up to a bound.
    #[inline]
    const fn natives(&self, classic: &Classic) -> usize {
        classic.exponent.abs_diff(self.lowest) as usize * BUCKETS_PER_OCTAVE + 1
    }
}

#[cfg(test)]
mod tests;
