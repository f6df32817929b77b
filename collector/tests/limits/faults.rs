//! Daemon and enforcer are killed, on either machine: nothing stays limited.

use std::{
    io,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use collector::{
    enforce::client::{Client, ClientError},
    limits::Property,
    units::Uid,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    Outcome, Tests,
    cgroupfs::{applied, enforcer, executable, folder, limits, options, order, tree},
    people::MALLORY,
};

pub(crate) const TESTS: Tests = &[
    ("a_limit_ends_with_its_daemon", daemon),
    ("a_killed_enforcer_is_cleaned_up_after_by_the_next_and_by_release", killed),
    ("a_limit_that_nobody_renews_ends", lease),
    ("of_two_enforcers_one_acts", two),
];

/// Everything that can be set on this machine, in a moment at which nothing is limited.
type Tree = Vec<(PathBuf, String)>;

/// Waits until nothing is limited.
fn is_as_before(before: &Tree) -> Outcome {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let now = tree()?;
        if now == *before {
            return Ok(());
        }
        if Instant::now() > deadline {
            let differs: Vec<_> = now.iter().filter(|line| !before.contains(line)).collect();
            return Err(format!("still limited: {differs:?}").into());
        }
        thread::sleep(Duration::from_millis(100));
    }
}

fn is_limited(group: &Path) -> Outcome {
    let quota = std::fs::read_to_string(group.join("cpu.max"))?;
    if quota.trim() == "50000 100000" { Ok(()) } else { Err(format!("cpu.max is {quota:?}").into()) }
}

/// The kernel closes the sockets of whoever is killed.
fn daemon() -> Outcome {
    let mut load = MALLORY.runs(&["wake", "300", "0"])?;
    let before = tree()?;
    let mut client = Client::spawn(&enforcer(&folder("daemon")?, 600)?)?;
    is_limited(&applied(client.set(&order(MALLORY))?)?)?;
    drop(client);
    is_as_before(&before)?;
    Ok(load.stop()?)
}

fn killed() -> Outcome {
    let mut load = MALLORY.runs(&["wake", "300", "0"])?;
    let before = tree()?;
    let folder = folder("killed")?;
    let limit_and_kill = || -> Outcome {
        let mut client = Client::spawn(&enforcer(&folder, 600)?)?;
        is_as_before(&before)?;
        let group = applied(client.set(&order(MALLORY))?)?;
        kill(Pid::from_raw(i32::try_from(client.pid())?), Signal::SIGKILL)?;
        match client.clear(Uid(MALLORY.uid)) {
            Err(ClientError::Ended) => is_limited(&group),
            other => Err(format!("{other:?}").into()),
        }
    };
    for _ in 0..3 {
        limit_and_kill()?;
    }
    let release = || -> io::Result<String> {
        let output = Command::new(executable()).arg("release").args(options(&folder)).output()?;
        Ok(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    for expected in [format!("released user {}\n", MALLORY.uid), "nothing to release\n".to_owned()] {
        let said = release()?;
        if said != expected {
            return Err(format!("release said {said:?} instead of {expected:?}").into());
        }
        is_as_before(&before)?;
    }
    Ok(load.stop()?)
}

fn lease() -> Outcome {
    let mut load = MALLORY.runs(&["wake", "300", "0"])?;
    let before = tree()?;
    let mut client = Client::spawn(&enforcer(&folder("lease")?, 5)?)?;
    let group = applied(client.set(&order(MALLORY))?)?;
    for _ in 0..8 {
        thread::sleep(Duration::from_secs(1));
        let lost = client.renew(Some(&[Uid(MALLORY.uid)]))?;
        if !lost.users.is_empty() {
            return Err(format!("{lost:?}").into());
        }
    }
    is_limited(&group)?;
    is_as_before(&before)?;
    let status = client.status()?;
    if status.limited > 0 {
        return Err(format!("{status:?}").into());
    }
    Ok(load.stop()?)
}

fn two() -> Outcome {
    let folder = folder("two")?;
    let mut first = Client::spawn(&enforcer(&folder, 60)?)?;
    match Client::spawn(&enforcer(&folder, 60)?) {
        Err(ClientError::NotStarted(why)) if why.starts_with("another enforcer") => {}
        other => return Err(format!("{other:?}").into()),
    }
    let mut load = MALLORY.runs(&["wake", "300", "0"])?;
    applied(first.set(&order(MALLORY))?)?;
    let status = first.status()?;
    let wanted = limits();
    let is_there = |(uid, found): &(Uid, collector::limits::Limits)| {
        let same = |property: &Property| found.get(*property) == wanted.get(*property);
        *uid == Uid(MALLORY.uid) && [Property::CpuMax, Property::CpuWeight, Property::MemoryHigh].iter().all(same)
    };
    if !status.users.iter().any(is_there) {
        return Err(format!("{status:?}").into());
    }
    first.clear_all()?;
    Ok(load.stop()?)
}
