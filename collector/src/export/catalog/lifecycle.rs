//! How each user's processes come and go.

use super::{Family, Group, Kind, Samples, Unit, Value};
use crate::source::Subject;

pub(super) const GROUP: Group = Group {
    name: "lifecycle",
    help: "How each user's processes come and go.",
    families: &[
        Family {
            name: "uidmeter_forks_total",
            kind: Kind::Counter,
            unit: Unit::Things,
            help: "Processes that the user's tasks began.",
            source: "tracepoint task_newtask",
            samples: Samples::Row(|row| {
                row.kept.has(Subject::Starts).then_some(Value::Count(row.counters.events.forks))
            }),
        },
        Family {
            name: "uidmeter_thread_starts_total",
            kind: Kind::Counter,
            unit: Unit::Things,
            help: "Threads that the user's tasks began, the first one of each process not counted.",
            source: "tracepoint task_newtask",
            samples: Samples::Row(|row| {
                row.kept.has(Subject::Starts).then_some(Value::Count(row.counters.events.thread_starts))
            }),
        },
        Family {
            name: "uidmeter_execs_total",
            kind: Kind::Counter,
            unit: Unit::Things,
            help: "Programs that the user's tasks executed.",
            source: "tracepoint sched_process_exec",
            samples: Samples::Row(|row| {
                row.kept.has(Subject::Execs).then_some(Value::Count(row.counters.events.execs))
            }),
        },
        Family {
            name: "uidmeter_exits_total",
            kind: Kind::Counter,
            unit: Unit::Things,
            help: "Processes of the user that ended.",
            source: "tracepoint sched_process_exit",
            samples: Samples::Row(|row| {
                row.kept.has(Subject::Exits).then_some(Value::Count(row.counters.events.exits))
            }),
        },
        Family {
            name: "uidmeter_processes",
            kind: Kind::Gauge,
            unit: Unit::Things,
            help: "Processes of the user at the last census.",
            source: "task iterator",
            samples: Samples::Row(|row| row.holdings.map(|held| Value::Count(held.processes))),
        },
        Family {
            name: "uidmeter_threads",
            kind: Kind::Gauge,
            unit: Unit::Things,
            help: "Threads of the user at the last census.",
            source: "task iterator",
            samples: Samples::Row(|row| row.holdings.map(|held| Value::Count(held.threads))),
        },
        Family {
            name: "uidmeter_census_age_seconds",
            kind: Kind::Gauge,
            unit: Unit::Seconds,
            help: "Time since all tasks were last visited to see what users hold.",
            source: "task iterator",
            samples: Samples::View {
                labels: &[],
                each: |view, emit| {
                    if let Some(age) = view.census_age() {
                        emit(&[], Value::Time(age));
                    }
                },
            },
        },
    ],
};
