//! The simulated hosts of a fleet: `loadtests nodes`, in few processes.

use std::{
    io::{BufRead as _, BufReader},
    net::Ipv4Addr,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use nix::unistd::Pid;

use super::site::Site;
use crate::{
    child::Child,
    daemon::{cpu_time_of, memory_of},
    nodes::{Places, announce},
};

const PORT: u16 = 9101;

/// Hosts that are served; dropping them ends them.
pub(super) struct Hosts {
    children: Vec<Child>,
    first: Ipv4Addr,
    pub(super) count: u32,
}

impl Hosts {
    /// `count` hosts from `first` on, in so many processes, and waits until all can be connected to. Nobody is told of them yet.
    pub(super) fn start(first: Ipv4Addr, count: u32, processes: u32, users: u32, site: &Site) -> Result<Self> {
        let program = std::env::current_exe().context("cannot find this program's own file")?;
        let mut children = Vec::new();
        let mut begun = 0;
        for number in 0..processes {
            let end = count * (number + 1) / processes;
            let from = Ipv4Addr::from_bits(first.to_bits().saturating_add(begun));
            let mut command = Command::new(&program);
            command.args(["nodes", "--threads", "1", "--first", &from.to_string(), "--port", &PORT.to_string()]);
            command.args(["--count", &(end - begun).to_string(), "--users", &users.to_string()]);
            command.args(["--seed", &(begun + 1).to_string()]).args(site.flags());
            command.stdin(Stdio::piped()).stdout(Stdio::piped());
            children.push(Child::spawn(&mut command, None).context("cannot start `loadtests nodes`")?);
            begun = end;
        }
        for child in &mut children {
            let mut line = String::new();
            BufReader::new(child.output().context("no output to read")?).read_line(&mut line)?;
            ensure!(line.starts_with("ready "), "`loadtests nodes` says {line:?} instead of being ready");
        }
        Ok(Self { children, first, count })
    }

    /// Tells Prometheus of the first `known` of them.
    pub(super) fn announce(&self, known: u32, site: &Site) -> Result<()> {
        announce(&site.targets(), &Places::new(self.first, PORT, known)?)
    }

    /// CPU time of all processes.
    pub(super) fn cpu(&self) -> Result<Duration> {
        self.pids().map(cpu_time_of).sum()
    }

    /// Resident memory of all processes, what they share counted for each.
    pub(super) fn resident_bytes(&self) -> Result<u64> {
        self.pids().map(|pid| Ok(memory_of(pid)?.resident_bytes)).sum()
    }

    /// That all still serve.
    pub(super) fn check(&mut self) -> Result<()> {
        for child in &mut self.children {
            if let Some(status) = child.ended()? {
                bail!("`loadtests nodes` has ended: {status}");
            }
        }
        Ok(())
    }

    fn pids(&self) -> impl Iterator<Item = Pid> {
        self.children.iter().map(Child::pid)
    }
}
