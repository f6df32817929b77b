//! CPU time of each user.

use super::{Family, Group, Kind, Samples, Unit, Value};

pub(super) const GROUP: Group = Group {
    name: "cpu",
    help: "CPU time of each user.",
    families: &[
        Family {
            name: "uidmeter_cpu_seconds_total",
            kind: Kind::Counter,
            unit: Unit::Seconds,
            help: "CPU time of the user's tasks, exact to the nanosecond, short-lived ones included.",
            source: "`task_struct.se.sum_exec_runtime`",
            samples: Samples::Row(|row| Some(Value::Time(row.counters.cpu))),
        },
        Family {
            name: "uidmeter_cpu_mode_seconds_total",
            kind: Kind::Counter,
            unit: Unit::Seconds,
            help: "CPU time of the user's tasks by mode; the modes add up to uidmeter_cpu_seconds_total.",
            source: "`task_struct.utime` and `stime`, scaled to the exact sum as `getrusage(2)` does",
            samples: Samples::RowBy {
                label: "mode",
                parts: &[
                    ("user", |row| Some(Value::Time(row.counters.user))),
                    ("system", |row| Some(Value::Time(row.counters.system))),
                ],
            },
        },
    ],
};
