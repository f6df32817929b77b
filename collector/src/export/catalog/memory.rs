//! What each user's tasks ask of memory and hold of it.

use super::{Family, Group, Kind, Samples, Unit, Value};
use crate::source::Subject;

pub(super) const GROUP: Group = Group {
    name: "memory",
    help: "What each user's tasks ask of memory and hold of it.",
    families: &[
        Family {
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
        },
        Family {
            name: "uidmeter_memory_reclaims_total",
            kind: Kind::Counter,
            unit: Unit::Things,
            help: "Times that a task of the user had to free memory before it got some: of the whole host, or of its cgroup at its limit.",
            source: "tracepoints mm_vmscan_direct_reclaim_* and mm_vmscan_memcg_reclaim_*",
            samples: Samples::RowBy {
                label: "scope",
                parts: &[
                    ("host", |row| {
                        row.kept.has(Subject::Reclaim).then_some(Value::Count(row.counters.events.direct_reclaims))
                    }),
                    ("cgroup", |row| {
                        row.kept.has(Subject::Reclaim).then_some(Value::Count(row.counters.events.group_reclaims))
                    }),
                ],
            },
        },
        Family {
            name: "uidmeter_memory_reclaim_seconds_total",
            kind: Kind::Counter,
            unit: Unit::Seconds,
            help: "Time that the user's tasks spent in that.",
            source: "as above",
            samples: Samples::RowBy {
                label: "scope",
                parts: &[
                    ("host", |row| {
                        row.kept.has(Subject::Reclaim).then_some(Value::Time(row.counters.events.direct_reclaim))
                    }),
                    ("cgroup", |row| {
                        row.kept.has(Subject::Reclaim).then_some(Value::Time(row.counters.events.group_reclaim))
                    }),
                ],
            },
        },
        Family {
            name: "uidmeter_memory_stalls_total",
            kind: Kind::Counter,
            unit: Unit::Things,
            help: "Times that a task of the user began to stall on memory, as the kernel's pressure accounting sees it. Absent where functions cannot be hooked.",
            source: "psi_memstall_enter and psi_memstall_leave",
            samples: Samples::Row(|row| {
                row.kept.has(Subject::MemoryStalls).then_some(Value::Count(row.counters.events.memory_stalls))
            }),
        },
        Family {
            name: "uidmeter_memory_stall_seconds_total",
            kind: Kind::Counter,
            unit: Unit::Seconds,
            help: "Time that the user's tasks stalled on memory: reclaim, compaction, swap, pages evicted too early. Absent where functions cannot be hooked.",
            source: "psi_memstall_enter and psi_memstall_leave",
            samples: Samples::Row(|row| {
                row.kept.has(Subject::MemoryStalls).then_some(Value::Time(row.counters.events.memory_stall))
            }),
        },
        Family {
            name: "uidmeter_oom_kills_total",
            kind: Kind::Counter,
            unit: Unit::Things,
            help: "Processes of the user that ended as victims of the OOM killer.",
            source: "tracepoint sched_process_exit, `signal_struct.oom_mm`",
            samples: Samples::Row(|row| {
                row.kept.has(Subject::Exits).then_some(Value::Count(row.counters.events.oom_kills))
            }),
        },
        Family {
            name: "uidmeter_oom_kills_by_limit_total",
            kind: Kind::Counter,
            unit: Unit::Things,
            help: "Processes of the user that the OOM killer chose, by the limit that was reached: that of the user's own slice, of any other cgroup, or the host's memory. Absent where functions cannot be hooked.",
            source: "out_of_memory, `oom_control.memcg`; mark_oom_victim",
            samples: Samples::RowBy {
                label: "scope",
                parts: &[
                    ("slice", |row| {
                        // Without it, no slice is known from any other cgroup.
                        let known = row.kept.has(Subject::OomLimits) && row.kept.has(Subject::Outside);
                        known.then_some(Value::Count(row.counters.events.oom_kills_slice))
                    }),
                    ("cgroup", |row| {
                        row.kept.has(Subject::OomLimits).then_some(Value::Count(row.counters.events.oom_kills_group))
                    }),
                    ("host", |row| {
                        row.kept.has(Subject::OomLimits).then_some(Value::Count(row.counters.events.oom_kills_host))
                    }),
                ],
            },
        },
        Family {
            name: "uidmeter_resident_memory_bytes",
            kind: Kind::Gauge,
            unit: Unit::Bytes,
            help: "Resident memory of the user's processes at the last census, by kind; an address space that is shared counts once, a page that is shared counts in each.",
            source: "`mm_struct.rss_stat`",
            samples: Samples::RowBy {
                label: "kind",
                parts: &[
                    ("anon", |row| {
                        row.holdings.filter(|_| row.kept.has(Subject::Memory)).map(|held| Value::Count(held.anon.0))
                    }),
                    ("file", |row| {
                        row.holdings.filter(|_| row.kept.has(Subject::Memory)).map(|held| Value::Count(held.file.0))
                    }),
                    ("shmem", |row| {
                        row.holdings.filter(|_| row.kept.has(Subject::Memory)).map(|held| Value::Count(held.shmem.0))
                    }),
                ],
            },
        },
        Family {
            name: "uidmeter_resident_memory_peak_bytes",
            kind: Kind::Gauge,
            unit: Unit::Bytes,
            help: "Greatest sum of uidmeter_resident_memory_bytes in the peak window.",
            source: "`mm_struct.rss_stat`",
            samples: Samples::Row(|row| {
                row.peaks.filter(|_| row.kept.has(Subject::Memory)).map(|peaks| Value::Count(peaks.resident.0))
            }),
        },
        Family {
            name: "uidmeter_swap_bytes",
            kind: Kind::Gauge,
            unit: Unit::Bytes,
            help: "Memory of the user's processes in swap at the last census.",
            source: "`mm_struct.rss_stat`",
            samples: Samples::Row(|row| {
                row.holdings.filter(|_| row.kept.has(Subject::Memory)).map(|held| Value::Count(held.swap.0))
            }),
        },
    ],
};
