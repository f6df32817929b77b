//! A histogram of run-queue waits.

use collector_ebpf::latency::{BOUNDS_NS, BUCKETS};

use crate::units::Nanos;

/// A histogram of waits in the buckets of [`collector_ebpf::latency`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Latency {
    /// Waits in each bucket, not cumulated.
    pub buckets: [u64; BUCKETS],
}

impl Default for Latency {
    fn default() -> Self {
        Self { buckets: [0; BUCKETS] }
    }
}

impl Latency {
    /// All waits.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// An upper estimate of the `q`-quantile (`0.0..=1.0`): the upper bound of the bucket that it falls into, at most
    /// 19 % above the true value. `None` without waits. Waits beyond the last bound count as that bound.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rank among waits: its rounding is far below a bucket's width, and it is not negative"
    )]
    pub fn quantile(&self, q: f64) -> Option<Nanos> {
        let count = self.count();
        if count == 0 {
            return None;
        }
        let rank = ((q * count as f64).ceil() as u64).clamp(1, count);
        let mut seen = 0;
        let bucket = self.buckets.iter().position(|waits| {
            seen += waits;
            seen >= rank
        })?;
        Some(Nanos(BOUNDS_NS[bucket.min(BOUNDS_NS.len() - 1)]))
    }

    /// The waits since `earlier`, or `None` if a bucket has shrunk.
    pub fn since(&self, earlier: &Self) -> Option<Self> {
        let mut buckets = [0; BUCKETS];
        for (i, bucket) in buckets.iter_mut().enumerate() {
            *bucket = self.buckets[i].checked_sub(earlier.buckets[i])?;
        }
        Some(Self { buckets })
    }
}

#[cfg(test)]
mod tests {
    use super::{BOUNDS_NS, Latency, Nanos};

    #[test]
    fn a_quantile_is_the_bound_of_the_bucket_that_holds_its_rank() {
        let mut latency = Latency::default();
        assert_eq!(latency.quantile(0.5), None);
        latency.buckets[10] = 99;
        latency.buckets[40] = 1;
        assert_eq!(latency.quantile(0.5), Some(Nanos(BOUNDS_NS[10])));
        assert_eq!(latency.quantile(0.99), Some(Nanos(BOUNDS_NS[10])));
        assert_eq!(latency.quantile(1.0), Some(Nanos(BOUNDS_NS[40])));
    }

    #[test]
    fn a_wait_beyond_the_last_bound_counts_as_that_bound() {
        let mut latency = Latency::default();
        latency.buckets[super::BUCKETS - 1] = 1;
        assert_eq!(latency.quantile(0.5), Some(Nanos(BOUNDS_NS[BOUNDS_NS.len() - 1])));
    }

    #[test]
    fn a_bucket_that_shrank_yields_no_difference() {
        let mut before = Latency::default();
        before.buckets[3] = 2;
        assert_eq!(Latency::default().since(&before), None);
    }
}
