//! When readings are taken: at moments that each host has by itself, the same ones after a restart. Pure.
//!
//! Moments are multiples of the interval, shifted by a part of it that the label `instance` decides: a thousand hosts come one
//! after the other, and a host that was restarted goes on in step, so that no query finds a gap or two values for one step.

/// A clock that was set back by less than this is waited for: receivers take no samples out of order. One that was set back
/// farther was wrong before, and receivers took nothing of the future either (Prometheus: ten minutes).
const PATIENCE: i64 = 10 * 60 * 1_000;

/// The first moment after `after`, both in milliseconds since 1970.
pub(super) fn next(after: i64, interval: i64, instance: &str) -> i64 {
    let interval = interval.max(1);
    let shift = i64::from(crc32fast::hash(instance.as_bytes())) % interval;
    let behind = (after - shift).rem_euclid(interval);
    after.saturating_add(interval - behind)
}

/// The timestamp of a reading that was due at `due` and taken at `now`: the moment itself, unless it was missed by far.
/// `None` if samples of then or later have been sent already, `last` being the newest of them.
pub(super) fn timestamp(due: i64, now: i64, interval: i64, last: Option<i64>) -> Option<i64> {
    let in_time = (due..=due.saturating_add(interval / 4)).contains(&now);
    let timestamp = if in_time { due } else { now };
    last.is_none_or(|last| timestamp > last || last - timestamp > PATIENCE).then_some(timestamp)
}

#[cfg(test)]
mod tests {
    use proptest::{
        prelude::{any, prop_assert, prop_assert_eq, proptest},
        test_runner::Config,
    };

    use super::{PATIENCE, next, timestamp};

    #[test]
    fn a_reading_has_the_time_of_its_moment_unless_it_is_late() {
        assert_eq!(timestamp(60_000, 60_003, 15_000, Some(45_000)), Some(60_000));
        assert_eq!(timestamp(60_000, 63_750, 15_000, None), Some(60_000));
        assert_eq!(timestamp(60_000, 63_751, 15_000, None), Some(63_751));
        // The clock was set back meanwhile.
        assert_eq!(timestamp(60_000, 59_999, 15_000, None), Some(59_999));
    }

    #[test]
    fn time_never_goes_back_but_for_a_clock_that_was_wrong() {
        assert_eq!(timestamp(60_000, 60_000, 15_000, Some(60_000)), None);
        assert_eq!(timestamp(60_000, 60_000, 15_000, Some(60_000 + PATIENCE)), None);
        assert_eq!(timestamp(60_000, 60_000, 15_000, Some(60_001 + PATIENCE)), Some(60_000));
    }

    proptest! {
        #![proptest_config(Config { failure_persistence: None, ..Config::default() })]

        #[test]
        fn moments_are_an_interval_apart_and_the_same_whenever_one_asks(
            after in -1_i64 << 40..1 << 41,
            interval in 1_000_i64..120_000,
            later in 0_i64..120_000,
            instance in any::<String>(),
        ) {
            let first = next(after, interval, &instance);
            prop_assert!(first > after && first <= after + interval);
            prop_assert_eq!(next(first, interval, &instance), first + interval);
            let again = next(after + later, interval, &instance);
            prop_assert_eq!((again - first).rem_euclid(interval), 0);
        }
    }
}
