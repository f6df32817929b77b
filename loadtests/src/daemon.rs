//! The real daemon as a child process, on a free port of the loopback address. Dropping it stops it, which detaches
//! its kernel programs.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use nix::{time::clock_getcpuclockid, unistd::Pid};

use crate::{child::Child, interrupt::Interrupt, program::Runs};

/// Loading takes a fraction of a second; this is for a machine under load.
const START: Duration = Duration::from_secs(20);
const ANSWER: Duration = Duration::from_secs(1);

/// A daemon at work.
pub(crate) struct Daemon(Child);

/// Memory of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Memory {
    /// Resident now.
    pub(crate) resident_bytes: u64,
    /// The most that was resident at any time.
    pub(crate) peak_bytes: u64,
}

impl Daemon {
    /// Starts `program` and waits until it says that it is ready.
    pub(crate) fn start(program: &Path, interrupt: &Interrupt) -> Result<Self> {
        let address = free_address().context("no free port on 127.0.0.1")?;
        let mut command = Command::new(program);
        command
            .args(["run", "--web.listen-address", &address.to_string()])
            .env("UIDMETER_LOG", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let child = Child::spawn(&mut command, None)
            .with_context(|| format!("cannot start {}; build it with `cargo xtask build`", program.display()))?;
        let mut daemon = Self(child);
        let start = Instant::now();
        while !is_ready(address) {
            daemon.check()?;
            if start.elapsed() > START {
                bail!("{} is not ready after {} s", program.display(), START.as_secs());
            }
            interrupt.pause()?;
        }
        Ok(daemon)
    }

    /// That it still runs.
    pub(crate) fn check(&mut self) -> Result<()> {
        match self.0.ended()? {
            Some(status) => bail!("the daemon ended while it was measured: {status}"),
            None => Ok(()),
        }
    }

    /// CPU time of all its threads, dead ones included.
    pub(crate) fn cpu_time(&self) -> Result<Duration> {
        cpu_time_of(self.0.pid())
    }

    /// Its memory.
    pub(crate) fn memory(&self) -> Result<Memory> {
        memory_of(self.0.pid())
    }

    /// What the kernel counted for the programs that it holds, all together.
    pub(crate) fn program_runs(&self) -> Result<Runs> {
        let folder = format!("/proc/{}/fdinfo", self.0.pid());
        let mut sum = Runs::default();
        for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {folder}"))? {
            // A descriptor may be closed in between; those of programs stay open.
            if let Ok(text) = fs::read_to_string(entry?.path()) {
                sum += Runs::parse(&text).unwrap_or_default();
            }
        }
        Ok(sum)
    }
}

/// CPU time of all threads of a process, dead ones included.
pub(crate) fn cpu_time_of(process: Pid) -> Result<Duration> {
    Ok(clock_getcpuclockid(process)?.now()?.into())
}

/// Memory of a process.
pub(crate) fn memory_of(process: Pid) -> Result<Memory> {
    let path = format!("/proc/{process}/status");
    let status = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    memory(&status).with_context(|| format!("{path} has no VmRSS or VmHWM"))
}

pub(crate) fn free_address() -> std::io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

fn is_ready(address: SocketAddr) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect_timeout(&address, ANSWER)?;
        stream.set_read_timeout(Some(ANSWER))?;
        stream.write_all(b"GET /-/ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer)?;
        Ok(&answer == b"HTTP/1.1 200")
    };
    ask().unwrap_or(false)
}

/// From `/proc/PID/status`, whose "kB" are 1,024 bytes.
fn memory(status: &str) -> Option<Memory> {
    let bytes = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
    };
    Some(Memory { resident_bytes: bytes("VmRSS:")?, peak_bytes: bytes("VmHWM:")? })
}

#[cfg(test)]
mod tests {
    use super::{Memory, memory};

    #[test]
    fn memory_is_read_as_the_kernel_prints_it() {
        let status = "Name:\tuidmeter\nVmPeak:\t  400000 kB\nVmHWM:\t   51232 kB\nVmRSS:\t    9000 kB\nThreads:\t3\n";
        assert_eq!(memory(status), Some(Memory { resident_bytes: 9000 * 1024, peak_bytes: 51232 * 1024 }));
    }

    #[test]
    fn a_zombie_has_none() {
        assert_eq!(memory("Name:\tuidmeter\nState:\tZ (zombie)\n"), None);
    }
}
