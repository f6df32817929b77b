//! The host's own figures for the views, read no more often than they are worth.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crate::host::{Host, HostReader};

/// Some 70 µs of the kernel's time a reading, more on hosts with many CPUs: too much for each tick. Scrapes take a new
/// one.
pub(super) const MOST_AGE: Duration = Duration::from_secs(1);

/// The newest reading.
#[derive(Debug, Default)]
pub(super) struct HostContext {
    /// Absent while nobody wants readings.
    reader: Option<HostReader>,
    newest: Arc<Host>,
    taken: Option<Instant>,
}

impl HostContext {
    /// A reading that is younger than `age`, or an empty one if none is `wanted`.
    pub(super) fn younger_than(&mut self, age: Duration, wanted: bool, now: Instant) -> Arc<Host> {
        if !wanted {
            *self = Self::default();
        } else if self.taken.is_none_or(|taken| now.duration_since(taken) >= age) {
            self.newest = Arc::new(self.reader.get_or_insert_with(HostReader::open).read());
            self.taken = Some(now);
        }
        Arc::clone(&self.newest)
    }
}

#[cfg(test)]
mod tests {
    use super::{Arc, Duration, Host, HostContext, Instant, MOST_AGE};

    #[test]
    fn a_reading_serves_until_it_is_too_old() {
        let mut context = HostContext::default();
        let start = Instant::now();
        let first = context.younger_than(MOST_AGE, true, start);
        assert!(first.cpu.is_some());
        assert!(Arc::ptr_eq(&first, &context.younger_than(MOST_AGE, true, start + MOST_AGE / 2)));
        let second = context.younger_than(MOST_AGE, true, start + MOST_AGE);
        assert!(!Arc::ptr_eq(&first, &second));
        assert!(!Arc::ptr_eq(&second, &context.younger_than(Duration::ZERO, true, start + MOST_AGE)));
    }

    #[test]
    fn what_nobody_wants_is_not_there_until_somebody_does() {
        let mut context = HostContext::default();
        let now = Instant::now();
        context.younger_than(MOST_AGE, true, now);
        assert_eq!(*context.younger_than(MOST_AGE, false, now), Host::default());
        assert!(context.reader.is_none());
        assert!(context.younger_than(MOST_AGE, true, now).cpu.is_some());
    }
}
