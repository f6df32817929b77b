//! Flags → one validated [`Config`]. Every problem is reported at once, each with what was found and what is allowed.

use std::{
    net::{SocketAddr, ToSocketAddrs as _},
    path::PathBuf,
    time::Duration,
};

use clap::Args;

use crate::units::Bytes;

/// How often users are sampled: shorter costs more, longer blurs bursts.
const SAMPLE_INTERVAL: std::ops::RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(10);
/// The table has 32-bit keys, and a host with more users at a time than this is not known.
const MAX_USERS: std::ops::RangeInclusive<u32> = 1..=1_000_000;

/// How the kernel is observed: for every command that loads programs.
#[derive(Args, Clone, Debug)]
pub struct ObserveFlags {
    /// How often users are sampled, from 10ms to 10s
    #[arg(long, value_name = "TIME", default_value = "100ms")]
    pub sample_interval: String,

    /// Most users with figures of their own; the others share one row, which is exported as user `[overflow]`
    #[arg(long, value_name = "NUMBER", default_value_t = 4096)]
    pub max_users: u32,

    /// Bound on kernel memory for users' figures; lowers --max-users if need be
    #[arg(long, value_name = "SIZE", default_value = "64MiB")]
    pub kernel_memory: String,

    /// File with the kernel's type information
    #[arg(long, value_name = "FILE", default_value = "/sys/kernel/btf/vmlinux")]
    pub btf: PathBuf,
}

/// How figures are served.
#[derive(Args, Clone, Debug)]
pub struct ServeFlags {
    /// Address to serve /metrics on; must be of this machine only until authentication can be configured
    #[arg(long = "web.listen-address", value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9101")]
    pub listen_address: String,
}

/// How the kernel is observed, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
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

/// Everything that `uidmeter run` is told, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// How the kernel is observed.
    pub observe: Observe,
    /// Where figures are served: a loopback address.
    pub listen_address: SocketAddr,
}

/// All that is wrong with the flags.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct ConfigError(pub Vec<String>);

impl Observe {
    /// Checks the flags.
    ///
    /// # Errors
    /// One sentence for each flag that cannot be used.
    pub fn new(flags: &ObserveFlags) -> Result<Self, ConfigError> {
        let mut problems = Vec::new();
        let observe = Self::check(flags, &mut problems);
        if problems.is_empty() { Ok(observe) } else { Err(ConfigError(problems)) }
    }

    fn check(flags: &ObserveFlags, problems: &mut Vec<String>) -> Self {
        let sample_interval =
            humantime::parse_duration(&flags.sample_interval).ok().filter(|time| SAMPLE_INTERVAL.contains(time));
        if sample_interval.is_none() {
            problems.push(format!(
                "--sample-interval {:?} is not a time between 10ms and 10s; write for example 100ms",
                flags.sample_interval
            ));
        }
        if !MAX_USERS.contains(&flags.max_users) {
            problems.push(format!(
                "--max-users {} is not between {} and {}",
                flags.max_users,
                MAX_USERS.start(),
                MAX_USERS.end()
            ));
        }
        let kernel_memory = flags.kernel_memory.parse::<bytesize::ByteSize>().ok();
        if kernel_memory.is_none() {
            problems.push(format!("--kernel-memory {:?} is not a size; write for example 64MiB", flags.kernel_memory));
        }
        Self {
            sample_interval: sample_interval.unwrap_or_default(),
            max_users: flags.max_users,
            kernel_memory: Bytes(kernel_memory.unwrap_or_default().as_u64()),
            btf: flags.btf.clone(),
        }
    }
}

impl Config {
    /// Checks the flags of `uidmeter run`.
    ///
    /// # Errors
    /// One sentence for each flag that cannot be used.
    pub fn new(observe: &ObserveFlags, serve: &ServeFlags) -> Result<Self, ConfigError> {
        let mut problems = Vec::new();
        let observe = Observe::check(observe, &mut problems);
        match loopback(&serve.listen_address) {
            Ok(listen_address) if problems.is_empty() => Ok(Self { observe, listen_address }),
            Ok(_) => Err(ConfigError(problems)),
            Err(problem) => {
                problems.push(problem);
                Err(ConfigError(problems))
            }
        }
    }
}

/// An address that only this machine can reach. A name counts only if all its addresses are such.
fn loopback(address: &str) -> Result<SocketAddr, String> {
    let flag = format!("--web.listen-address {address:?}");
    let addresses: Vec<SocketAddr> = match address.to_socket_addrs() {
        Ok(addresses) => addresses.collect(),
        Err(error) => {
            return Err(format!("{flag} is not an address and port ({error}); write for example 127.0.0.1:9101"));
        }
    };
    match addresses.iter().find(|address| !address.ip().to_canonical().is_loopback()) {
        Some(other) => Err(format!(
            "{flag} would serve everybody's figures to the network ({other}) without authentication; use a loopback address \
             such as 127.0.0.1:9101, and an authenticating proxy or an SSH tunnel in front of it"
        )),
        None => addresses
            .first()
            .copied()
            .ok_or_else(|| format!("{flag} stands for no address; write for example 127.0.0.1:9101")),
    }
}

#[cfg(test)]
mod tests {
    use super::{Config, ObserveFlags, ServeFlags, loopback};

    fn flags() -> (ObserveFlags, ServeFlags) {
        let observe = ObserveFlags {
            sample_interval: "100ms".into(),
            max_users: 4096,
            kernel_memory: "64MiB".into(),
            btf: "/sys/kernel/btf/vmlinux".into(),
        };
        (observe, ServeFlags { listen_address: "127.0.0.1:9101".into() })
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let (mut observe, mut serve) = flags();
        assert!(Config::new(&observe, &serve).is_ok());
        observe.sample_interval = "1ms".into();
        observe.max_users = 0;
        observe.kernel_memory = "much".into();
        serve.listen_address = "0.0.0.0:9101".into();
        let problems = Config::new(&observe, &serve).map_or_else(|error| error.0, |_| Vec::new());
        assert_eq!(problems.len(), 4, "{problems:#?}");
    }

    #[test]
    fn only_loopback_addresses_are_served() {
        for fine in ["127.0.0.1:0", "127.8.9.1:9101", "[::1]:9101", "localhost:9101", "[::ffff:127.0.0.1]:1"] {
            assert!(loopback(fine).is_ok(), "{fine}");
        }
        for bad in ["0.0.0.0:9101", "[::]:9101", "10.1.2.3:9101", "9101", ":9101", "127.0.0.1", "127.0.0.1:99999", ""] {
            assert!(loopback(bad).is_err(), "{bad}");
        }
    }
}
