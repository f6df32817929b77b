//! Ways in which users of a machine without systemd have escaped others' limits: by forking, by logging in later, by another
//! name, by a name that is a part of somebody else's, by emptying their group.

use std::{fs, io, path::PathBuf, thread, time::Duration};

use crate::{
    Outcome, Tests,
    harm::SECONDS,
    people::{ANN, JOANNA, MALLORY, Person},
    rig::Rig,
    traces::{ROOT, group_of, limits_of, read},
};

pub(crate) const TESTS: Tests = &[
    ("no_process_escapes_by_forking_while_the_limit_is_applied", storm),
    ("who_logs_in_later_is_limited_too", later),
    ("who_was_moved_is_not_told_as_out_of_reach", within_reach),
    ("a_program_that_calls_itself_sshd_is_limited", renamed),
    ("a_name_that_contains_another_is_somebody_else", similar),
    ("a_group_that_vanishes_is_made_again", vanished),
];

fn policy(who: &str) -> String {
    format!(
        r#"
[users]
grace = "0s"
[[rule]]
name = "hog"
min_limited = "1s"
{who}
[rule.when]
user_cpu = {{ above = 0.5, for = "1s", release_below = 0.1, release_for = "2s" }}
[[rule.step]]
cpu_max = 0.4
"#
    )
}

/// Processes of a user that are not in his group, by their own account. Who has ended meanwhile is nowhere.
fn outside(person: Person) -> io::Result<Vec<(i32, String)>> {
    let group = group_of(person).display().to_string();
    let group = group.strip_prefix(ROOT).unwrap_or_default();
    let mut found = Vec::new();
    for pid in person.processes()? {
        let Some(text) = read(&PathBuf::from(format!("/proc/{pid}/cgroup")))? else { continue };
        let Some(path) = text.lines().find_map(|line| line.strip_prefix("0::")) else { continue };
        if path != group && !path.starts_with(&format!("{group}/")) {
            found.push((pid, path.to_owned()));
        }
    }
    Ok(found)
}

/// Waits until nobody is outside of the group.
fn until_inside(rig: &Rig, person: Person) -> io::Result<()> {
    rig.until(&format!("some process of {} was not moved", person.name), || Ok(outside(person)?.is_empty()))?;
    Ok(())
}

/// Processes are born faster than they can be listed. Whoever was moved bears children inside, so once all are inside, none is ever
/// outside again.
fn storm() -> Outcome {
    let rig = Rig::start(&policy(""))?;
    let mut storm = MALLORY.runs(&["storm", SECONDS, "6"])?;
    rig.until_limited(MALLORY)?;
    until_inside(&rig, MALLORY)?;
    let mut seen = 0;
    for _ in 0..40 {
        let escaped = outside(MALLORY)?;
        if !escaped.is_empty() {
            return Err(rig.complaint(&format!("outside of the group are {escaped:?}")).into());
        }
        seen += fs::read_to_string(group_of(MALLORY).join("cgroup.procs"))?.lines().count();
        thread::sleep(Duration::from_millis(50));
    }
    if seen < 40 {
        return Err(format!("{seen} processes in 40 looks: that is no storm").into());
    }
    storm.stop()?;
    rig.until_restored()?;
    rig.end()?;
    Ok(())
}

fn later() -> Outcome {
    let rig = Rig::start(&policy(""))?;
    let mut first = MALLORY.runs(&["spin", SECONDS, "2"])?;
    rig.until_limited(MALLORY)?;
    until_inside(&rig, MALLORY)?;
    let mut second = MALLORY.runs(&["wake", SECONDS, "0"])?;
    until_inside(&rig, MALLORY)?;
    let here = MALLORY.loads()?.len();
    if here != 2 {
        return Err(format!("{here} processes run, and should be 2").into());
    }
    first.stop()?;
    second.stop()?;
    rig.until_restored()?;
    rig.end()?;
    Ok(())
}

/// Without systemd nobody has a slice: the group of the limit is what counts.
fn within_reach() -> Outcome {
    let rig = Rig::start(&policy(""))?;
    let mut hog = MALLORY.runs(&["spin", SECONDS, "2"])?;
    rig.until_limited(MALLORY)?;
    until_inside(&rig, MALLORY)?;
    // Longer than the daemon looks back.
    thread::sleep(Duration::from_secs(3));
    let told = rig.figures()?.of("uidmeter_limit_unenforceable_cores", MALLORY)?;
    if told > 0.05 {
        return Err(rig.complaint(&format!("{told} CPUs are told as out of reach, and all are limited")).into());
    }
    hog.stop()?;
    rig.end()?;
    Ok(())
}

fn renamed() -> Outcome {
    let rig = Rig::start(&policy(""))?;
    let mut hog = MALLORY.runs_here("sshd", &["spin", SECONDS, "2"])?;
    rig.until_limited(MALLORY)?;
    until_inside(&rig, MALLORY)?;
    hog.stop()?;
    rig.until_restored()?;
    rig.end()?;
    Ok(())
}

/// The rule is for ann; joanna does the same.
fn similar() -> Outcome {
    let rig = Rig::start(&policy("users = [\"ann\"]"))?;
    let mut other = JOANNA.runs(&["spin", SECONDS, "1"])?;
    let mut hog = ANN.runs(&["spin", SECONDS, "1"])?;
    rig.until_limited(ANN)?;
    // As long again as the rule took for the one.
    thread::sleep(Duration::from_secs(5));
    let limits = limits_of(&group_of(JOANNA))?;
    if !limits.is_empty() || group_of(JOANNA).exists() {
        return Err(rig.complaint(&format!("joanna has a group with {limits:?} because of ann")).into());
    }
    other.stop()?;
    hog.stop()?;
    rig.until_restored()?;
    rig.end()?;
    Ok(())
}

/// All of a user's processes end, and somebody removes the empty group before the daemon does.
fn vanished() -> Outcome {
    let rig = Rig::start(&policy(""))?;
    for _ in 0..2 {
        let mut hog = MALLORY.runs(&["spin", SECONDS, "2"])?;
        rig.until_limited(MALLORY)?;
        until_inside(&rig, MALLORY)?;
        hog.stop()?;
        rig.until("the group could not be removed", || {
            Ok(fs::remove_dir(group_of(MALLORY)).is_ok() || !group_of(MALLORY).exists())
        })?;
    }
    rig.until_restored()?;
    rig.end()?;
    Ok(())
}
