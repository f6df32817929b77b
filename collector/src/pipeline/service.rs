//! What the service manager is told (`sd_notify(3)`): that everything is attached and listening, that ticks go on, that the end
//! has begun. Whoever was not started by one tells nobody.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use sd_notify::NotifyState;

use super::{Settings, sampler::Gatherer};
use crate::export::Gather as _;

/// So many intervals may pass without a tick; a machine in trouble is no reason to begin anew.
const PATIENCE: u32 = 3;

/// Everything is attached, and somebody listens.
pub(super) fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// The end has begun.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "the service manager cannot be told how this stands");
    }
}

/// Tells the service manager's watchdog, if it watches, as long as ticks go on. Ends never otherwise.
pub(super) async fn keep_alive(sampler: Gatherer, settings: Arc<Settings>) {
    let Some(watchdog) = sd_notify::watchdog_enabled() else { return };
    let mut pulse = Pulse::new(Instant::now());
    // Half would do, says sd_watchdog_enabled(3); a third forgives one that is late.
    let mut timer = tokio::time::interval((watchdog / 3).max(Duration::from_millis(1)));
    loop {
        timer.tick().await;
        let interval = settings.load().observe.sample_interval;
        if pulse.beats(sampler.published().generation, Instant::now(), interval) {
            tell(&[NotifyState::Watchdog]);
        } else {
            tracing::error!("no tick for {PATIENCE} intervals: the service manager will begin anew");
        }
    }
}

/// Whether views go on being published.
struct Pulse {
    generation: u64,
    grew: Instant,
}

impl Pulse {
    fn new(now: Instant) -> Self {
        Self { generation: 0, grew: now }
    }

    /// `generation` is the newest at `now`.
    fn beats(&mut self, generation: u64, now: Instant, interval: Duration) -> bool {
        if generation != self.generation {
            (self.generation, self.grew) = (generation, now);
        }
        now.saturating_duration_since(self.grew) <= interval * PATIENCE
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::Pulse;

    #[test]
    fn a_sampler_that_stands_still_for_three_intervals_has_no_pulse() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let interval = Duration::from_secs(10);
        let mut pulse = Pulse::new(start);
        for (seconds, generation, beats) in
            [(20, 0, true), (25, 1, true), (40, 1, true), (55, 1, true), (56, 1, false), (57, 2, true), (90, 2, false)]
        {
            assert_eq!(pulse.beats(generation, at(seconds), interval), beats, "after {seconds} s");
        }
    }
}
