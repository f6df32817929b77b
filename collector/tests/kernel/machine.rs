//! Tests that change the whole machine: only where the machine was made for them (see `cargo xtask vm-test`).

use std::{fs, io, thread, time::Duration};

use collector::{
    snapshot::Owner,
    source::{Source as _, ebpf::EbpfSource},
    units::Uid,
};
use nix::sys::signal::Signal;

use crate::{
    Outcome,
    exact::{eprintln_figures, healthy},
    memory::killed_for,
    oracle::Cgroup,
    user::{Load, counters, load, read},
};

/// Whether this machine ends with the suite: its kernel was started with the suite's own word.
pub(crate) fn is_ours() -> bool {
    fs::read_to_string("/proc/cmdline").is_ok_and(|line| line.contains("uidmeter.mode="))
}

const SECOND_CPU: &str = "/sys/devices/system/cpu/cpu1/online";

/// A CPU goes and comes back: nothing is lost, and who runs on it is seen at each tick again.
pub(crate) fn hotplug() -> Outcome {
    let uid = 21_900;
    let mut source = load()?;
    let cgroup = Cgroup::new()?;
    let mut hog = Load::prepare(uid, &cgroup, &["spin-on", "1", "6000"])?;
    let base_kernel = cgroup.settled_cpu_ns()?;
    let base = counters(&mut source, uid).cpu.0;
    hog.go()?;
    thread::sleep(Duration::from_millis(500));
    fs::write(SECOND_CPU, "0")?;
    source.maintain(Duration::from_mins(10));
    lags_little(&mut source, &cgroup, uid, base, base_kernel)?;
    fs::write(SECOND_CPU, "1")?;
    source.maintain(Duration::from_mins(10));
    // Bound to it before, the task may use any CPU since its own went away.
    hog.await_line("done")?;
    let kernel = cgroup.settled_cpu_ns()? - base_kernel;
    let ours = counters(&mut source, uid).cpu.0 - base;
    eprintln_figures("CPU ns", ours, kernel);
    if ours.abs_diff(kernel) > cgroup.rounding_ns() {
        return Err(format!("at rest: charged {ours} ns, the kernel says {kernel} ns").into());
    }
    hog.end()?;
    let cgroup = Cgroup::new()?;
    let mut hog = Load::prepare(uid + 1, &cgroup, &["spin-on", "1", "3000"])?;
    let base_kernel = cgroup.settled_cpu_ns()?;
    let base = counters(&mut source, uid + 1).cpu.0;
    hog.go()?;
    lags_little(&mut source, &cgroup, uid + 1, base, base_kernel)?;
    hog.await_line("done")?;
    hog.end()?;
    healthy(&mut source)
}

/// While somebody runs without a pause, his account stays within three ticks of the kernel's: emulated CPUs are slow.
fn lags_little(source: &mut EbpfSource, cgroup: &Cgroup, uid: u32, base: u64, base_kernel: u64) -> Outcome {
    for _ in 0..6 {
        thread::sleep(Duration::from_millis(250));
        let ours = counters(source, uid).cpu.0 - base;
        let kernel = cgroup.cpu_ns()? - base_kernel;
        if kernel.saturating_sub(ours) > 300_000_000 {
            return Err(format!("while running: charged {ours} ns, the kernel says {kernel} ns").into());
        }
    }
    Ok(())
}

/// Sum of the lines of `/proc/vmstat` that begin with `key`.
fn vmstat(key: &str) -> io::Result<u64> {
    let text = fs::read_to_string("/proc/vmstat")?;
    Ok(text
        .lines()
        .filter(|line| line.starts_with(key))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
        .sum())
}

/// The whole machine runs out of memory: everybody who had to free some is told, and the one who was killed.
pub(crate) fn out_of_memory() -> Outcome {
    let (uid, other) = (21_910, 21_911);
    let mut source = load()?;
    let cgroup = Cgroup::new()?;
    let mut bystander = Load::prepare(other, &cgroup, &["spin", "1"])?;
    let mut load = Load::prepare(uid, &cgroup, &["devour"])?;
    let (stalls, kills) = (vmstat("allocstall_")?, vmstat("oom_kill ")?);
    load.go()?;
    let signal = load.killed_by()?;
    bystander.go()?;
    bystander.await_line("done")?;
    thread::sleep(Duration::from_millis(200));
    let (stalls, kills) = (vmstat("allocstall_")? - stalls, vmstat("oom_kill ")? - kills);
    if signal != Signal::SIGKILL as i32 || kills != 1 {
        return Err(format!("ended by signal {signal}; the machine counts {kills} kills").into());
    }
    let snapshot = read(&mut source);
    for row in &snapshot.rows {
        let expected = u64::from(row.owner == Owner::User(Uid(uid)));
        if row.counters.events.oom_kills != expected {
            return Err(format!("{:?} shows {} kills", row.owner, row.counters.events.oom_kills).into());
        }
    }
    let reclaims: u64 = snapshot.rows.iter().map(|row| row.counters.events.direct_reclaims).sum();
    let own = counters(&mut source, uid).events;
    killed_for(&source, &own, [0, 0, 1])?;
    let innocent = counters(&mut source, other).events;
    killed_for(&source, &innocent, [0; 3])?;
    eprintln_figures("direct reclaims", reclaims, stalls);
    // The kernel counts a stall each time that it begins anew within one reclaim (do_try_to_free_pages, mm/vmscan.c).
    if reclaims == 0 || reclaims > stalls || own.direct_reclaims == 0 || own.direct_reclaim.0 == 0 {
        return Err(format!("{reclaims} reclaims, {own:?}; the kernel counts {stalls} stalls").into());
    }
    if reclaims < stalls / 2 {
        return Err(format!("{reclaims} reclaims, but {stalls} stalls").into());
    }
    bystander.end()?;
    healthy(&mut source)
}
