//! The thread that empties the queue: one request after the other, so that the samples of a series arrive in order.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use aws_lc_rs::rand;

use super::{
    answer::Verdict,
    backoff::Backoff,
    client::{Client, Outcome},
    queue::Waiting,
    store::{Store, Wake},
};
use crate::{
    config::Push,
    export::{PushMetrics, Undelivered},
};

/// What repeats itself is told again after this time.
const REMIND: Duration = Duration::from_hours(1);
/// After the queue could not be read.
const MEND: Duration = Duration::from_secs(10);

/// Gives the settings of this moment.
pub type Live = Arc<dyn Fn() -> Push + Send + Sync>;

/// The work of the thread.
pub(super) struct Sender {
    pub(super) client: Client,
    pub(super) store: Arc<Store>,
    pub(super) metrics: PushMetrics,
    pub(super) live: Live,
    pub(super) backoff: Backoff,
    /// What the log was last told, and when.
    pub(super) told: Option<(String, Instant)>,
    /// Whether the last request came through.
    pub(super) connected: bool,
}

impl Sender {
    /// Until the store is closed, and then until the queue is empty, or the first failure.
    pub(super) fn run(mut self) {
        loop {
            match self.store.wait() {
                Wake::Record(waiting) => {
                    let wait = self.deliver(&waiting);
                    if let Some(wait) = wait
                        && self.store.pause(wait)
                    {
                        return;
                    }
                }
                Wake::Trouble(error) => {
                    self.tell("queue", &error.to_string());
                    if self.store.pause(MEND) {
                        return;
                    }
                }
                Wake::Closed => return,
            }
        }
    }

    /// Sends one request; gives the time to wait if it has to be sent again.
    fn deliver(&mut self, waiting: &Waiting) -> Option<Duration> {
        let push = (self.live)();
        let record = &waiting.record;
        let now = SystemTime::now();
        if is_older(record.timestamp, push.queue_max_age, now) {
            self.remove(waiting);
            self.metrics.dropped(Undelivered::TooOld, record.samples.into());
            self.tell("old", "samples that have waited for longer than push.queue_max_age are dropped");
            return None;
        }
        let Outcome { verdict, details } = self.client.send(record, push.timeout);
        match verdict {
            Verdict::Taken => {
                self.remove(waiting);
                self.metrics.sent(record.samples, record.timestamp, SystemTime::now());
                self.backoff.reset();
                if !self.connected {
                    tracing::info!("the receiver at push.url takes samples");
                }
                (self.connected, self.told) = (true, None);
                None
            }
            Verdict::Refused(why) => {
                self.remove(waiting);
                self.metrics.dropped(Undelivered::Refused, record.samples.into());
                self.backoff.reset();
                let samples = record.samples;
                self.tell(
                    why,
                    &format!(
                        "the receiver at push.url refused {samples} samples, which are dropped: {why} ({details})"
                    ),
                );
                None
            }
            Verdict::Again { after, why } => {
                self.metrics.retried(record.samples);
                self.connected = false;
                self.tell(
                    why,
                    &format!(
                        "samples wait in push.queue_folder until the receiver at push.url takes them: {why} ({details})"
                    ),
                );
                Some(self.backoff.next(after, chance()))
            }
        }
    }

    fn remove(&mut self, waiting: &Waiting) {
        if let Err(error) = self.store.remove(waiting) {
            self.tell("queue", &error.to_string());
        }
    }

    /// Tells the log, unless it was told the same last.
    fn tell(&mut self, what: &str, sentence: &str) {
        let known = |(last, at): &(String, Instant)| last == what && at.elapsed() < REMIND;
        if !self.told.as_ref().is_some_and(known) {
            tracing::warn!("{sentence}");
            self.told = Some((what.to_owned(), Instant::now()));
        }
    }
}

/// Whether `timestamp`, in milliseconds since 1970, lies more than `age` before `now`.
fn is_older(timestamp: i64, age: Duration, now: SystemTime) -> bool {
    let then = SystemTime::UNIX_EPOCH + Duration::from_millis(timestamp.try_into().unwrap_or(0));
    now.duration_since(then).is_ok_and(|passed| passed > age)
}

fn chance() -> u16 {
    let mut bytes = [0; 2];
    // Without randomness everybody waits for as long as he may.
    if rand::fill(&mut bytes).is_err() { u16::MAX } else { u16::from_le_bytes(bytes) }
}

#[cfg(test)]
mod tests {
    use super::{Duration, SystemTime, is_older};

    #[test]
    fn age_is_counted_from_the_samples_own_time() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000);
        assert!(!is_older(990_000, Duration::from_secs(10), now));
        assert!(is_older(989_999, Duration::from_secs(10), now));
        // A clock that was set back makes nothing old.
        assert!(!is_older(2_000_000, Duration::from_secs(10), now));
        assert!(is_older(-5, Duration::from_secs(10), now));
    }
}
