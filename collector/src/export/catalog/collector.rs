//! uidmeter itself: its probes, its table of users, its own cost.

use super::{Family, Group, Kind, Samples, Unit, Value};

/// The running version.
pub const BUILD_INFO: Family = Family {
    name: "uidmeter_build_info",
    kind: Kind::Gauge,
    unit: Unit::Things,
    help: "Always 1; the labels tell which version is running.",
    source: "the build",
    samples: Samples::Process { labels: &["version"] },
};
/// Time that a tick takes.
pub const TICK_DURATION: Family = Family {
    name: "uidmeter_tick_duration_seconds",
    kind: Kind::Histogram,
    unit: Unit::Seconds,
    help: "Time that one tick of the sampler took: reading all counters and publishing them.",
    source: "the sampler",
    samples: Samples::Process { labels: &[] },
};
/// Ticks that came late.
pub const TICKS_LATE: Family = Family {
    name: "uidmeter_ticks_late_total",
    kind: Kind::Counter,
    unit: Unit::Things,
    help: "Ticks of the sampler that began late, so that their interval was longer than configured.",
    source: "the sampler",
    samples: Samples::Process { labels: &[] },
};
/// Time that a scrape takes.
pub const SCRAPE_DURATION: Family = Family {
    name: "uidmeter_scrape_duration_seconds",
    kind: Kind::Histogram,
    unit: Unit::Seconds,
    help: "Time from a scrape's request to its page: a fresh reading and its encoding. A page does not count itself.",
    source: "the exporter",
    samples: Samples::Process { labels: &[] },
};
/// Requests that were answered.
pub const HTTP_REQUESTS: Family = Family {
    name: "uidmeter_http_requests_total",
    kind: Kind::Counter,
    unit: Unit::Things,
    help: "HTTP requests answered, by status code and handler. A page does not count its own request.",
    source: "the HTTP server",
    samples: Samples::Process { labels: &["code", "handler"] },
};

/// Who was not let in.
pub const AUTH_FAILURES: Family = Family {
    name: "uidmeter_auth_failures_total",
    kind: Kind::Counter,
    unit: Unit::Things,
    help: "Requests that were not let in, by reason; the log tells from where.",
    source: "the HTTP server",
    samples: Samples::Process { labels: &["reason"] },
};
/// Passwords that cost something.
pub const PASSWORD_CHECKS: Family = Family {
    name: "uidmeter_password_checks_total",
    kind: Kind::Counter,
    unit: Unit::Things,
    help: "Passwords that went through bcrypt, right or wrong; one that was right before does not again.",
    source: "the HTTP server",
    samples: Samples::Process { labels: &[] },
};
/// How long the server's certificate holds.
pub const CERTIFICATE_EXPIRY: Family = Family {
    name: "uidmeter_tls_certificate_expiry_timestamp_seconds",
    kind: Kind::Gauge,
    unit: Unit::Seconds,
    help: "When the certificate that is served expires, in seconds since 1970. Absent without TLS.",
    source: "the HTTP server",
    samples: Samples::Process { labels: &[] },
};
/// Whether the last reload went well.
pub const CONFIG_RELOAD: Family = Family {
    name: "uidmeter_config_last_reload_successful",
    kind: Kind::Gauge,
    unit: Unit::Things,
    help: "Whether the configuration could be used when it was last read (1) or had mistakes and changed nothing (0).",
    source: "the daemon",
    samples: Samples::Process { labels: &[] },
};
/// When one last did.
pub const CONFIG_RELOAD_TIME: Family = Family {
    name: "uidmeter_config_last_reload_success_timestamp_seconds",
    kind: Kind::Gauge,
    unit: Unit::Seconds,
    help: "When the configuration in force was read, in seconds since 1970.",
    source: "the daemon",
    samples: Samples::Process { labels: &[] },
};

pub(super) const GROUP: Group = Group {
    name: "collector",
    help: "uidmeter itself: its probes, its table of users, what could not be attributed, its own cost.",
    families: &[
        Family {
            name: "uidmeter_probe_active",
            kind: Kind::Gauge,
            unit: Unit::Things,
            help: "Whether the kernel program is attached and at work (1) or could not be attached (0).",
            source: "the loader",
            samples: Samples::View {
                labels: &["probe", "hook"],
                each: |view, emit| {
                    for probe in view.probes.iter() {
                        emit(&[probe.name, probe.hook], Value::Count(probe.state.is_active().into()));
                    }
                },
            },
        },
        Family {
            name: "uidmeter_probe_missed_runs_total",
            kind: Kind::Counter,
            unit: Unit::Things,
            help: "Runs of the kernel program that the kernel skipped because it was already running on that CPU.",
            source: "`recursion_misses` of the program",
            samples: Samples::View {
                labels: &["probe"],
                each: |view, emit| {
                    for probe in view.probes.iter() {
                        emit(&[probe.name], Value::Count(probe.runs.recursion_misses));
                    }
                },
            },
        },
        Family {
            name: "uidmeter_users",
            kind: Kind::Gauge,
            unit: Unit::Things,
            help: "Users that have a row of their own.",
            source: "the table of users",
            samples: Samples::View {
                labels: &[],
                each: |view, emit| emit(&[], Value::Count(view.snapshot.users().count() as u64)),
            },
        },
        Family {
            name: "uidmeter_user_slots",
            kind: Kind::Gauge,
            unit: Unit::Things,
            help: "Most users that can have a row of their own; further ones share the row with uid overflow.",
            source: "the loader",
            samples: Samples::View { labels: &[], each: |view, emit| emit(&[], Value::Count(view.user_slots.into())) },
        },
        Family {
            name: "uidmeter_overflow_users_total",
            kind: Kind::Counter,
            unit: Unit::Things,
            help: "Distinct users for whom no row was free when they were first seen.",
            source: "the kernel programs",
            samples: Samples::View {
                labels: &[],
                each: |view, emit| emit(&[], Value::Count(view.snapshot.unattributed.overflow_users)),
            },
        },
        Family {
            name: "uidmeter_unattributed_total",
            kind: Kind::Counter,
            unit: Unit::Things,
            help: "Readings of a task's books that could not be charged to its user as they should, by reason.",
            source: "the kernel programs",
            samples: Samples::View {
                labels: &["reason"],
                each: |view, emit| {
                    let lost = &view.snapshot.unattributed;
                    emit(&["no_ledger"], Value::Count(lost.no_ledger));
                    emit(&["overflow"], Value::Count(lost.overflow));
                    emit(&["clamped"], Value::Count(lost.clamped));
                    emit(&["no_row"], Value::Count(lost.no_row));
                },
            },
        },
        Family {
            name: "uidmeter_kernel_memory_bytes",
            kind: Kind::Gauge,
            unit: Unit::Bytes,
            help: "Kernel memory held by the maps and programs of uidmeter.",
            source: "`memlock` of the maps and programs",
            samples: Samples::View { labels: &[], each: |view, emit| emit(&[], Value::Count(view.kernel_memory.0)) },
        },
        AUTH_FAILURES,
        BUILD_INFO,
        CERTIFICATE_EXPIRY,
        CONFIG_RELOAD_TIME,
        CONFIG_RELOAD,
        HTTP_REQUESTS,
        PASSWORD_CHECKS,
        SCRAPE_DURATION,
        TICK_DURATION,
        TICKS_LATE,
    ],
};
