//! How long to wait before a request is sent again. Pure but for the chance that the caller gives.

use std::time::Duration;

/// After the first failure.
const FIRST: Duration = Duration::from_millis(500);
/// At most: a receiver that comes back has everybody's samples within half a minute and a little.
const LONGEST: Duration = Duration::from_secs(30);

/// Failures in a row.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The time to wait after one more failure: twice as long as after the one before, and at least `asked`. `chance` is
    /// anything: it spreads thousands of hosts that lost one receiver over half of the time.
    pub(super) fn next(&mut self, asked: Option<Duration>, chance: u16) -> Duration {
        let whole = FIRST.saturating_mul(1 << self.failures.min(16)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        let spread = |time: Duration| time * u32::from(chance) / u32::from(u16::MAX);
        let own = whole / 2 + spread(whole / 2);
        // Nobody comes earlier than he was asked to, and not all come at once.
        asked.map_or(own, |asked| own.max(asked + spread(asked / 10)))
    }

    /// A request came through.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::{Backoff, Duration, LONGEST};

    #[test]
    fn waits_double_up_to_a_bound_and_begin_anew() {
        let mut backoff = Backoff::default();
        let waits: Vec<u128> = (0..9).map(|_| backoff.next(None, u16::MAX).as_millis()).collect();
        assert_eq!(waits, [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
        assert_eq!(backoff.next(None, 0), LONGEST / 2);
        backoff.reset();
        assert_eq!(backoff.next(None, 0), Duration::from_millis(250));
        let mut forever = Backoff { failures: u32::MAX };
        assert_eq!(forever.next(None, u16::MAX), LONGEST);
    }

    #[test]
    fn nobody_comes_earlier_than_he_was_asked_to() {
        let asked = Some(Duration::from_secs(100));
        assert_eq!(Backoff::default().next(asked, 0), Duration::from_secs(100));
        assert_eq!(Backoff::default().next(asked, u16::MAX), Duration::from_secs(110));
        assert_eq!(Backoff::default().next(Some(Duration::ZERO), 0), Duration::from_millis(250));
    }
}
