//! Reclaim and kills in a cgroup with a limit, against the group's own counters.

use std::{thread, time::Duration};

use collector::{
    snapshot::{Events, Owner},
    source::{Source as _, Subject, ebpf::EbpfSource},
    units::Uid,
};
use nix::sys::signal::Signal;

use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};

use crate::{
    Outcome,
    exact::{eprintln_figures, healthy},
    limited::LimitedGroup,
    oracle::Cgroup,
    user::{Load, counters, load, read},
};

const LIMIT: u64 = 32 << 20;
/// The kernel adds up pressure every two seconds, also for whoever reads it (`PSI_FREQ` and `psi_show` in kernel/sched/psi.c).
const PRESSURE: Duration = Duration::from_millis(2_200);

/// Whoever hits the limit of his group has to free memory first, each time.
pub(crate) fn group_reclaim() -> Outcome {
    let (uid, other) = (21_800, 21_801);
    let mut source = load()?;
    if !source.kept().has(Subject::Reclaim) {
        return Err("reclaim is not counted, which every supported kernel should allow".into());
    }
    let group = LimitedGroup::soft(LIMIT)?;
    let elsewhere = Cgroup::new()?;
    let mut bystander = Load::prepare(other, &elsewhere, &["faults", "100"])?;
    // The higher above a soft limit, the longer the kernel lets a task wait (mem_cgroup_handle_over_high, mm/memcontrol.c).
    let what: &[&str] = if group.is_v2() { &["hold", "8400", "0", "0"] } else { &["thrash", "16384", "2"] };
    let mut load = Load::prepare_in(uid, &group.procs(), what)?;
    // Pressure is an average over CPUs, weighted by how busy each is (collect_percpu_times, kernel/sched/psi.c): of one that
    // stays on its CPU it is the sum.
    let mut one = CpuSet::new();
    one.set(0)?;
    sched_setaffinity(Pid::from_raw(i32::try_from(load.pid())?), &one)?;
    let (hits, stalled) = (group.hits()?, group.stalled_ns());
    bystander.go()?;
    load.go()?;
    load.await_line("done")?;
    // It may have to wait once more on its way back from saying so.
    if stalled.is_some() {
        thread::sleep(PRESSURE);
    }
    let hits = group.hits()? - hits;
    let events = counters(&mut source, uid).events;
    eprintln_figures("reclaims", events.group_reclaims, hits);
    // cgroup v2 counts each time at which reclaim begins, but for charges that may not wait; v1 counts attempts to charge, of which
    // there are one or two before each reclaim (try_charge_memcg, mm/memcontrol.c).
    let least = if group.is_v2() { hits - hits / 10 } else { hits / 2 - hits / 10 };
    if events.group_reclaims < 10 || events.group_reclaims < least || events.group_reclaims > hits + hits / 10 {
        return Err(format!("{} reclaims, the limit was hit {hits} times", events.group_reclaims).into());
    }
    if events.group_reclaim.0 == 0 || events.group_reclaim.0 > 120_000_000_000 {
        return Err(format!("{} reclaims took {:?}", events.group_reclaims, events.group_reclaim).into());
    }
    stalls(&source, events.memory_stall.0, events.group_reclaim.0, stalled, group.stalled_ns())?;
    load.end()?;
    bystander.end()?;
    let innocent = counters(&mut source, other).events;
    if innocent.group_reclaims != 0 || innocent.oom_kills != 0 {
        return Err(format!("a user outside the group was charged {innocent:?}").into());
    }
    healthy(&mut source)
}

/// Stalls, where functions can be hooked, are what the group's own pressure says: one task at a time, so "some" is its time.
fn stalls(source: &EbpfSource, ours: u64, reclaim: u64, before: Option<u64>, after: Option<u64>) -> Outcome {
    if !is_told(source, Subject::MemoryStalls, &["memory_stall_end", "memory_stall_begin"])? {
        return Ok(());
    }
    if ours < reclaim {
        return Err(format!("stalled for {ours} ns, of which {reclaim} ns in reclaim").into());
    }
    if let (Some(before), Some(after)) = (before, after) {
        let kernel = after - before;
        eprintln_figures("stalled ns", ours, kernel);
        if ours.abs_diff(kernel) > kernel / 5 + 5_000_000 {
            return Err(format!("stalled for {ours} ns, the kernel says {kernel} ns").into());
        }
    }
    Ok(())
}

/// Whether `subject` is counted; if not, one of the `programs` that it takes must say why.
fn is_told(source: &EbpfSource, subject: Subject, programs: &[&str]) -> Result<bool, libtest_mimic::Failed> {
    let inactive = |name: &str| source.probes().iter().any(|probe| probe.name == name && !probe.state.is_active());
    match (source.kept().has(subject), programs.iter().any(|name| inactive(name))) {
        (true, false) => Ok(true),
        (false, true) => Ok(false),
        (told, _) => Err(format!("{subject:?}: counted {told}, which is not what {programs:?} say").into()),
    }
}

/// Kills by whose limit was reached: the slice's, another cgroup's, the host's. All zero where that is not told.
pub(crate) fn killed_for(source: &EbpfSource, events: &Events, limits: [u64; 3]) -> Outcome {
    let expected =
        if is_told(source, Subject::OomLimits, &["out_of_memory", "mark_oom_victim"])? { limits } else { [0; 3] };
    let found = [events.oom_kills_slice, events.oom_kills_group, events.oom_kills_host];
    if found == expected { Ok(()) } else { Err(format!("kills by limit {found:?}, expected {expected:?}").into()) }
}

/// The limit of a user's slice is his own for him, and any cgroup's for who else is in it.
pub(crate) fn slice_kill() -> Outcome {
    let (uid, guest) = (21_820, 21_821);
    let mut source = load()?;
    let slice = LimitedGroup::slice_of(uid, LIMIT)?;
    for (kills, victim) in [(1, uid), (2, guest)] {
        let mut load = Load::prepare_in(victim, &slice.procs(), &["devour"])?;
        load.go()?;
        let signal = load.killed_by()?;
        if signal != Signal::SIGKILL as i32 || slice.kills()? != kills {
            return Err(format!("ended by signal {signal}; the slice counts {} kills", slice.kills()?).into());
        }
    }
    thread::sleep(Duration::from_millis(50));
    let (own, other) = (counters(&mut source, uid).events, counters(&mut source, guest).events);
    if own.oom_kills != 1 || other.oom_kills != 1 {
        return Err(format!("{} and {} kills", own.oom_kills, other.oom_kills).into());
    }
    killed_for(&source, &own, [1, 0, 0])?;
    killed_for(&source, &other, [0, 1, 0])?;
    healthy(&mut source)
}

pub(crate) fn group_kill() -> Outcome {
    let (uid, other) = (21_810, 21_811);
    let mut source = load()?;
    let group = LimitedGroup::hard(LIMIT)?;
    let elsewhere = Cgroup::new()?;
    let mut bystander = Load::prepare(other, &elsewhere, &["faults", "100"])?;
    let mut load = Load::prepare_in(uid, &group.procs(), &["devour"])?;
    bystander.go()?;
    load.go()?;
    let signal = load.killed_by()?;
    bystander.end()?;
    thread::sleep(Duration::from_millis(50));
    let kernel = group.kills()?;
    if signal != Signal::SIGKILL as i32 || kernel != 1 {
        return Err(format!("ended by signal {signal}; the group counts {kernel} kills").into());
    }
    for row in &read(&mut source).rows {
        let expected = u64::from(row.owner == Owner::User(Uid(uid)));
        if row.counters.events.oom_kills != expected {
            return Err(format!("{:?} shows {} kills", row.owner, row.counters.events.oom_kills).into());
        }
    }
    let events = counters(&mut source, uid).events;
    killed_for(&source, &events, [0, 1, 0])?;
    let innocent = counters(&mut source, other).events;
    killed_for(&source, &innocent, [0; 3])?;
    if events.exits != 1 {
        return Err(format!("one process ended, counted are {}", events.exits).into());
    }
    healthy(&mut source)
}
