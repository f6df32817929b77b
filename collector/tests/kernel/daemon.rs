//! The daemon as its users start it: what it serves, how it ends, how much it takes.

use std::{
    collections::BTreeSet,
    fs,
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    Outcome,
    exact::eprintln_figures,
    oracle::Cgroup,
    refusal::doctored_btf,
    user::Load,
};

/// The executable under test.
pub(crate) fn binary() -> PathBuf {
    std::env::var_os("UIDMETER_BIN").map_or_else(|| env!("CARGO_BIN_EXE_uidmeter").into(), PathBuf::from)
}

/// Ids of the loaded programs that have the names of ours.
pub(crate) fn our_programs() -> BTreeSet<u32> {
    let names: [&[u8]; 4] = [b"sched_switch", b"task_newtask", b"seed_ledgers", b"tick"];
    aya::programs::loaded_programs()
        .flatten()
        .filter(|program| names.contains(&program.name()))
        .map(|program| program.id())
        .collect()
}

/// Waits until the kernel has freed what a process had loaded: it does so some time after the last reference is gone.
pub(crate) fn nothing_left(before: &BTreeSet<u32>) -> Outcome {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let now = our_programs();
        let left: Vec<_> = now.difference(before).collect();
        if left.is_empty() {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(format!("programs {left:?} are still loaded").into());
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// A running daemon.
struct Daemon {
    child: Child,
    address: SocketAddr,
}

impl Daemon {
    fn start(arguments: &[&str]) -> io::Result<Self> {
        // A free port: taken for a moment, then given to the daemon.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let child = Command::new(binary())
            .args(["run", "--web.listen-address", &address.to_string()])
            .args(arguments)
            .stderr(Stdio::null())
            .spawn()?;
        let daemon = Self { child, address };
        let deadline = Instant::now() + Duration::from_secs(60);
        while daemon.get("/-/healthy").is_err() {
            if Instant::now() > deadline {
                return Err(io::Error::other("the daemon does not answer"));
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(daemon)
    }

    /// Status and body.
    fn get(&self, path: &str) -> io::Result<(u16, String)> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").ok_or(io::ErrorKind::InvalidData)?;
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or(io::ErrorKind::InvalidData)?;
        Ok((status, body.into()))
    }

    /// A sample's value, as it is written.
    fn sample(&self, series: &str) -> Result<String, libtest_mimic::Failed> {
        let (_, page) = self.get("/metrics")?;
        let line = page.lines().find_map(|line| line.strip_prefix(series));
        Ok(line.ok_or_else(|| format!("no sample {series}"))?.trim().to_owned())
    }

    /// Sends `signal`; gives the time until the end.
    fn end(mut self, signal: Signal) -> Result<Duration, libtest_mimic::Failed> {
        let started = Instant::now();
        kill(Pid::from_raw(i32::try_from(self.child.id())?), signal)?;
        let status = self.child.wait()?;
        if status.success() { Ok(started.elapsed()) } else { Err(format!("ended with {status}").into()) }
    }

    fn memory_kb(&self, key: &str) -> io::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
        line.trim_matches([':', ' ', '\t', 'k', 'B']).parse().map_err(io::Error::other)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Both fail if it has ended, which is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn serves_and_ends() -> Outcome {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let before = our_programs();
        let daemon = Daemon::start(&[])?;
        let ready = daemon.get("/-/ready")?;
        if ready.0 != 200 {
            return Err(format!("not ready: {ready:?}").into());
        }
        if signal == Signal::SIGTERM {
            exact_figures(&daemon)?;
        }
        let took = daemon.end(signal)?;
        if took > Duration::from_secs(1) {
            return Err(format!("it took {took:?} to end after {signal}").into());
        }
        nothing_left(&before)?;
    }
    Ok(())
}

/// From a fork storm to a line of /metrics, to the nanosecond.
fn exact_figures(daemon: &Daemon) -> Outcome {
    let cgroup = Cgroup::new()?;
    let mut load = Load::prepare(22_100, &cgroup, &["fork-storm", "40"])?;
    let base_kernel = cgroup.settled_cpu_ns()?;
    let series = "uidmeter_cpu_seconds_total{uid=\"22100\",user=\"22100\"}";
    let base = nanos(&daemon.sample(series)?)?;
    load.go()?;
    load.end()?;
    let kernel = cgroup.settled_cpu_ns()? - base_kernel;
    let ours = nanos(&daemon.sample(series)?)? - base;
    eprintln_figures("CPU ns", ours, kernel);
    if ours.abs_diff(kernel) > cgroup.rounding_ns() {
        return Err(format!("serves {ours} ns, the kernel says {kernel} ns").into());
    }
    Ok(())
}

/// Decimal seconds as nanoseconds, without a detour through floating point.
fn nanos(seconds: &str) -> Result<u64, libtest_mimic::Failed> {
    let (whole, fraction) = seconds.split_once('.').unwrap_or((seconds, ""));
    Ok(whole.parse::<u64>()? * 1_000_000_000 + format!("{fraction:0<9}").parse::<u64>()?)
}

pub(crate) fn is_small() -> Outcome {
    let daemon = Daemon::start(&[])?;
    daemon.get("/metrics")?;
    let resident = daemon.memory_kb("VmRSS")?;
    if resident >= 20_000 {
        return Err(format!("{resident} kB are resident").into());
    }
    daemon.end(Signal::SIGTERM)?;
    Ok(())
}

pub(crate) fn goes_on_without_one_probe() -> Outcome {
    let btf = doctored_btf("btf_trace_task_newtask", "btf_trace_task_nowhere")?;
    let before = our_programs();
    let daemon = Daemon::start(&["--btf", &btf.path().to_string_lossy()])?;
    for (probe, hook, expected) in [
        ("task_newtask", "tp_btf/task_newtask", "0"),
        ("seed_ledgers", "iter/task", "1"),
        ("sched_switch", "tp_btf/sched_switch", "1"),
        ("tick", "perf_event/cpu-clock", "1"),
    ] {
        let series = format!("uidmeter_probe_active{{probe=\"{probe}\",hook=\"{hook}\"}}");
        let found = daemon.sample(&series)?;
        if found != expected {
            return Err(format!("{series} {found}").into());
        }
    }
    let (status, why) = daemon.get("/-/ready")?;
    if status != 503 || !why.contains("task_newtask") {
        return Err(format!("ready says {status} {why:?}").into());
    }
    daemon.end(Signal::SIGTERM)?;
    nothing_left(&before)
}
