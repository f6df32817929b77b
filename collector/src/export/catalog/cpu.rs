//! CPU time of each user.

use super::{super::shape::CORES, Family, Group, Kind, Observed, Samples, Unit, Value};
use crate::source::Subject;

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
            name: "uidmeter_attributed_cpu_seconds_total",
            kind: Kind::Counter,
            unit: Unit::Seconds,
            help: "CPU time of all rows together, and of users who have no series any more: this sum loses nothing.",
            source: "the sum of all rows",
            samples: Samples::View { labels: &[], each: |view, emit| emit(&[], Value::Time(view.shown.cpu)) },
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
        Family {
            name: "uidmeter_cpu_outside_slice_seconds_total",
            kind: Kind::Counter,
            unit: Unit::Seconds,
            help: "The part of uidmeter_cpu_seconds_total in a cgroup other than the user's own slice: by su, sudo, cron, services, containers. Limits on the slice do not reach it.",
            source: "`task_struct.cgroups`: whether /user.slice/user-UID.slice is an ancestor",
            samples: Samples::Row(|row| row.kept.has(Subject::Outside).then_some(Value::Time(row.counters.outside))),
        },
        Family {
            name: "uidmeter_cpu_burst_cores",
            kind: Kind::Histogram,
            unit: Unit::Cores,
            help: "CPUs that the user kept busy in each tick of the sampler, idle ticks included: what a slow scrape would average away.",
            source: "growth of uidmeter_cpu_seconds_total in each tick",
            samples: Samples::RowHistogram {
                shape: &CORES,
                observed: |row| {
                    let bursts = row.bursts?;
                    Some(Observed { buckets: &bursts.buckets, sum: Value::Ratio(bursts.sum.0) })
                },
            },
        },
        Family {
            name: "uidmeter_cpu_peak_cores",
            kind: Kind::Gauge,
            unit: Unit::Cores,
            help: "CPUs that the user kept busy in the busiest tick of the peak window.",
            source: "growth of uidmeter_cpu_seconds_total in each tick",
            samples: Samples::Row(|row| row.peaks.map(|peaks| Value::Ratio(peaks.cpu.0))),
        },
    ],
};
