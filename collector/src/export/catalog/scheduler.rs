//! What the scheduler did to each user's tasks.

use super::{super::shape::LATENCY, Family, Group, Kind, Observed, Samples, Unit, Value};

pub(super) const GROUP: Group = Group {
    name: "scheduler",
    help: "How each user's tasks waited for a CPU, left it and moved.",
    families: &[
        Family {
            name: "uidmeter_run_queue_wait_seconds_total",
            kind: Kind::Counter,
            unit: Unit::Seconds,
            help: "Time that the user's tasks were runnable but had to wait for a CPU.",
            source: "`task_struct.sched_info.run_delay`",
            samples: Samples::Row(|row| Some(Value::Time(row.counters.wait))),
        },
        Family {
            name: "uidmeter_run_queue_latency_seconds",
            kind: Kind::Histogram,
            unit: Unit::Seconds,
            help: "Waits of the user's tasks for a CPU, by length. The sum is uidmeter_run_queue_wait_seconds_total.",
            source: "growth of `task_struct.sched_info.run_delay` from one timeslice to the next",
            samples: Samples::RowHistogram {
                shape: &LATENCY,
                observed: |row| {
                    let counters = row.counters;
                    Some(Observed { buckets: &counters.latency.buckets, sum: Value::Time(counters.wait) })
                },
            },
        },
        Family {
            name: "uidmeter_context_switches_total",
            kind: Kind::Counter,
            unit: Unit::Things,
            help: "Times that a task of the user left its CPU: voluntarily when it blocked, involuntarily when it was preempted.",
            source: "`task_struct.nvcsw` and `nivcsw`",
            samples: Samples::RowBy {
                label: "kind",
                parts: &[
                    ("voluntary", |row| Some(Value::Count(row.counters.voluntary_switches))),
                    ("involuntary", |row| Some(Value::Count(row.counters.involuntary_switches))),
                ],
            },
        },
        Family {
            name: "uidmeter_migrations_total",
            kind: Kind::Counter,
            unit: Unit::Things,
            help: "Times that a task of the user was moved to another CPU.",
            source: "`task_struct.se.nr_migrations`",
            samples: Samples::Row(|row| Some(Value::Count(row.counters.migrations))),
        },
    ],
};
