//! Known numbers of processes and threads.

use collector::snapshot::Events;

use crate::{
    Outcome,
    exact::healthy,
    oracle::Cgroup,
    user::{Load, counters, load},
};

/// What `uid` did while it ran `what`.
fn of(uid: u32, what: &[&str]) -> Result<Events, libtest_mimic::Failed> {
    let mut source = load()?;
    let cgroup = Cgroup::new()?;
    let mut running = Load::prepare(uid, &cgroup, what)?;
    let base = counters(&mut source, uid).events;
    if base != Events::default() {
        return Err(format!("events before anything happened: {base:?}").into());
    }
    running.go()?;
    running.await_line("done")?;
    let events = counters(&mut source, uid).events;
    running.end()?;
    let ended = counters(&mut source, uid).events;
    if ended.exits != events.exits + 1 {
        return Err(format!("the end of the process itself is missing: {events:?}, {ended:?}").into());
    }
    healthy(&mut source)?;
    Ok(events)
}

pub(crate) fn counts() -> Outcome {
    let events = of(21_300, &["lifecycle", "30", "7"])?;
    let expected = Events { forks: 30, execs: 30, exits: 30, thread_starts: 7, ..Events::default() };
    if events != expected {
        return Err(format!("counted {events:?}, there were {expected:?}").into());
    }
    Ok(())
}

/// The thread becomes the process: the old leader ends, the process does not.
pub(crate) fn thread_executes() -> Outcome {
    let events = of(21_400, &["exec-from-thread"])?;
    let expected = Events { forks: 1, execs: 2, exits: 1, thread_starts: 1, ..Events::default() };
    if events != expected {
        return Err(format!("counted {events:?}, there were {expected:?}").into());
    }
    Ok(())
}
