//! The table of settings, as data: file, flags, help, sample file and documentation all walk it, and nobody else spells
//! a setting's name or default.

mod push;

use std::time::Duration;

use super::{Config, Driver, Kind, Mode};
use crate::units::Bytes;

/// A setting.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Section of the file.
    pub section: &'static str,
    /// Name in the section.
    pub key: &'static str,
    /// Name of the flag, without dashes.
    pub flag: &'static str,
    /// What a value can be, and where it goes.
    pub kind: Kind,
    /// The value where none is given, as it would be written in the file (a list: its only entry, or nothing).
    pub default: &'static str,
    /// One sentence for people, without a full stop.
    pub help: &'static str,
    /// What a reload does.
    pub reload: Reload,
}

/// What a reload does with a setting that has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    /// It takes effect at once.
    AtOnce,
    /// A part of it takes effect at once; the sentence says what does not.
    InPart(&'static str),
    /// The old value stays until a restart.
    Restart,
}

impl Setting {
    /// Section and name, as problems and documentation spell it.
    pub fn name(&self) -> String {
        format!("{}.{}", self.section, self.key)
    }
}

/// A section of the file.
#[derive(Clone, Copy, Debug)]
pub struct Section {
    /// Its name.
    pub name: &'static str,
    /// What it is about, without a full stop.
    pub about: &'static str,
}

/// The sections, in the order of the documents.
pub static SECTIONS: &[Section] = &[
    Section { name: "observe", about: "How the kernel is observed" },
    Section { name: "users", about: "Whose figures are shown, and under which names" },
    Section { name: "memory", about: "How memory is measured" },
    Section { name: "host", about: "Figures of the whole host" },
    Section { name: "probes", about: "Kernel programs that uidmeter can do without" },
    Section { name: "bursts", about: "How bursts are shown" },
    Section { name: "limits", about: "How users who harm others are limited" },
    Section { name: "process", about: "What the daemon itself may do" },
    Section { name: "web", about: "How figures are served" },
    Section { name: "push", about: "How figures are sent to a hub that cannot scrape this host (docs/PUSH.md)" },
];

const MS: u64 = 1;
const SECOND: u64 = 1_000 * MS;
const HOUR: u64 = 3_600 * SECOND;
const DAY: u64 = 24 * HOUR;

const fn time(least: u64, most: u64, at: fn(&mut Config) -> &mut Duration) -> Kind {
    Kind::Time { least: Duration::from_millis(least), most: Duration::from_millis(most), at }
}

const fn at_once(
    section: &'static str,
    key: &'static str,
    flag: &'static str,
    kind: Kind,
    default: &'static str,
    help: &'static str,
) -> Setting {
    Setting { section, key, flag, kind, default, help, reload: Reload::AtOnce }
}

const fn restart(setting: Setting) -> Setting {
    Setting { reload: Reload::Restart, ..setting }
}

/// The table.
pub static SETTINGS: &[Setting] =
    &joined::<{ MAIN.len() }, { push::SETTINGS.len() }, { MAIN.len() + push::SETTINGS.len() }>(MAIN, push::SETTINGS);

/// `first` and then `second`.
const fn joined<const A: usize, const B: usize, const ALL: usize>(
    first: [Setting; A],
    second: [Setting; B],
) -> [Setting; ALL] {
    let mut all = [first[0]; ALL];
    let mut i = 0;
    while i < ALL {
        all[i] = if i < A { first[i] } else { second[i - A] };
        i += 1;
    }
    all
}

/// Everything but the push.
const MAIN: [Setting; 34] = [
    Setting {
        reload: Reload::InPart(
            "the kernel's own tick, which drains tasks that never switch, keeps its pace until a restart",
        ),
        ..at_once(
            "observe",
            "sample_interval",
            "sample-interval",
            time(10 * MS, 10 * SECOND, |config| &mut config.observe.sample_interval),
            "100ms",
            "How often users are sampled: shorter costs more, longer blurs bursts",
        )
    },
    restart(at_once(
        "observe",
        "max_users",
        "max-users",
        // A host with more users at a time than this is not known.
        Kind::Number { least: 1, most: 1_000_000, at: |config| &mut config.observe.max_users },
        "4096",
        "Most users with figures of their own; the others share one row, which is exported as user [overflow]",
    )),
    restart(at_once(
        "observe",
        "kernel_memory",
        "kernel-memory",
        Kind::Size { least: Bytes(1 << 16), most: Bytes(1 << 40), at: |config| &mut config.observe.kernel_memory },
        "64MiB",
        "Bound on kernel memory for users' figures; lowers max_users if need be",
    )),
    restart(at_once(
        "observe",
        "btf",
        "btf",
        Kind::File { at: |config| &mut config.observe.btf },
        "/sys/kernel/btf/vmlinux",
        "File with the kernel's type information",
    )),
    at_once(
        "users",
        "forget_after",
        "users.forget-after",
        Kind::TimeOrNever {
            least: Duration::from_secs(10),
            most: Duration::from_millis(365 * DAY),
            at: |config| &mut config.users.forget_after,
        },
        "1h",
        "How long the series of a user stay after the last task and the last use",
    ),
    at_once(
        "users",
        "top",
        "users.top",
        Kind::Number { least: 0, most: 1_000_000, at: |config| &mut config.users.top },
        "0",
        "Export this many of the busiest users, and the others summed up as user [other]; 0 exports all",
    ),
    at_once(
        "users",
        "names",
        "users.names",
        Kind::Switch { at: |config| &mut config.users.names },
        "true",
        "Look up users' names; otherwise the label user has the number",
    ),
    at_once(
        "users",
        "name_timeout",
        "users.name-timeout",
        time(100 * MS, 60 * SECOND, |config| &mut config.users.name_timeout),
        "5s",
        "Longest time for looking up one name, after which the number stands in for it",
    ),
    at_once(
        "memory",
        "interval",
        "memory-interval",
        time(SECOND, HOUR, |config| &mut config.memory.interval),
        "10s",
        "How often resident memory, processes and threads are counted by walking over all tasks",
    ),
    at_once(
        "host",
        "enabled",
        "host",
        Kind::Switch { at: |config| &mut config.host },
        "true",
        "Export CPUs, memory, load and pressure of the whole host beside those of its users",
    ),
    restart(at_once(
        "probes",
        "reclaim",
        "probes.reclaim",
        Kind::Switch { at: |config| &mut config.probes.reclaim },
        "true",
        "Count direct reclaim and reclaim at a cgroup's limit",
    )),
    restart(at_once(
        "probes",
        "execs",
        "probes.execs",
        Kind::Switch { at: |config| &mut config.probes.execs },
        "true",
        "Count executions of programs; forks and exits are counted anyway",
    )),
    restart(at_once(
        "probes",
        "memstall",
        "probes.memstall",
        Kind::Switch { at: |config| &mut config.probes.memstall },
        "true",
        "Measure the time that tasks are stalled for want of memory",
    )),
    at_once(
        "bursts",
        "peak_window",
        "bursts.peak-window",
        time(SECOND, HOUR, |config| &mut config.bursts.peak_window),
        "1m",
        "Time over which the highest use in one tick is kept",
    ),
    Setting {
        reload: Reload::InPart("enforcing takes an enforcer, which is started with the daemon alone"),
        ..at_once(
            "limits",
            "mode",
            "limits.mode",
            Kind::Choice {
                words: &Mode::WORDS,
                get: |config| config.limits.mode as usize,
                set: |config, chosen| config.limits.mode = Mode::ALL[chosen],
            },
            "dry-run",
            "Whether the policy's decisions are taken, only shown, or carried out",
        )
    },
    restart(at_once(
        "limits",
        "policy_file",
        "limits.policy-file",
        Kind::OptionalFile { at: |config| &mut config.limits.policy_file },
        "",
        "File with the rules by which users are limited; empty means that nobody is; a reload reads it again",
    )),
    at_once(
        "limits",
        "interval",
        "limits.interval",
        time(100 * MS, 60 * SECOND, |config| &mut config.limits.interval),
        "1s",
        "How often the policy is evaluated",
    ),
    restart(at_once(
        "limits",
        "driver",
        "limits.driver",
        Kind::Choice {
            words: &Driver::WORDS,
            get: |config| config.limits.driver as usize,
            set: |config, chosen| config.limits.driver = Driver::ALL[chosen],
        },
        "auto",
        "Who sets limits: systemd, or uidmeter itself in the file system of cgroup v2",
    )),
    restart(at_once(
        "limits",
        "cgroup_root",
        "limits.cgroup-root",
        Kind::File { at: |config| &mut config.limits.cgroup_root },
        "/sys/fs/cgroup",
        "Folder of cgroup v2 below which the driver cgroupfs makes one group for each limited user",
    )),
    restart(at_once(
        "limits",
        "lease",
        "limits.lease",
        time(2 * SECOND, HOUR, |config| &mut config.limits.lease),
        "10s",
        "How long a limit stays when nobody renews it",
    )),
    restart(at_once(
        "limits",
        "journal",
        "limits.journal",
        Kind::File { at: |config| &mut config.limits.journal },
        "/var/lib/uidmeter/limits.journal",
        "File in which the enforcer remembers what it has changed, to undo that after a crash; in a folder of root alone",
    )),
    restart(at_once(
        "limits",
        "audit_log",
        "limits.audit-log",
        Kind::OptionalFile { at: |config| &mut config.limits.audit_log },
        "/var/log/uidmeter/limits.jsonl",
        "File to which a line is added for each change of a limit; empty means none",
    )),
    restart(at_once(
        "limits",
        "control_socket",
        "limits.control-socket",
        Kind::OptionalFile { at: |config| &mut config.limits.control_socket },
        "/run/uidmeter/control.sock",
        "Socket on which uidmeter limits asks the daemon; empty means none",
    )),
    at_once(
        "limits",
        "hook",
        "limits.hook",
        Kind::OptionalFile { at: |config| &mut config.limits.hook },
        "",
        "Program that is started for each change of a limit, with the change as JSON on its standard input",
    ),
    at_once(
        "limits",
        "webhook",
        "limits.webhook",
        Kind::OptionalUrl { at: |config| &mut config.limits.webhook },
        "",
        "URL to which each change of a limit is sent as JSON",
    ),
    at_once(
        "limits",
        "hook_timeout",
        "limits.hook-timeout",
        time(100 * MS, 60 * SECOND, |config| &mut config.limits.hook_timeout),
        "10s",
        "Longest time for the program or the URL",
    ),
    restart(at_once(
        "process",
        "user",
        "process.user",
        Kind::OptionalUser { at: |config| &mut config.process.user },
        "",
        "User that the daemon becomes once everything is loaded; empty means uidmeter, or nobody where there is no such user",
    )),
    restart(at_once(
        "web",
        "listen_addresses",
        "web.listen-address",
        Kind::Addresses { at: |config| &mut config.web.listen_addresses },
        "127.0.0.1:9101",
        "Addresses to serve on; without a web configuration file only this machine may reach them",
    )),
    restart(at_once(
        "web",
        "telemetry_path",
        "web.telemetry-path",
        Kind::UrlPath { at: |config| &mut config.web.telemetry_path },
        "/metrics",
        "Path under which metrics are served",
    )),
    restart(at_once(
        "web",
        "max_requests",
        "web.max-requests",
        Kind::Number { least: 0, most: 100_000, at: |config| &mut config.web.max_requests },
        "40",
        "Most scrapes at a time; further ones are told to come again, and 0 means no bound",
    )),
    restart(at_once(
        "web",
        "config_file",
        "web.config.file",
        Kind::OptionalFile { at: |config| &mut config.web.config_file },
        "",
        "Prometheus' web configuration file, with TLS and authentication; empty means neither",
    )),
    restart(at_once(
        "web",
        "auth_file",
        "web.auth-file",
        Kind::OptionalFile { at: |config| &mut config.web.auth_file },
        "",
        "File with what Prometheus' web configuration lacks: tokens (JWT) and permissions; empty means neither",
    )),
    restart(at_once(
        "web",
        "open_health",
        "web.open-health",
        Kind::Switch { at: |config| &mut config.web.open_health },
        "true",
        "Answer /-/healthy and /-/ready without authentication",
    )),
    restart(at_once(
        "web",
        "systemd_socket",
        "web.systemd-socket",
        Kind::Switch { at: |config| &mut config.web.systemd_socket },
        "false",
        "Serve on the sockets that systemd hands over instead of the listen addresses",
    )),
];

/// Index of the setting `section.key`.
pub(super) fn find(section: &str, key: &str) -> Option<usize> {
    SETTINGS.iter().position(|setting| setting.section == section && setting.key == key)
}
