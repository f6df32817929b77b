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
mod rules;
pub mod settings;

use std::{path::PathBuf, time::Duration};

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
    /// How figures are served.
    pub web: Web,
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
            web: Web::default(),
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
