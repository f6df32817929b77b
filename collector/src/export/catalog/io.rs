//! What each user's tasks read and wrote, and how long they waited for it.

use super::{Family, Group, Kind, Samples, Unit, Value};
use crate::source::Subject;

pub(super) const GROUP: Group = Group {
    name: "io",
    help: "What each user's tasks read and wrote, and how long they waited for it.",
    families: &[
        Family {
            name: "uidmeter_io_bytes_total",
            kind: Kind::Counter,
            unit: Unit::Bytes,
            help: "Bytes that the user's tasks read and wrote by system calls, from and to anything: files, pipes, sockets, terminals.",
            source: "`task_struct.ioac.rchar` and `wchar`",
            samples: Samples::RowBy {
                label: "direction",
                parts: &[
                    ("read", |row| row.kept.has(Subject::Io).then_some(Value::Count(row.counters.io.read_chars.0))),
                    ("write", |row| row.kept.has(Subject::Io).then_some(Value::Count(row.counters.io.written_chars.0))),
                ],
            },
        },
        Family {
            name: "uidmeter_storage_bytes_total",
            kind: Kind::Counter,
            unit: Unit::Bytes,
            help: "Bytes that the user's tasks had read from block devices, and bytes of page cache that they made dirty, to be written later.",
            source: "`task_struct.ioac.read_bytes` and `write_bytes`",
            samples: Samples::RowBy {
                label: "direction",
                parts: &[
                    ("read", |row| row.kept.has(Subject::Io).then_some(Value::Count(row.counters.io.read_bytes.0))),
                    ("write", |row| row.kept.has(Subject::Io).then_some(Value::Count(row.counters.io.written_bytes.0))),
                ],
            },
        },
        Family {
            name: "uidmeter_storage_cancelled_bytes_total",
            kind: Kind::Counter,
            unit: Unit::Bytes,
            help: "Bytes in uidmeter_storage_bytes_total that were dropped before they were written, as when a file is deleted soon.",
            source: "`task_struct.ioac.cancelled_write_bytes`",
            samples: Samples::Row(|row| {
                row.kept.has(Subject::Io).then_some(Value::Count(row.counters.io.cancelled_bytes.0))
            }),
        },
        Family {
            name: "uidmeter_delay_seconds_total",
            kind: Kind::Counter,
            unit: Unit::Seconds,
            help: "Time that the user's tasks waited for block I/O, for pages from swap, and for pages that were evicted too early. Absent without delay accounting.",
            source: "`task_struct.delays`",
            samples: Samples::RowBy {
                label: "kind",
                parts: &[
                    ("block_io", |row| {
                        row.kept.has(Subject::Delays).then_some(Value::Time(row.counters.delays.block_io))
                    }),
                    ("swap_in", |row| {
                        row.kept.has(Subject::Delays).then_some(Value::Time(row.counters.delays.swap_in))
                    }),
                    ("thrashing", |row| {
                        row.kept.has(Subject::Delays).then_some(Value::Time(row.counters.delays.thrashing))
                    }),
                ],
            },
        },
        Family {
            name: "uidmeter_delay_accounting_enabled",
            kind: Kind::Gauge,
            unit: Unit::Things,
            help: "Whether the kernel times delays (1) or not (0); tasks begun while it did not are never timed. The sysctl kernel.task_delayacct switches it.",
            source: "`/proc/sys/kernel/task_delayacct`",
            samples: Samples::View {
                labels: &[],
                each: |view, emit| emit(&[], Value::Count(view.kept.has(Subject::Delays).into())),
            },
        },
    ],
};
