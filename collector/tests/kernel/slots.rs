//! The life of a slot: taken back once its user is gone, given to another, and nothing is lost or inherited.

use std::time::Duration;

use collector::{
    snapshot::Owner,
    source::{
        Source as _,
        ebpf::{EbpfSource, Options},
    },
    units::Uid,
};

use crate::{
    Outcome,
    exact::{eprintln_figures, healthy},
    oracle::Cgroup,
    user::{Load, counters, options, read},
};

/// Users in each round.
const ROUND: u32 = 4;
/// Room for somewhat more than that and those who live here anyway.
const SLOTS: u32 = 24;
const ROUNDS: u32 = 12;

/// CPU time that `uid` uses now, as its cgroup says.
fn work(uid: u32) -> Result<u64, libtest_mimic::Failed> {
    let cgroup = Cgroup::new()?;
    let mut load = Load::prepare(uid, &cgroup, &["spin", "10"])?;
    let base = cgroup.settled_cpu_ns()?;
    load.go()?;
    load.await_line("done")?;
    load.end()?;
    Ok(cgroup.settled_cpu_ns()? - base)
}

/// Before the load begins, its process has used some time already; its cgroup knows, since it joins as root.
fn used(source: &mut EbpfSource, uid: u32) -> u64 {
    counters(source, uid).cpu.0
}

/// Long enough for any number of slots to come free, even while there are plenty.
fn settle(source: &mut EbpfSource) {
    for _ in 0..10 {
        source.maintain(Duration::ZERO);
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub(crate) fn recycling() -> Outcome {
    let mut source = EbpfSource::load(&Options { max_users: SLOTS, ..options() })?;
    let first = 21_700;
    let mut sums = Vec::new();
    for round in 0..ROUNDS {
        for uid in first + round * ROUND..first + (round + 1) * ROUND {
            let before = used(&mut source, uid);
            if before != 0 {
                return Err(format!("user {uid} was never here and has used {before} ns").into());
            }
            let kernel = work(uid)?;
            let ours = used(&mut source, uid);
            // The process becomes the user on its way; the first part of its life is root's.
            if ours < kernel || ours > kernel + 20_000_000 {
                return Err(format!("user {uid}: charged {ours} ns, the kernel says {kernel} ns").into());
            }
            sums.push((uid, ours));
        }
        settle(&mut source);
    }
    // Every user is remembered with all that he did, though there were never slots for all of them at a time.
    for (uid, before) in &sums {
        let now = used(&mut source, *uid);
        if now != *before {
            return Err(format!("user {uid} had used {before} ns, and now {now} ns").into());
        }
    }
    let snapshot = read(&mut source);
    if let Some(overflow) = snapshot.row(Owner::Overflow) {
        return Err(format!("there was always room, and yet {:?} overflowed", overflow.counters.cpu).into());
    }
    eprintln_figures("users through slots", u64::from(ROUNDS * ROUND), u64::from(source.user_slots()));
    // One who comes back goes on where he was.
    let (uid, before) = sums[0];
    let kernel = work(uid)?;
    let now = used(&mut source, uid);
    if now < before + kernel || now > before + kernel + 20_000_000 {
        return Err(format!("user {uid} came back: {before} ns, then {kernel} ns more, now {now} ns").into());
    }
    healthy(&mut source)
}

pub(crate) fn forgetting() -> Outcome {
    let mut source = EbpfSource::load(&Options { max_users: SLOTS, ..options() })?;
    let uid = 21_690;
    let cgroup = Cgroup::new()?;
    let sleeper = Load::prepare(uid, &cgroup, &["spin", "1"])?;
    // With few slots free, as here, a user without tasks loses his at the next chance; one who sleeps does not.
    let mut crowd = 0;
    while crowd < SLOTS {
        work(uid + 1 + crowd)?;
        crowd += 1;
    }
    settle(&mut source);
    if source.forget(Uid(uid)) {
        return Err("a user with a sleeping process was forgotten".into());
    }
    sleeper.end()?;
    settle(&mut source);
    let done = used(&mut source, uid);
    if done == 0 || !source.forget(Uid(uid)) {
        return Err(format!("a user without tasks, who used {done} ns, was not forgotten").into());
    }
    if read(&mut source).row(Owner::User(Uid(uid))).is_some() {
        return Err("a forgotten user has a row".into());
    }
    work(uid)?;
    let again = used(&mut source, uid);
    if again == 0 {
        return Err("a user who was forgotten is not seen again".into());
    }
    Ok(())
}
