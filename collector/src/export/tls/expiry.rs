//! The end of our own certificate: exported as a gauge, and warned of.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, SystemTime},
};

/// How long before its end a certificate is warned of.
pub const WARN_BEFORE: Duration = Duration::from_hours(24);

/// Stands for "no TLS"; no certificate ends then.
const NONE: i64 = i64::MIN;

/// When the certificate that is served now expires. Clones share it.
#[derive(Clone, Debug)]
pub struct Expiry(Arc<AtomicI64>);

impl Default for Expiry {
    fn default() -> Self {
        Self(Arc::new(AtomicI64::new(NONE)))
    }
}

impl Expiry {
    /// Seconds since the epoch; `None` without TLS.
    pub fn timestamp(&self) -> Option<i64> {
        Some(self.0.load(Ordering::Relaxed)).filter(|seconds| *seconds != NONE)
    }

    /// From now on, this is the end.
    pub fn set(&self, timestamp: Option<i64>) {
        self.0.store(timestamp.unwrap_or(NONE), Ordering::Relaxed);
    }
}

/// One sentence if a certificate that ends at `not_after` should be replaced at once.
pub fn warning(not_after: i64, now: SystemTime) -> Option<String> {
    let now = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let left = not_after.saturating_sub(i64::try_from(now).unwrap_or(i64::MAX));
    match u64::try_from(left) {
        Err(_) | Ok(0) => Some(
            "the server's certificate has expired: clients that verify it refuse to connect until it is replaced"
                .into(),
        ),
        Ok(left) if left < WARN_BEFORE.as_secs() => {
            let left = humantime::format_duration(Duration::from_secs(left / 60 * 60));
            Some(format!(
                "the server's certificate expires in {left}: replace it, the files are read again by themselves"
            ))
        }
        Ok(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, Expiry, SystemTime, warning};

    #[test]
    fn a_day_before_its_end_a_certificate_is_warned_of() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        assert_eq!(warning(1_000_000 + 86_400, now), None);
        assert!(warning(1_000_000 + 86_399, now).is_some_and(|text| text.contains("expires in 23h 59m:")));
        for past in [1_000_000, 999_999, 0, -5, i64::MIN] {
            assert!(warning(past, now).is_some_and(|text| text.contains("has expired")), "{past}");
        }
        assert_eq!(warning(i64::MAX, now), None);
    }

    #[test]
    fn clones_show_the_newest() {
        let (one, other) = {
            let one = Expiry::default();
            (one.clone(), one)
        };
        assert_eq!(one.timestamp(), None);
        other.set(Some(5));
        assert_eq!(one.timestamp(), Some(5));
        other.set(None);
        assert_eq!(one.timestamp(), None);
    }
}
