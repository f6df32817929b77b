//! Sums: uidmeter's against the kernel's.

use std::{error::Error, fs, thread, time::Duration};

use collector::{
    snapshot::{Counters, Owner, Unattributed},
    source::{
        Source as _,
        ebpf::{EbpfSource, Options},
    },
    units::Nanos,
};

use crate::{
    Outcome,
    oracle::{Cgroup, TaskBooks, host_cpu_ns},
    refusal::doctored_btf,
    user::{Load, counters, load, options, read},
};

/// Runs a load that ends by itself; compares the CPU time of its users, `uid` and `others`, with that of its cgroup.
fn closed(uid: u32, others: &[u32], what: &[&str]) -> Outcome {
    let mut source = load()?;
    let cgroup = Cgroup::new()?;
    let mut running = Load::prepare(uid, &cgroup, what)?;
    let base_kernel = cgroup.settled_cpu_ns()?;
    let charged =
        |source: &mut EbpfSource| -> u64 { [uid].iter().chain(others).map(|uid| counters(source, *uid).cpu.0).sum() };
    let base = charged(&mut source);
    running.go()?;
    running.end()?;
    let kernel = cgroup.settled_cpu_ns()? - base_kernel;
    let ours = charged(&mut source) - base;
    eprintln_figures("CPU ns", ours, kernel);
    if kernel < 50_000_000 {
        return Err(format!("the load was too small to tell: {kernel} ns").into());
    }
    if ours.abs_diff(kernel) > cgroup.rounding_ns() {
        return Err(format!("charged {ours} ns, the kernel says {kernel} ns").into());
    }
    healthy(&mut source)
}

/// Nothing was lost, missed or clamped.
pub(crate) fn healthy(source: &mut EbpfSource) -> Outcome {
    let mut unattributed = read(source).unattributed;
    if unattributed.no_ledger <= MOST_BUSY && storage_can_be_busy()? {
        unattributed.no_ledger = 0;
    }
    if unattributed != Unattributed::default() {
        return Err(format!("something was not attributed: {unattributed:?}").into());
    }
    for probe in source.probes() {
        if (probe.needed && !probe.state.is_active()) || probe.runs.recursion_misses != 0 {
            return Err(format!("a probe was not well: {probe:?}").into());
        }
    }
    Ok(())
}

/// Lookups that may fail in one test where [`storage_can_be_busy`].
const MOST_BUSY: u64 = 10;

/// Whether this kernel refuses to look a ledger up on a CPU that is in the middle of looking one up, as up to Linux 6.1
/// (`bpf_task_storage_trylock` in `kernel/bpf/bpf_task_storage.c`, gone from lookups in 6.2). What was not drained then is
/// drained the next time, so sums stay exact.
fn storage_can_be_busy() -> Result<bool, Box<dyn Error>> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let mut numbers = release.split('.').map(|number| number.parse::<u32>().unwrap_or(0));
    Ok((numbers.next(), numbers.next()) < (Some(6), Some(2)))
}

pub(crate) fn eprintln_figures(what: &str, ours: u64, kernel: u64) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "    {what}: {ours}, the kernel says {kernel}");
}

pub(crate) fn fork_storm() -> Outcome {
    closed(20_100, &[], &["fork-storm", "150"])
}

pub(crate) fn threads() -> Outcome {
    closed(20_200, &[], &["threads", "8"])
}

pub(crate) fn change_of_user() -> Outcome {
    closed(20_300, &[20_301], &["change-user", "20301", "150"])?;
    // Who gets how much: the change falls between two drains, at most one tick apart.
    let mut source = load()?;
    let cgroup = Cgroup::new()?;
    let mut running = Load::prepare(20_310, &cgroup, &["change-user", "20311", "300"])?;
    running.go()?;
    running.end()?;
    thread::sleep(Duration::from_millis(50));
    let (before, after) = (counters(&mut source, 20_310).cpu.0, counters(&mut source, 20_311).cpu.0);
    if before.min(after) == 0 || before > after + 100_000_000 + after / 2 {
        return Err(format!("one half took {before} ns, the other {after} ns").into());
    }
    Ok(())
}

/// While it runs, a hog's account may lag by one tick and the kernel's own 4 ms.
pub(crate) fn hog() -> Outcome {
    let mut source = load()?;
    let cgroup = Cgroup::new()?;
    let mut hog = Load::prepare(20_400, &cgroup, &["spin", "2000"])?;
    let base_kernel = cgroup.settled_cpu_ns()?;
    let base = counters(&mut source, 20_400).cpu.0;
    hog.go()?;
    for _ in 0..10 {
        thread::sleep(Duration::from_millis(150));
        let ours = counters(&mut source, 20_400).cpu.0 - base;
        let kernel = cgroup.cpu_ns()? - base_kernel;
        let allowed = 110_000_000 + kernel / 10_000;
        if ours > kernel + cgroup.rounding_ns() || kernel - ours.min(kernel) > allowed {
            return Err(format!("while running: charged {ours} ns, the kernel says {kernel} ns").into());
        }
    }
    hog.await_line("done")?;
    let kernel = cgroup.settled_cpu_ns()? - base_kernel;
    let ours = counters(&mut source, 20_400).cpu.0 - base;
    eprintln_figures("CPU ns", ours, kernel);
    if ours.abs_diff(kernel) > cgroup.rounding_ns() {
        return Err(format!("at rest: charged {ours} ns, the kernel says {kernel} ns").into());
    }
    hog.end()?;
    healthy(&mut source)
}

/// Six tasks that compete and are moved to and fro while they wait.
pub(crate) fn run_queue_wait() -> Outcome {
    let mut source = load()?;
    let cgroup = Cgroup::new()?;
    let mut loads = Vec::new();
    for _ in 0..6 {
        loads.push(Load::prepare(20_500, &cgroup, &["wander", "1500"])?);
    }
    let books = |loads: &[Load]| -> std::io::Result<TaskBooks> {
        let mut sum = TaskBooks::default();
        for load in loads {
            sum.add(&TaskBooks::of_process(load.pid())?);
        }
        Ok(sum)
    };
    cgroup.settled_cpu_ns()?;
    let base_kernel = books(&loads)?;
    let base = counters(&mut source, 20_500);
    for load in &mut loads {
        load.go()?;
    }
    for load in &mut loads {
        load.await_line("done")?;
    }
    cgroup.settled_cpu_ns()?;
    let kernel = books(&loads)?.since(&base_kernel);
    let ours = since(&counters(&mut source, 20_500), &base);
    eprintln_figures("wait ns", ours.wait_ns, kernel.wait_ns);
    eprintln_figures("waits", ours.timeslices, kernel.timeslices);
    if ours != kernel {
        return Err(format!("charged {ours:?}, the kernel says {kernel:?}").into());
    }
    if kernel.wait_ns < 1_000_000_000 {
        return Err(format!("they hardly competed: {kernel:?}").into());
    }
    healthy(&mut source)
}

fn since(now: &Counters, base: &Counters) -> TaskBooks {
    TaskBooks {
        wait_ns: now.wait.0 - base.wait.0,
        timeslices: now.latency.count() - base.latency.count(),
        voluntary_switches: now.voluntary_switches - base.voluntary_switches,
        involuntary_switches: now.involuntary_switches - base.involuntary_switches,
        minor_faults: now.minor_faults - base.minor_faults,
        major_faults: now.major_faults - base.major_faults,
    }
}

pub(crate) fn faults_and_switches() -> Outcome {
    let mut source = load()?;
    let cgroup = Cgroup::new()?;
    let mut running = Load::prepare(20_600, &cgroup, &["faults", "2000"])?;
    cgroup.settled_cpu_ns()?;
    let base_kernel = TaskBooks::of_process(running.pid())?;
    let base = counters(&mut source, 20_600);
    running.go()?;
    let usage = running.end_with_usage()?;
    cgroup.settled_cpu_ns()?;
    let ours = since(&counters(&mut source, 20_600), &base);
    let total = |value: libc::c_long| u64::try_from(value).unwrap_or(0);
    let minor = total(usage.ru_minflt) - base_kernel.minor_faults;
    let major = total(usage.ru_majflt) - base_kernel.major_faults;
    let switches = total(usage.ru_nvcsw) + total(usage.ru_nivcsw)
        - base_kernel.voluntary_switches
        - base_kernel.involuntary_switches;
    eprintln_figures("minor faults", ours.minor_faults, minor);
    if (ours.minor_faults, ours.major_faults) != (minor, major) || minor < 20_000 {
        return Err(format!("charged {ours:?}, getrusage says {minor} minor and {major} major faults").into());
    }
    // A process leaves the CPU for good after its parent may have collected it: one switch that getrusage can miss.
    let ours = ours.voluntary_switches + ours.involuntary_switches;
    if ours < switches || ours > switches + 1 || switches < 10 {
        return Err(format!("charged {ours} switches, getrusage says {switches}").into());
    }
    healthy(&mut source)
}

pub(crate) fn modes() -> Outcome {
    let mut source = load()?;
    for (uid, load, mostly_user) in [(20_700, "spin", true), (20_701, "system", false)] {
        let cgroup = Cgroup::new()?;
        let mut running = Load::prepare(uid, &cgroup, &[load, "600"])?;
        running.go()?;
        running.await_line("done")?;
        let used = counters(&mut source, uid);
        if used.user.0 + used.system.0 != used.cpu.0 {
            return Err(format!("{load}: {} + {} is not {}", used.user.0, used.system.0, used.cpu.0).into());
        }
        let (more, less) = if mostly_user { (used.user.0, used.system.0) } else { (used.system.0, used.user.0) };
        if more < less * 2 {
            return Err(format!("{load}: user {} ns, system {} ns", used.user.0, used.system.0).into());
        }
        running.end()?;
    }
    Ok(())
}

/// Every nanosecond of every task is some row's, and none of the idle tasks' is.
pub(crate) fn whole_host() -> Outcome {
    let mut source = load()?;
    // Loading has taken this process time, seconds on an emulated CPU, that the kernel's figure has already and that is charged
    // at its next switch: now.
    thread::sleep(Duration::from_millis(200));
    let Some(base_kernel) = host_cpu_ns()? else {
        // cgroup v2 alone has no figure to compare with; the other tests compare groups.
        return Ok(());
    };
    let all = |source: &mut EbpfSource| read(source).rows.iter().map(|row| row.counters.cpu.0).sum::<u64>();
    let base = all(&mut source);
    let cgroup = Cgroup::new()?;
    let mut running = Load::prepare(20_800, &cgroup, &["fork-storm", "60"])?;
    running.go()?;
    running.end()?;
    thread::sleep(Duration::from_secs(1));
    let ours = all(&mut source) - base;
    let kernel = host_cpu_ns()?.unwrap_or_default().saturating_sub(base_kernel);
    eprintln_figures("CPU ns of the host", ours, kernel);
    // Each CPU's running task is drained at the tick only, at both readings.
    let slack = 2 * 110_000_000 * u64::try_from(thread::available_parallelism()?.get()).unwrap_or(1);
    if ours.abs_diff(kernel) > slack {
        return Err(format!("charged {ours} ns, the kernel says {kernel} ns").into());
    }
    let kernel_threads = read(&mut source).row(Owner::Kernel).map_or(0, |row| row.counters.cpu.0);
    if kernel_threads == 0 {
        return Err("kernel threads were charged nothing".into());
    }
    healthy(&mut source)
}

/// Tasks that got no ledger at fork, as when the kernel has no memory for one, get it later and are charged from their birth.
pub(crate) fn late_ledger() -> Outcome {
    let uid = 20_900;
    // Without the probe that opens ledgers at fork, every new task is in this case.
    let btf = doctored_btf("btf_trace_task_newtask", "btf_trace_task_nowhere")?;
    let mut source = EbpfSource::load(&Options { btf: btf.path().into(), ..options() })?;
    let cgroup = Cgroup::new()?;
    let mut late = Load::prepare(uid, &cgroup, &["spin", "200"])?;
    late.go()?;
    late.await_line("done")?;
    if counters(&mut source, uid) != Counters::default() || read(&mut source).unattributed.no_ledger == 0 {
        return Err("a task without a ledger was charged, or not missed".into());
    }
    source.maintain(Duration::ZERO);
    // The end of the load is its next switch-out.
    let books = TaskBooks::of_process(late.pid())?;
    let before_end = cgroup.settled_cpu_ns()?;
    late.end()?;
    cgroup.settled_cpu_ns()?;
    let ours = counters(&mut source, uid);
    if ours.cpu.0 < before_end || ours.latency.count() <= books.timeslices || ours.minor_faults < books.minor_faults {
        return Err(format!("charged {ours:?}, the kernel says {before_end} ns and {books:?} before its end").into());
    }
    let longest = ours.latency.quantile(1.0).unwrap_or_default();
    if longest > ours.wait.max(Nanos(1_000)) {
        return Err(format!("one wait of {longest:?} among waits of {:?} in all", ours.wait).into());
    }
    Ok(())
}
