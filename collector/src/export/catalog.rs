//! Every metric family that uidmeter exports, as data. Encoders and documentation walk this table; nobody else spells
//! a metric's name. The order of the table is the order of the page.
//!
//! A family says where its values come from: a user's row, the view as a whole, or the process itself, whose values
//! [`super::own`] keeps in a `prometheus` registry under the names given here.

use crate::{
    snapshot::{Counters, Latency},
    units::Nanos,
    view::View,
};

/// A metric family.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// Full name, with unit and `_total` where they belong.
    pub name: &'static str,
    /// What its numbers do over time.
    pub kind: Kind,
    /// What its numbers are counted in.
    pub unit: Unit,
    /// One line for people, without backslashes.
    pub help: &'static str,
    /// Where its samples come from.
    pub samples: Samples,
}

/// What a family's numbers do over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// They only grow.
    Counter,
    /// They come and go.
    Gauge,
    /// Counters by size.
    Histogram,
}

impl Kind {
    /// The word after `# TYPE`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A base unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
    /// Things counted: the name says which.
    Things,
}

/// A number before it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// A number of things or bytes.
    Count(u64),
    /// A time, to be written in seconds.
    Time(Nanos),
}

/// Takes one number out of a row.
pub type Extract = fn(&Counters) -> Value;
/// Receives a sample: values of the family's labels, in their order, and the number.
pub type Emit<'a> = dyn FnMut(&[&str], Value) + 'a;

/// Where samples come from.
#[derive(Clone, Copy, Debug)]
pub enum Samples {
    /// One from each row.
    Row(Extract),
    /// Several from each row, told apart by the value of `label`.
    RowBy {
        /// Name of the label.
        label: &'static str,
        /// Its values and their numbers.
        parts: &'static [(&'static str, Extract)],
    },
    /// A histogram from each row.
    RowLatency {
        /// The native buckets.
        buckets: fn(&Counters) -> &Latency,
        /// The sum of all observations.
        sum: fn(&Counters) -> Nanos,
    },
    /// From the view as a whole.
    View {
        /// Names of the labels.
        labels: &'static [&'static str],
        /// Emits the samples, none of them twice.
        each: fn(&View, &mut Emit<'_>),
    },
    /// Kept by the process itself.
    Process {
        /// Names of the labels.
        labels: &'static [&'static str],
    },
}

/// Labels of each sample that comes from a row.
pub const ROW_LABELS: [&str; 2] = ["uid", "user"];

impl Family {
    /// Names of the labels, but for a histogram's `le`.
    pub fn labels(&self) -> Vec<&'static str> {
        match self.samples {
            Samples::Row(_) | Samples::RowLatency { .. } => ROW_LABELS.to_vec(),
            Samples::RowBy { label, .. } => [ROW_LABELS.as_slice(), &[label]].concat(),
            Samples::View { labels, .. } | Samples::Process { labels } => labels.to_vec(),
        }
    }

    const fn counter(name: &'static str, unit: Unit, help: &'static str, samples: Samples) -> Self {
        Self { name, kind: Kind::Counter, unit, help, samples }
    }

    const fn gauge(name: &'static str, unit: Unit, help: &'static str, samples: Samples) -> Self {
        Self { name, kind: Kind::Gauge, unit, help, samples }
    }

    const fn histogram(name: &'static str, unit: Unit, help: &'static str, samples: Samples) -> Self {
        Self { name, kind: Kind::Histogram, unit, help, samples }
    }
}

/// The running version.
pub const BUILD_INFO: Family = Family::gauge(
    "uidmeter_build_info",
    Unit::Things,
    "Always 1; the labels tell which version is running.",
    Samples::Process { labels: &["version"] },
);
/// Whether the last reload went well.
pub const CONFIG_RELOAD: Family = Family::gauge(
    "uidmeter_config_last_reload_successful",
    Unit::Things,
    "Whether the configuration could be used when it was last read (1) or had mistakes and changed nothing (0).",
    Samples::Process { labels: &[] },
);
/// When that was.
pub const CONFIG_RELOAD_TIME: Family = Family::gauge(
    "uidmeter_config_last_reload_success_timestamp_seconds",
    Unit::Seconds,
    "When the configuration in force was read, in seconds since 1970.",
    Samples::Process { labels: &[] },
);
/// Time that a tick takes.
pub const TICK_DURATION: Family = Family::histogram(
    "uidmeter_tick_duration_seconds",
    Unit::Seconds,
    "Time that one tick of the sampler took: reading all counters and publishing them.",
    Samples::Process { labels: &[] },
);
/// Ticks that came late.
pub const TICKS_LATE: Family = Family::counter(
    "uidmeter_ticks_late_total",
    Unit::Things,
    "Ticks of the sampler that began late, so that their interval was longer than configured.",
    Samples::Process { labels: &[] },
);
/// Time that a scrape takes.
pub const SCRAPE_DURATION: Family = Family::histogram(
    "uidmeter_scrape_duration_seconds",
    Unit::Seconds,
    "Time from a scrape's request to its page: a fresh reading and its encoding. A page does not count itself.",
    Samples::Process { labels: &[] },
);
/// Requests that were answered.
pub const HTTP_REQUESTS: Family = Family::counter(
    "uidmeter_http_requests_total",
    Unit::Things,
    "HTTP requests answered, by status code and handler. A page does not count its own request.",
    Samples::Process { labels: &["code", "handler"] },
);

/// The table.
pub static FAMILIES: &[Family] = &[
    Family::counter(
        "uidmeter_cpu_seconds_total",
        Unit::Seconds,
        "CPU time of the user's tasks, exact to the nanosecond, short-lived ones included.",
        Samples::Row(|row| Value::Time(row.cpu)),
    ),
    Family::counter(
        "uidmeter_cpu_mode_seconds_total",
        Unit::Seconds,
        "CPU time of the user's tasks by mode; the modes add up to uidmeter_cpu_seconds_total.",
        Samples::RowBy {
            label: "mode",
            parts: &[("user", |row| Value::Time(row.user)), ("system", |row| Value::Time(row.system))],
        },
    ),
    Family::counter(
        "uidmeter_run_queue_wait_seconds_total",
        Unit::Seconds,
        "Time that the user's tasks were runnable but had to wait for a CPU.",
        Samples::Row(|row| Value::Time(row.wait)),
    ),
    Family::histogram(
        "uidmeter_run_queue_latency_seconds",
        Unit::Seconds,
        "Waits of the user's tasks for a CPU, by length. The sum is uidmeter_run_queue_wait_seconds_total.",
        Samples::RowLatency { buckets: |row| &row.latency, sum: |row| row.wait },
    ),
    Family::counter(
        "uidmeter_context_switches_total",
        Unit::Things,
        "Times that a task of the user left its CPU: voluntarily when it blocked, involuntarily when it was preempted.",
        Samples::RowBy {
            label: "kind",
            parts: &[
                ("voluntary", |row| Value::Count(row.voluntary_switches)),
                ("involuntary", |row| Value::Count(row.involuntary_switches)),
            ],
        },
    ),
    Family::counter(
        "uidmeter_migrations_total",
        Unit::Things,
        "Times that a task of the user was moved to another CPU.",
        Samples::Row(|row| Value::Count(row.migrations)),
    ),
    Family::counter(
        "uidmeter_page_faults_total",
        Unit::Things,
        "Page faults of the user's tasks: minor ones were served from memory, major ones needed I/O.",
        Samples::RowBy {
            label: "kind",
            parts: &[("minor", |row| Value::Count(row.minor_faults)), ("major", |row| Value::Count(row.major_faults))],
        },
    ),
    Family::gauge(
        "uidmeter_probe_active",
        Unit::Things,
        "Whether the kernel program is attached and at work (1) or could not be attached (0).",
        Samples::View {
            labels: &["probe", "hook"],
            each: |view, emit| {
                for probe in view.probes.iter() {
                    emit(&[probe.name, probe.hook], Value::Count(probe.state.is_active().into()));
                }
            },
        },
    ),
    Family::counter(
        "uidmeter_probe_missed_runs_total",
        Unit::Things,
        "Runs of the kernel program that the kernel skipped because it was already running on that CPU.",
        Samples::View {
            labels: &["probe"],
            each: |view, emit| {
                for probe in view.probes.iter() {
                    emit(&[probe.name], Value::Count(probe.runs.recursion_misses));
                }
            },
        },
    ),
    Family::gauge(
        "uidmeter_users",
        Unit::Things,
        "Users that have a row of their own.",
        Samples::View { labels: &[], each: |view, emit| emit(&[], Value::Count(view.snapshot.users().count() as u64)) },
    ),
    Family::gauge(
        "uidmeter_user_slots",
        Unit::Things,
        "Most users that can have a row of their own; further ones share the row with uid overflow.",
        Samples::View { labels: &[], each: |view, emit| emit(&[], Value::Count(view.user_slots.into())) },
    ),
    Family::counter(
        "uidmeter_overflow_users_total",
        Unit::Things,
        "Distinct users for whom no row was free when they were first seen.",
        Samples::View {
            labels: &[],
            each: |view, emit| emit(&[], Value::Count(view.snapshot.unattributed.overflow_users)),
        },
    ),
    Family::counter(
        "uidmeter_unattributed_total",
        Unit::Things,
        "Readings of a task's books that could not be charged to its user as they should, by reason.",
        Samples::View {
            labels: &["reason"],
            each: |view, emit| {
                let lost = &view.snapshot.unattributed;
                emit(&["no_ledger"], Value::Count(lost.no_ledger));
                emit(&["overflow"], Value::Count(lost.overflow));
                emit(&["clamped"], Value::Count(lost.clamped));
                emit(&["no_row"], Value::Count(lost.no_row));
            },
        },
    ),
    Family::gauge(
        "uidmeter_kernel_memory_bytes",
        Unit::Bytes,
        "Kernel memory held by the maps and programs of uidmeter.",
        Samples::View { labels: &[], each: |view, emit| emit(&[], Value::Count(view.kernel_memory.0)) },
    ),
    BUILD_INFO,
    CONFIG_RELOAD_TIME,
    CONFIG_RELOAD,
    HTTP_REQUESTS,
    SCRAPE_DURATION,
    TICK_DURATION,
    TICKS_LATE,
];

#[cfg(test)]
mod tests;
