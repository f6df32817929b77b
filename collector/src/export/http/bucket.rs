//! `rate_limit` of the web configuration: so many requests in a row, then one in each interval. Pure.
//!
//! It is asked after the credentials: who has none cannot use up what is left for others.

use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

use crate::export::web_config::RateLimit;

/// A bucket of tokens for all requests together.
#[derive(Debug)]
pub struct Bucket {
    limit: RateLimit,
    /// When the bucket will be full again (the generic cell rate algorithm): each token puts it off by one interval.
    full: Mutex<Option<Instant>>,
}

impl Bucket {
    /// A full bucket.
    pub fn new(limit: RateLimit) -> Self {
        Self { limit, full: Mutex::new(None) }
    }

    /// Whether it is one of this limit.
    pub fn is_of(&self, limit: &RateLimit) -> bool {
        self.limit == *limit
    }

    /// Takes a token if there is one.
    pub(super) fn take(&self, now: Instant) -> bool {
        // A single value, so a panic elsewhere leaves nothing half done.
        let mut full = self.full.lock().unwrap_or_else(PoisonError::into_inner);
        let next = full.map_or(now, |full| full.max(now)) + self.limit.interval;
        let fits = self.limit.interval.checked_mul(self.limit.burst).is_none_or(|all| next <= now + all);
        if fits {
            *full = Some(next);
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Duration, Instant};

    use super::{Bucket, RateLimit};

    #[test]
    fn after_a_burst_a_token_comes_back_each_interval() {
        let (bucket, start) = (Bucket::new(RateLimit { interval: Duration::from_secs(1), burst: 3 }), Instant::now());
        let at = |millis| bucket.take(start + Duration::from_millis(millis));
        assert_eq!([at(0), at(0), at(0), at(0)], [true, true, true, false]);
        assert_eq!([at(999), at(1000), at(1000), at(1999), at(2000)], [false, true, false, false, true]);
        // Never more than a burst, however long nobody asks.
        assert_eq!([at(60_000), at(60_000), at(60_000), at(60_000)], [true, true, true, false]);
    }

    #[test]
    fn a_huge_limit_is_no_limit_and_no_panic() {
        let bucket = Bucket::new(RateLimit { interval: Duration::from_hours(1), burst: u32::MAX });
        let now = Instant::now();
        assert!((0..1000).all(|_| bucket.take(now)));
    }
}
