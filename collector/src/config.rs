//! File and flags → one validated [`Config`]. Every problem is reported at once, each with where it stands, what was
//! found and what is allowed.
//!
//! | module | owns |
//! |---|---|
//! | [`settings`] | the table of all settings, from which everything else comes |
//! | [`kind`] | what a setting's value can be: reading, checking and writing one |
//! | [`file`] | the TOML file, key by key |
//! | [`flags`] | the command line's flags |
//! | [`rules`] | what must hold between settings |
//! | [`listen`] | where is listened, and who may reach that |
//! | [`document`] | the sample file, `docs/CONFIGURATION.md`, and the values in force, written from the table |
//! | [`push`] | what is sent to a hub, and what must hold between those settings |
//! | [`problem`] | one sentence for each mistake |
//!
//! Reads the configuration file and nothing else. Secrets never stand in it: a setting names the file that has them.

pub mod document;
mod file;
mod flags;
mod kind;
pub mod listen;
mod load;
mod problem;
mod push;
mod rules;
pub mod settings;

use std::{path::PathBuf, time::Duration};

use serde::Serialize;

pub(crate) use self::{
    file::{Lines, Unreadable, nearest, quotable, shown, text_of},
    kind::{quoted, size, time},
};
pub use self::{
    flags::{ObserveFlags, RunFlags},
    kind::Kind,
    listen::ListenAddress,
    load::{DEFAULT_FILE, Loaded, Origin},
    problem::{ConfigError, Problem},
    push::{Label, Push, PushHistograms, PushProtocol},
};
use crate::units::Bytes;

/// Everything that `uidmeter run` is told, checked. The meaning of each field stands in [`settings::SETTINGS`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// How the kernel is observed.
    pub observe: Observe,
    /// Whose figures are shown, and under which names.
    pub users: UserOptions,
    /// How memory is measured.
    pub memory: Memory,
    /// Whether figures of the whole host are exported.
    pub host: bool,
    /// Kernel programs that uidmeter can do without.
    pub probes: Probes,
    /// How bursts are shown.
    pub bursts: Bursts,
    /// How users who harm others are limited.
    pub limits: LimitOptions,
    /// What the daemon itself may do.
    pub process: Process,
    /// How figures are served.
    pub web: Web,
    /// How figures are sent.
    pub push: Push,
}

/// How the kernel is observed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observe {
    /// Time between ticks.
    pub sample_interval: Duration,
    /// Most users with rows of their own.
    pub max_users: u32,
    /// Bound on the rows' memory.
    pub kernel_memory: Bytes,
    /// File with the kernel's type information.
    pub btf: PathBuf,
}

/// Whose figures are shown, and under which names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserOptions {
    /// How long the series of a user stay after the last task and the last use; `None` means for ever.
    pub forget_after: Option<Duration>,
    /// Busiest users with series of their own; 0 means all.
    pub top: u32,
    /// Whether names are looked up.
    pub names: bool,
    /// Longest time for one look-up.
    pub name_timeout: Duration,
}

/// How memory is measured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Time between two walks over all tasks.
    pub interval: Duration,
}

/// Kernel programs that uidmeter can do without: `true` asks for one, and the kernel may still lack it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Probes {
    /// Direct and memory-cgroup reclaim.
    pub reclaim: bool,
    /// Executions of programs. Forks and exits are counted anyway: what hooks them is needed.
    pub execs: bool,
    /// Time stalled for want of memory.
    pub memstall: bool,
}

/// How bursts are shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bursts {
    /// Time over which the highest use is kept.
    pub peak_window: Duration,
}

/// How users who harm others are limited.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LimitOptions {
    /// What becomes of the policy's decisions.
    pub mode: Mode,
    /// File with the rules.
    pub policy_file: Option<PathBuf>,
    /// Time between evaluations.
    pub interval: Duration,
    /// Who sets limits.
    pub driver: Driver,
    /// Folder for the driver `cgroupfs`.
    pub cgroup_root: PathBuf,
    /// How long a limit stays when nobody renews it.
    pub lease: Duration,
    /// File in which the enforcer remembers what it has changed.
    pub journal: PathBuf,
    /// File with a line for each change.
    pub audit_log: Option<PathBuf>,
    /// Socket of `uidmeter limits`.
    pub control_socket: Option<PathBuf>,
    /// Program to start at each change.
    pub hook: Option<PathBuf>,
    /// URL to tell of each change.
    pub webhook: Option<String>,
    /// Longest time for either.
    pub hook_timeout: Duration,
}

/// What becomes of the policy's decisions; what comes later goes farther.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// None are taken.
    Off,
    /// They are taken and shown; nothing is changed.
    #[default]
    DryRun,
    /// They are carried out.
    Enforce,
}

impl Mode {
    /// All, in the order of [`Self::WORDS`].
    pub const ALL: [Self; 3] = [Self::Off, Self::DryRun, Self::Enforce];
    /// How they are written.
    pub const WORDS: [&str; 3] = ["off", "dry-run", "enforce"];

    /// How it is written.
    pub fn word(self) -> &'static str {
        Self::WORDS[self as usize]
    }
}

/// Who sets limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Driver {
    /// systemd where it runs, else the file system of cgroup v2.
    #[default]
    Auto,
    /// systemd, over D-Bus.
    Systemd,
    /// uidmeter, in the file system of cgroup v2.
    Cgroupfs,
}

impl Driver {
    /// All, in the order of [`Self::WORDS`].
    pub const ALL: [Self; 3] = [Self::Auto, Self::Systemd, Self::Cgroupfs];
    /// How they are written.
    pub const WORDS: [&str; 3] = ["auto", "systemd", "cgroupfs"];
}

/// What the daemon itself may do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// User that it becomes; `None` means `uidmeter` or `nobody`.
    pub user: Option<String>,
}

/// How figures are served.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Web {
    /// Where; without effect if systemd hands over sockets.
    pub listen_addresses: Vec<ListenAddress>,
    /// Path of the metrics, beginning with a slash.
    pub telemetry_path: String,
    /// Most scrapes at a time; 0 means no bound.
    pub max_requests: u32,
    /// Prometheus' web configuration file: TLS and authentication.
    pub config_file: Option<PathBuf>,
    /// What that file lacks: tokens and permissions.
    pub auth_file: Option<PathBuf>,
    /// Whether health endpoints answer without authentication.
    pub open_health: bool,
    /// Whether the sockets come from systemd.
    pub systemd_socket: bool,
}

impl Default for Config {
    /// Every setting at its default.
    fn default() -> Self {
        let mut config = Self {
            observe: Observe::default(),
            users: UserOptions::default(),
            memory: Memory::default(),
            host: false,
            probes: Probes::default(),
            bursts: Bursts::default(),
            limits: LimitOptions::default(),
            process: Process::default(),
            web: Web::default(),
            push: Push::default(),
        };
        for setting in settings::SETTINGS {
            let set = setting.kind.set(&[setting.default], &mut config);
            debug_assert_eq!(set, Ok(()), "{}", setting.name());
        }
        config
    }
}

#[cfg(test)]
mod tests;
