//! A line in the log for each client whose certificate was refused, but never a flood of them. It looks like those about
//! other refusals.

use std::{
    fmt::Display,
    net::IpAddr,
    sync::{Mutex, PoisonError},
};

use tokio::time::{Duration, Instant};

use crate::export::auth::audit;

/// At most one line in this time; the others are counted.
const PAUSE: Duration = Duration::from_secs(1);

/// Logs seldom.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    last: Option<Instant>,
    untold: u64,
}

impl Refusals {
    pub(super) fn warn(&self, address: IpAddr, why: &impl Display) {
        if let Some(untold) = self.turn(Instant::now()) {
            let sentence = format!("refused {address}: {why}");
            audit::line(&address, "certificate", untold, &sentence);
        }
    }

    /// Whether a line may be written at `now`, and how many were not since the last one.
    fn turn(&self, now: Instant) -> Option<u64> {
        // Each change is complete in itself, so a panic elsewhere leaves nothing half done.
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.last.is_some_and(|last| now < last + PAUSE) {
            state.untold += 1;
            return None;
        }
        state.last = Some(now);
        Some(std::mem::take(&mut state.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, Instant, PAUSE, Refusals};

    #[test]
    fn a_flood_makes_one_line_a_second_that_tells_of_the_others() {
        let (refusals, start) = (Refusals::default(), Instant::now());
        assert_eq!(refusals.turn(start), Some(0));
        for step in 0..1000 {
            assert_eq!(refusals.turn(start + Duration::from_micros(step)), None);
        }
        assert_eq!(refusals.turn(start + PAUSE), Some(1000));
        assert_eq!(refusals.turn(start + PAUSE + PAUSE), Some(0));
    }
}
