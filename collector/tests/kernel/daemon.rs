//! The daemon as its users start it: what it serves, how it ends, how much it takes.

use std::{
    collections::BTreeSet,
    fs, thread,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;

use crate::{Outcome, exact::eprintln_figures, oracle::Cgroup, refusal::doctored_btf, support::Daemon, user::Load};

/// Ids of the loaded programs that have the names of ours.
pub(crate) fn our_programs() -> BTreeSet<u32> {
    let names: [&[u8]; 4] = [b"sched_switch", b"task_newtask", b"task_walk", b"tick"];
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

/// A sample's value, as it is written.
fn sample(daemon: &Daemon, series: &str) -> Result<String, libtest_mimic::Failed> {
    let (_, page) = daemon.get("/metrics")?;
    let line = page.lines().find_map(|line| line.strip_prefix(series));
    Ok(line.ok_or_else(|| format!("no sample {series}"))?.trim().to_owned())
}

fn resident_kb(daemon: &Daemon) -> Result<u64, libtest_mimic::Failed> {
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.child.id()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    Ok(line.trim_matches([' ', '\t', 'k', 'B']).parse()?)
}

/// From a fork storm to a line of /metrics, to the nanosecond.
fn exact_figures(daemon: &Daemon) -> Outcome {
    let cgroup = Cgroup::new()?;
    let mut load = Load::prepare(22_100, &cgroup, &["fork-storm", "40"])?;
    let base_kernel = cgroup.settled_cpu_ns()?;
    let series = "uidmeter_cpu_seconds_total{uid=\"22100\",user=\"22100\"}";
    let base = nanos(&sample(daemon, series)?)?;
    load.go()?;
    load.end()?;
    let kernel = cgroup.settled_cpu_ns()? - base_kernel;
    let ours = nanos(&sample(daemon, series)?)? - base;
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
    let resident = resident_kb(&daemon)?;
    if resident >= 20_000 {
        return Err(format!("{resident} kB are resident").into());
    }
    daemon.end(Signal::SIGTERM)?;
    Ok(())
}

/// Becomes an ordinary user, and can still do all that it must: visit all tasks again and again, which begins an iterator and
/// writes maps.
pub(crate) fn gives_up_privileges() -> Outcome {
    let daemon = Daemon::start(&["--memory-interval", "1s"])?;
    thread::sleep(Duration::from_secs(3));
    let age: f64 = sample(&daemon, "uidmeter_census_age_seconds")?.parse()?;
    if age > 2.5 {
        return Err(format!("the last walk over all tasks was {age} s ago").into());
    }
    for thread in fs::read_dir(format!("/proc/{}/task", daemon.child.id()))? {
        let status = fs::read_to_string(thread?.path().join("status"))?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
            line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        // Only CAP_PERFMON, which is number 38.
        let only = format!("{:016x}", 1_u64 << 38);
        let capabilities = ["CapPrm:", "CapEff:", "CapInh:", "CapAmb:", "CapBnd:"].map(|set| field(set).concat());
        if capabilities != [only.clone(), only, "0".repeat(16), "0".repeat(16), "0".repeat(16)] {
            return Err(format!("{}: capabilities {capabilities:?}", field("Name:").concat()).into());
        }
        let users = [field("Uid:"), field("Gid:"), field("Groups:")].concat();
        if users.iter().any(|id| id == "0") || field("NoNewPrivs:") != ["1"] {
            return Err(format!("still privileged:\n{status}").into());
        }
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
        ("task_walk", "iter/task", "1"),
        ("sched_switch", "tp_btf/sched_switch", "1"),
        ("tick", "perf_event/cpu-clock", "1"),
    ] {
        let series = format!("uidmeter_probe_active{{probe=\"{probe}\",hook=\"{hook}\"}}");
        let found = sample(&daemon, &series)?;
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
