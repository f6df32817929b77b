//! How far another clock is from ours, as the `Date` of an answer tells. Pure.

use std::time::{Duration, SystemTime};

/// `Date` has whole seconds (RFC 9110, section 6.6.1), and servers renew it once a second.
const COARSE: Duration = Duration::from_secs(2);

/// By how many seconds the other clock is ahead at least; negative if it is behind. 0 if both may be right, given that
/// the answer was written between `sent` and `received`.
pub(super) fn skew(date: SystemTime, sent: SystemTime, received: SystemTime) -> i64 {
    let latest = date + COARSE;
    let whole = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    match (date.duration_since(received), sent.duration_since(latest)) {
        (Ok(ahead), _) => whole(ahead),
        (_, Ok(behind)) => -whole(behind),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

    use super::skew;

    fn at(millis: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(millis)
    }

    proptest! {
        #[test]
        fn a_clock_that_is_right_is_never_accused(sent in 10_000_u64..100_000, took in 0_u64..9_000, written in 0_u64..9_000, stale in 0_u64..1_000) {
            let written = sent + written.min(took);
            let date = (written - stale) / 1000 * 1000;
            prop_assert_eq!(skew(at(date), at(sent), at(sent + took)), 0);
        }

        #[test]
        fn what_is_told_is_at_most_what_is_true(real in -5_000_i64..5_000, sent in 10_000_000_u64..11_000_000) {
            let date = sent.saturating_add_signed(real * 1000) / 1000 * 1000;
            let found = skew(at(date), at(sent), at(sent + 10));
            prop_assert!(found.abs() <= real.abs() && real.abs() - found.abs() <= 3, "{found} of {real}");
            prop_assert!(found == 0 || found.signum() == real.signum());
        }
    }
}
