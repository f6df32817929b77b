//! Whoever dies, by whatever signal, nobody stays limited.

use std::{io, thread, time::Duration};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    Outcome, Tests,
    harm::SECONDS,
    people::{Load, MALLORY},
    rig::{PATIENCE, Rig},
    support::end_of,
    traces::{Traces, group_of, limits_of},
};

pub(crate) const TESTS: Tests = &[
    ("a_daemon_that_is_killed_takes_its_limits_with_it", daemon_killed),
    ("an_enforcer_that_is_killed_leaves_nobody_limited", enforcer_killed),
    ("release_undoes_what_both_left_and_changes_nothing_when_repeated", both_killed_release),
    ("the_next_start_undoes_what_both_left", both_killed_start),
    ("a_second_instance_neither_limits_nor_releases", second_instance),
    ("sigterm_gives_everything_back_within_seconds", terminated),
];

/// On a real machine this takes milliseconds; systemd's own limit is 90 s.
const SECONDS_TO_END: Duration = Duration::from_secs(10);

/// Whoever uses much is limited at once, for as long as he does.
const POLICY: &str = r#"
[users]
grace = "0s"
[[rule]]
name = "hog"
min_limited = "1s"
[rule.when]
user_cpu = { above = 1.2, for = "1s", release_below = 0.2, release_for = "2s" }
[[rule.step]]
cpu_weight = 20
cpu_max = 0.8
"#;

/// A daemon, a hog, and a limit that is in force.
fn limited() -> io::Result<(Rig, Load)> {
    let rig = Rig::start(POLICY)?;
    let hog = MALLORY.runs(&["spin", SECONDS, "4"])?;
    rig.until_limited(MALLORY)?;
    Ok((rig, hog))
}

/// Kills processes at one moment: none of them sees the other's end.
fn kill_together(processes: &[Pid]) -> io::Result<()> {
    for signal in [Signal::SIGSTOP, Signal::SIGKILL] {
        for process in processes {
            kill(*process, signal)?;
        }
    }
    Ok(())
}

fn daemon_killed() -> Outcome {
    let (mut rig, mut hog) = limited()?;
    let (daemon, _) = rig.processes()?;
    kill(daemon, Signal::SIGKILL)?;
    rig.reap()?;
    rig.until_restored()?;
    Ok(hog.stop()?)
}

/// The daemon cannot know what is limited any more: it ends, its service manager starts it anew, and that gives everything back.
fn enforcer_killed() -> Outcome {
    let (mut rig, mut hog) = limited()?;
    let (_, enforcer) = rig.processes()?;
    kill(enforcer, Signal::SIGKILL)?;
    rig.until_failed()?;
    hog.stop()?;
    rig.start_again()?;
    rig.until_restored()?;
    rig.end()?;
    Ok(())
}

/// Both die at once while somebody is limited; he still is, which the test stands on.
fn abandoned() -> Result<(Rig, Load), libtest_mimic::Failed> {
    let (mut rig, hog) = limited()?;
    let (daemon, enforcer) = rig.processes()?;
    kill_together(&[daemon, enforcer])?;
    rig.reap()?;
    if limits_of(&group_of(MALLORY))?.is_empty() {
        return Err("nobody is limited after both were killed, so there is nothing to undo".into());
    }
    Ok((rig, hog))
}

fn both_killed_release() -> Outcome {
    let (rig, mut hog) = abandoned()?;
    let first = rig.release()?;
    rig.until_restored()?;
    let before = Traces::now()?;
    let second = rig.release()?;
    let now = Traces::now()?;
    hog.stop()?;
    if before != now {
        return Err(format!("a second release changed: {}", before.difference(&now)).into());
    }
    if !first.contains(&MALLORY.uid.to_string()) || second.contains(&MALLORY.uid.to_string()) {
        return Err(format!("the first release said {first:?}, the second one {second:?}").into());
    }
    Ok(())
}

fn both_killed_start() -> Outcome {
    let (mut rig, mut hog) = abandoned()?;
    hog.stop()?;
    rig.start_again()?;
    rig.until_restored()?;
    rig.end()?;
    Ok(())
}

fn second_instance() -> Outcome {
    let (rig, mut hog) = limited()?;
    let before = limits_of(&group_of(MALLORY))?;
    let mut second = rig.second()?;
    // It may end with an error, or go on without limiting anybody.
    let ended = end_of(&mut second, Duration::from_secs(12))?;
    if ended.is_some_and(|status| status.success()) {
        return Err(rig.complaint("the second instance has ended as if all were well").into());
    }
    let during = limits_of(&group_of(MALLORY))?;
    if ended.is_none() {
        kill(Pid::from_raw(second.id().try_into()?), Signal::SIGTERM)?;
        end_of(&mut second, PATIENCE)?.ok_or("the second instance does not end")?;
    }
    thread::sleep(Duration::from_secs(1));
    let after = limits_of(&group_of(MALLORY))?;
    if before != during || before != after {
        return Err(rig.complaint(&format!("limits were {before:?}, then {during:?}, then {after:?}")).into());
    }
    rig.end()?;
    Ok(hog.stop()?)
}

fn terminated() -> Outcome {
    let (rig, mut hog) = limited()?;
    let took = rig.end()?;
    hog.stop()?;
    if took > SECONDS_TO_END {
        return Err(format!("the daemon took {took:?} to end while somebody was limited").into());
    }
    Ok(())
}
