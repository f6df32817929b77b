//! The table of all keys of the policy file. The parser refuses what is not here, and `docs/LIMITS.md` is held against it.

use std::time::Duration;

use super::{rule::Metric, value::Kind};

/// One key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// As it stands in the file.
    pub name: &'static str,
    /// What it can be.
    pub kind: Kind,
    /// As it would stand in the file; empty if it can be left out without meaning anything.
    pub default: &'static str,
    /// What it does.
    pub help: &'static str,
}

/// Keys that stand together.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// Its head, as it stands in the file.
    pub head: &'static str,
    /// What it is for.
    pub about: &'static str,
    /// Its keys.
    pub keys: &'static [Key],
}

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

const fn key(name: &'static str, kind: Kind, default: &'static str, help: &'static str) -> Key {
    Key { name, kind, default, help }
}

/// A time of a second or more.
const fn time(most: Duration) -> Kind {
    Kind::Time { least: SECOND, most }
}

/// Keys outside of any table.
pub const TOP: Table = Table {
    head: "",
    about: "The whole file",
    keys: &[
        key("time_zone", Kind::Zone, "\"local\"", "The time zone of schedules"),
        key("users", Kind::Table, "", "Who can be limited at all"),
        key("floors", Kind::Table, "", "Bounds below which nobody is ever limited"),
        key("offences", Kind::Table, "", "How repeated offences count"),
        key("rule", Kind::Tables, "", "The rules"),
        key("override", Kind::Tables, "", "What some people may do more than others"),
    ],
};

/// `[users]`.
pub const USERS: Table = Table {
    head: "[users]",
    about: "Who can be limited at all. No rule reaches beyond this",
    keys: &[
        key(
            "min_uid",
            Kind::Number { least: 1.0, most: 4_294_967_294.0 },
            "1000",
            "UIDs below belong to the system and are never limited. There is no upper bound",
        ),
        key(
            "system_uids",
            Kind::Uids,
            "[\"61184-65519\", 65534]",
            "UIDs above it that belong to the system, too: those that systemd gives to services, and nobody",
        ),
        key("uids", Kind::Uids, "", "Only these, and those of users and groups; left out, everybody"),
        key("users", Kind::Names, "", "The same by exact names"),
        key("groups", Kind::Names, "", "The same for all members of these groups"),
        key("exempt_uids", Kind::Uids, "", "Never these; wins over all else"),
        key("exempt_users", Kind::Names, "", "The same by exact names"),
        key("exempt_groups", Kind::Names, "", "The same for all members of these groups"),
        key(
            "active_from",
            Kind::Number { least: 0.001, most: 100.0 },
            "0.01",
            "Who uses or waits for that many CPUs shares the host: he counts for the fair share, and can be a victim",
        ),
        key(
            "grace",
            Kind::Time { least: Duration::ZERO, most: DAY },
            "\"10s\"",
            "How long somebody who was not there before is left alone",
        ),
    ],
};

/// `[floors]`.
pub const FLOORS: Table = Table {
    head: "[floors]",
    about: "Bounds below which nobody is ever limited, whatever a rule says",
    keys: &[
        key("cpu_weight", Kind::Weight, "5", "Of `cpu.weight`"),
        key("cpu_max", Kind::Cores, "0.1", "Of `cpu.max`"),
        key("memory", Kind::Size, "\"256MiB\"", "Of `memory.high` and `memory.max`"),
        key(
            "memory_margin",
            Kind::Size,
            "\"64MiB\"",
            "What `memory.high` and `memory.max` leave above the memory in use when they are set",
        ),
        key("io_weight", Kind::Weight, "5", "Of `io.weight`"),
        key("io_read", Kind::Rate, "\"1MiB/s\"", "Of reading in `io.max`"),
        key("io_write", Kind::Rate, "\"1MiB/s\"", "Of writing in `io.max`"),
    ],
};

/// `[offences]`.
pub const OFFENCES: Table = Table {
    head: "[offences]",
    about: "How repeated offences count. Each begins a step further, and is limited for longer",
    keys: &[
        key("half_life", time(Duration::from_hours(24 * 30)), "\"1h\"", "After this time an offence counts half"),
        key(
            "longer",
            Kind::Number { least: 0.0, most: 10.0 },
            "1.0",
            "Each earlier offence prolongs `min_limited` and `relax_after` by so many times",
        ),
        key("most", Kind::Number { least: 0.0, most: 100.0 }, "5.0", "More offences than this do not count"),
    ],
};

/// `[[rule]]`.
pub const RULE: Table = Table {
    head: "[[rule]]",
    about: "One rule; a user is limited for whom all its conditions hold",
    keys: &[
        key("name", Kind::Name, "", "What it is called in logs and figures. Needed"),
        key("mode", Kind::Mode, "\"enforce\"", "How far it goes; never farther than the main configuration allows"),
        key("when", Kind::Table, "", "The conditions. Needed"),
        key("step", Kind::Tables, "", "What it does, from the mildest. Needed"),
        key("min_limited", time(DAY), "\"30s\"", "How long a limit stands at least"),
        key("step_after", time(HOUR), "\"10s\"", "How long a step is given to help before the next"),
        key("relax_after", time(DAY), "\"30s\"", "How long all must be fine before one step is taken back"),
        key("off_during", Kind::Spans, "", "When it is off: what it limited is released"),
        key("only_during", Kind::Spans, "", "When alone it is on"),
        key("uids", Kind::Uids, "", "Only these, and those of users and groups; left out, everybody"),
        key("users", Kind::Names, "", "The same by exact names"),
        key("groups", Kind::Names, "", "The same for all members of these groups"),
        key("exempt_uids", Kind::Uids, "", "Never these; wins over all else"),
        key("exempt_users", Kind::Names, "", "The same by exact names"),
        key("exempt_groups", Kind::Names, "", "The same for all members of these groups"),
    ],
};

/// `[[rule.step]]`.
pub const STEP: Table = Table {
    head: "[[rule.step]]",
    about: "What is limited. A step keeps what those before it limit, and is never looser",
    keys: &[
        key(
            "cpu_weight",
            Kind::Weight,
            "",
            "`cpu.weight`: the share of CPU time under contention; all others have 100",
        ),
        key("cpu_max", Kind::CoresOrShare, "", "`cpu.max`"),
        key("memory_high", Kind::SizeOrShare, "", "`memory.high`; never below the memory in use and the margin"),
        key(
            "memory_max",
            Kind::SizeOrShare,
            "",
            "`memory.max`, the safety net; never below `memory_high`, which it needs",
        ),
        key("io_weight", Kind::Weight, "", "`io.weight`: the share of a disk under contention; all others have 100"),
        key("io_read", Kind::Rate, "", "Bytes read from each disk in a second (`io.max`)"),
        key("io_write", Kind::Rate, "", "Bytes written to each disk in a second (`io.max`)"),
    ],
};

/// `[[override]]`.
pub const OVERRIDE: Table = Table {
    head: "[[override]]",
    about: "What some people may do more than others",
    keys: &[
        key("uids", Kind::Uids, "", "Whom it is for, together with users and groups"),
        key("users", Kind::Names, "", "The same by exact names"),
        key("groups", Kind::Names, "", "The same for all members of these groups"),
        key("rules", Kind::Names, "", "For these rules; left out, for all"),
        key(
            "allowance",
            Kind::Number { least: 0.1, most: 100.0 },
            "1.0",
            "Thresholds of a user's own figures are multiplied by this",
        ),
        key("cpu_weight", Kind::Weight, "", "A higher floor of `cpu.weight`"),
        key("cpu_max", Kind::Cores, "", "A higher floor of `cpu.max`"),
        key("memory", Kind::Size, "", "A higher floor of `memory.high` and `memory.max`"),
        key("io_weight", Kind::Weight, "", "A higher floor of `io.weight`"),
        key("io_read", Kind::Rate, "", "A higher floor of reading in `io.max`"),
        key("io_write", Kind::Rate, "", "A higher floor of writing in `io.max`"),
    ],
};

/// All tables with keys of their own, in the order of the manual.
pub const TABLES: [Table; 7] = [TOP, USERS, FLOORS, OFFENCES, RULE, STEP, OVERRIDE];

/// A condition's key in `[rule.when]`.
#[derive(Clone, Copy, Debug)]
pub struct MetricKey {
    /// As it stands in the file.
    pub name: &'static str,
    /// What is looked at.
    pub metric: Metric,
    /// What its thresholds can be.
    pub kind: Kind,
    /// What it is.
    pub help: &'static str,
}

const fn metric(name: &'static str, metric: Metric, kind: Kind, help: &'static str) -> MetricKey {
    MetricKey { name, metric, kind, help }
}

/// All conditions: first the host's, then victims', then the user's own.
pub const METRICS: [MetricKey; 11] = [
    metric("host_cpu_busy", Metric::HostCpuBusy, Kind::Share, "Busy CPUs, as a share of all CPUs"),
    metric("cpu_pressure", Metric::CpuPressure, Kind::Share, "`some avg10` of `/proc/pressure/cpu`"),
    metric("memory_pressure", Metric::MemoryPressure, Kind::Share, "`some avg10` of `/proc/pressure/memory`"),
    metric("io_pressure", Metric::IoPressure, Kind::Share, "`some avg10` of `/proc/pressure/io`"),
    metric("memory_available", Metric::MemoryAvailable, Kind::SizeOrShare, "`MemAvailable` of `/proc/meminfo`"),
    metric(
        "victim_wait_p99",
        Metric::VictimWaitP99,
        Kind::TimeAmount { least: Duration::from_micros(10), most: Duration::from_mins(1) },
        "99th percentile of the waits for a CPU of whoever else waits longest",
    ),
    metric(
        "victim_wait_share",
        Metric::VictimWaitShare,
        Kind::Share,
        "Waiting for a CPU as a share of waiting and running, of whoever else waits most",
    ),
    metric("user_cpu", Metric::UserCpu, Kind::CoresOrShare, "The user's own CPUs"),
    metric(
        "user_cpu_fair_shares",
        Metric::UserCpuFairShares,
        Kind::TimesAmount { least: 0.1, most: 10_000.0 },
        "The user's own CPUs divided by the fair share, which is all CPUs divided by the number of active people",
    ),
    metric("user_memory", Metric::UserMemory, Kind::SizeOrShare, "The user's own resident memory and swap"),
    metric("user_write_rate", Metric::UserWriteRate, Kind::RateAmount, "What the user writes to disks"),
];

/// The keys of one condition.
pub fn condition(metric: &MetricKey) -> [Key; 4] {
    let hold = Kind::Time { least: SECOND, most: HOUR };
    let (threshold, release) =
        if metric.metric.feared_low() { ("below", "release_above") } else { ("above", "release_below") };
    [
        key(threshold, metric.kind, "", "The threshold. Needed"),
        key("for", hold, "\"5s\"", "How long, before the condition holds"),
        key(release, metric.kind, "", "From where on it is fine again; left out, a fifth away from the threshold"),
        key("release_for", hold, "\"10s\"", "How long, before the condition no longer holds"),
    ]
}

#[cfg(test)]
mod tests {
    use toml::de::DeValue;

    use super::{METRICS, TABLES, condition};

    #[test]
    fn every_default_can_be_read_and_every_name_is_spelled_one_way() {
        let conditions = METRICS.iter().flat_map(condition);
        for key in TABLES.iter().flat_map(|table| table.keys.iter().copied()).chain(conditions) {
            assert!(key.name.bytes().all(|byte| byte.is_ascii_lowercase() || b"_".contains(&byte)), "{}", key.name);
            assert!(!key.help.ends_with('.') && !key.help.contains('|'), "{}", key.help);
            let default = DeValue::parse(key.default).ok();
            let read = default.and_then(|value| key.kind.read(value.get_ref()));
            assert_eq!(read.is_some(), !key.default.is_empty(), "{}", key.name);
        }
    }
}
