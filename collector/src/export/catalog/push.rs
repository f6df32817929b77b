//! What is sent to a hub, where push.url is set.

use super::{Family, Group, Kind, Samples, Unit};

const fn process(name: &'static str, kind: Kind, unit: Unit, help: &'static str) -> Family {
    Family { name, kind, unit, help, source: "the push", samples: Samples::Process { labels: &[] } }
}

/// What has arrived.
pub const PUSH_SENT: Family = process(
    "uidmeter_push_samples_sent_total",
    Kind::Counter,
    Unit::Things,
    "Samples that the receiver has taken, markers of series that ended included.",
);
/// What never will.
pub const PUSH_DROPPED: Family = Family {
    samples: Samples::Process { labels: &["reason"] },
    ..process(
        "uidmeter_push_samples_dropped_total",
        Kind::Counter,
        Unit::Things,
        "Samples that will never arrive: the receiver refused them, they waited for too long, or the queue had no room, was damaged or could not be written.",
    )
};
/// What had to be sent once more.
pub const PUSH_RETRIED: Family = process(
    "uidmeter_push_samples_retried_total",
    Kind::Counter,
    Unit::Things,
    "Samples in requests that failed and are sent again.",
);
/// What waits.
pub const PUSH_QUEUE: Family = process(
    "uidmeter_push_queue_bytes",
    Kind::Gauge,
    Unit::Bytes,
    "Samples that wait in the queue on the disk, compressed.",
);
/// How much may wait.
pub const PUSH_QUEUE_LIMIT: Family =
    process("uidmeter_push_queue_limit_bytes", Kind::Gauge, Unit::Bytes, "Most that the queue holds.");
/// When the receiver last answered well.
pub const PUSH_LAST_SUCCESS: Family = process(
    "uidmeter_push_last_success_timestamp_seconds",
    Kind::Gauge,
    Unit::Seconds,
    "When the receiver last took a request, in seconds since 1970; absent before the first one.",
);
/// How far it is.
pub const PUSH_DELIVERED: Family = process(
    "uidmeter_push_delivered_timestamp_seconds",
    Kind::Gauge,
    Unit::Seconds,
    "Timestamp of the newest samples that the receiver has taken, in seconds since 1970; absent before the first ones.",
);

pub(super) const GROUP: Group = Group {
    name: "push",
    help: "What is sent to a hub by remote write; there is nothing of this without `push.url`.",
    families: &[PUSH_DELIVERED, PUSH_LAST_SUCCESS, PUSH_QUEUE, PUSH_QUEUE_LIMIT, PUSH_DROPPED, PUSH_RETRIED, PUSH_SENT],
};
