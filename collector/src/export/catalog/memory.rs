//! What each user's tasks asked of memory.

use super::{Family, Group, Kind, Samples, Unit, Value};

pub(super) const GROUP: Group = Group {
    name: "memory",
    help: "What each user's tasks asked of memory.",
    families: &[Family {
        name: "uidmeter_page_faults_total",
        kind: Kind::Counter,
        unit: Unit::Things,
        help: "Page faults of the user's tasks: minor ones were served from memory, major ones needed I/O.",
        source: "`task_struct.min_flt` and `maj_flt`",
        samples: Samples::RowBy {
            label: "kind",
            parts: &[
                ("minor", |row| Some(Value::Count(row.counters.minor_faults))),
                ("major", |row| Some(Value::Count(row.counters.major_faults))),
            ],
        },
    }],
};
