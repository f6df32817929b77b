//! What the push counts. Its families have no samples until there is a push.

use std::time::SystemTime;

use prometheus::{Gauge, GaugeVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry};

use super::{
    super::catalog::{
        PUSH_DELIVERED, PUSH_DROPPED, PUSH_LAST_SUCCESS, PUSH_QUEUE, PUSH_QUEUE_LIMIT, PUSH_RETRIED, PUSH_SENT,
    },
    labels, opts, register,
};

/// Why samples will never arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undelivered {
    /// The receiver said so.
    Refused,
    /// They have waited for too long.
    TooOld,
    /// There was no room for them.
    QueueFull,
    /// They cannot be read any more.
    Damaged,
    /// They could not be written.
    Unwritable,
}

impl Undelivered {
    const ALL: [Self; 5] = [Self::Refused, Self::TooOld, Self::QueueFull, Self::Damaged, Self::Unwritable];

    const fn word(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::TooOld => "too_old",
            Self::QueueFull => "queue_full",
            Self::Damaged => "damaged",
            Self::Unwritable => "unwritable",
        }
    }
}

/// The families, without children until there is a push.
#[derive(Debug)]
pub(super) struct Families {
    sent: IntCounterVec,
    dropped: IntCounterVec,
    retried: IntCounterVec,
    queue: IntGaugeVec,
    queue_limit: IntGaugeVec,
    last_success: GaugeVec,
    delivered: GaugeVec,
}

impl Families {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counters = |family| IntCounterVec::new(opts(family), labels(family));
        let whole = |family| IntGaugeVec::new(opts(family), labels(family));
        let times = |family| GaugeVec::new(opts(family), labels(family));
        Ok(Self {
            sent: register(registry, counters(&PUSH_SENT)?)?,
            dropped: register(registry, counters(&PUSH_DROPPED)?)?,
            retried: register(registry, counters(&PUSH_RETRIED)?)?,
            queue: register(registry, whole(&PUSH_QUEUE)?)?,
            queue_limit: register(registry, whole(&PUSH_QUEUE_LIMIT)?)?,
            last_success: register(registry, times(&PUSH_LAST_SUCCESS)?)?,
            delivered: register(registry, times(&PUSH_DELIVERED)?)?,
        })
    }

    /// From now on there is a push.
    pub(super) fn begin(&self) -> PushMetrics {
        PushMetrics {
            sent: self.sent.with_label_values::<&str>(&[]),
            dropped: Undelivered::ALL.map(|reason| self.dropped.with_label_values(&[reason.word()])),
            retried: self.retried.with_label_values::<&str>(&[]),
            queue: self.queue.with_label_values::<&str>(&[]),
            queue_limit: self.queue_limit.with_label_values::<&str>(&[]),
            last_success: self.last_success.clone(),
            delivered: self.delivered.clone(),
        }
    }
}

/// What the push counts.
#[derive(Clone, Debug)]
pub struct PushMetrics {
    sent: IntCounter,
    dropped: [IntCounter; Undelivered::ALL.len()],
    retried: IntCounter,
    queue: IntGauge,
    queue_limit: IntGauge,
    last_success: GaugeVec,
    delivered: GaugeVec,
}

impl PushMetrics {
    /// Counts samples that the receiver took at `now`; `timestamp` is theirs, in milliseconds since 1970.
    pub fn sent(&self, samples: u32, timestamp: i64, now: SystemTime) {
        self.sent.inc_by(samples.into());
        let since_epoch = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        set(&self.last_success, since_epoch.as_secs_f64());
        set(&self.delivered, seconds(timestamp));
    }

    /// Counts samples that will never arrive.
    pub fn dropped(&self, reason: Undelivered, samples: u64) {
        self.dropped[reason as usize].inc_by(samples);
    }

    /// Counts samples that will be sent again.
    pub fn retried(&self, samples: u32) {
        self.retried.inc_by(samples.into());
    }

    /// Notes how many bytes wait, and how many may.
    pub fn queue(&self, waiting: u64, limit: u64) {
        self.queue.set(waiting.try_into().unwrap_or(i64::MAX));
        self.queue_limit.set(limit.try_into().unwrap_or(i64::MAX));
    }
}

fn set(family: &GaugeVec, value: f64) {
    let gauge: Gauge = family.with_label_values::<&str>(&[]);
    gauge.set(value);
}

/// Of milliseconds; whole ones up to the year 287396 are exact before the division.
#[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 are far below 2^53")]
fn seconds(milliseconds: i64) -> f64 {
    milliseconds as f64 / 1e3
}
