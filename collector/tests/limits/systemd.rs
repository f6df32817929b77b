//! systemd is the first process: limits are asked of it over D-Bus, and it and its administrators have their own ideas.

use std::{
    fs, io,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use crate::{
    Outcome, Tests,
    harm::SECONDS,
    people::{ANN, Load, MALLORY},
    rig::Rig,
    traces::{group_of, limits_of},
};

pub(crate) const TESTS: Tests = &[
    ("a_login_makes_a_session_in_the_users_slice", login),
    ("a_limit_survives_daemon_reload", reload),
    ("a_limit_is_there_again_after_logout_and_login", logout),
    ("work_outside_of_the_slice_is_told_as_out_of_reach", out_of_reach),
    ("an_administrator_who_reverts_is_not_fought", revert),
    ("an_administrator_who_sets_a_value_keeps_it", set_property),
];

/// Who is limited stays so for a while, whatever he does.
pub(crate) const POLICY: &str = r#"
[users]
grace = "0s"
[[rule]]
name = "hog"
min_limited = "60s"
[rule.when]
user_cpu = { above = 1.2, for = "1s", release_below = 0.2, release_for = "2s" }
[[rule.step]]
cpu_weight = 20
cpu_max = 0.8
"#;

/// Several times as long as the daemon's interval: what it wants to do again it has done by then.
const A_WHILE: Duration = Duration::from_secs(6);

/// What all other tests here stand on.
fn login() -> Outcome {
    let mut load = ANN.runs(&["wake", "60", "0"])?;
    let slice = format!("/user.slice/user-{}.slice/session-", ANN.uid);
    for pid in ANN.loads()? {
        let group = fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
        if !group.trim().strip_prefix("0::").is_some_and(|path| path.starts_with(&slice)) {
            return Err(format!("a process that {} started at login is in {group:?}", ANN.name).into());
        }
    }
    Ok(load.stop()?)
}

fn limited() -> io::Result<(Rig, Load)> {
    let rig = Rig::start(POLICY)?;
    let hog = MALLORY.runs(&["spin", SECONDS, "4"])?;
    rig.until_limited(MALLORY)?;
    Ok((rig, hog))
}

/// Runs systemctl as an administrator does.
pub(crate) fn systemctl(words: &[&str]) -> io::Result<()> {
    let output = Command::new("systemctl").args(words).output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("systemctl {words:?}: {}", String::from_utf8_lossy(&output.stderr))))
}

fn slice() -> String {
    format!("user-{}.slice", MALLORY.uid)
}

fn reload() -> Outcome {
    let (rig, mut hog) = limited()?;
    thread::sleep(Duration::from_secs(1));
    let before = limits_of(&group_of(MALLORY))?;
    systemctl(&["daemon-reload"])?;
    let after = limits_of(&group_of(MALLORY))?;
    if before != after {
        return Err(format!("limits were {before:?} and are {after:?} after daemon-reload").into());
    }
    hog.stop()?;
    rig.end()?;
    Ok(())
}

fn logout() -> Outcome {
    let (rig, mut hog) = limited()?;
    let before = limits_of(&group_of(MALLORY))?;
    hog.stop()?;
    rig.until("the slice did not go after logout", || Ok(!group_of(MALLORY).exists()))?;
    let mut harmless = MALLORY.runs(&["wake", SECONDS, "0"])?;
    rig.until("the limit did not come back after login", || Ok(limits_of(&group_of(MALLORY))? == before))?;
    harmless.stop()?;
    rig.end()?;
    Ok(())
}

/// One hog in a session, and one in the service of these tests, as cron or sudo would have it.
fn out_of_reach() -> Outcome {
    let (rig, mut hog) = limited()?;
    let mut other = MALLORY.runs_here("load", &["spin", SECONDS, "1"])?;
    let told = || rig.figures()?.of("uidmeter_limit_unenforceable_cores", MALLORY);
    rig.until("work outside of the slice was not told", || Ok(told()? > 0.3))?;
    other.stop()?;
    hog.stop()?;
    rig.end()?;
    Ok(())
}

/// The limits are taken away by somebody who may: they stay away, and nothing is left at the end.
fn revert() -> Outcome {
    let (rig, mut hog) = limited()?;
    systemctl(&["revert", &slice()])?;
    let deadline = Instant::now() + A_WHILE;
    while Instant::now() < deadline {
        let limits = limits_of(&group_of(MALLORY))?;
        if !limits.is_empty() {
            return Err(rig.complaint(&format!("the slice was reverted, and then had {limits:?} again")).into());
        }
        thread::sleep(Duration::from_millis(200));
    }
    hog.stop()?;
    rig.end()?;
    Ok(())
}

/// Somebody who may sets another value: it stays, even after the daemon's end.
fn set_property() -> Outcome {
    let (mut rig, mut hog) = limited()?;
    systemctl(&["set-property", "--runtime", &slice(), "CPUQuota=170%"])?;
    thread::sleep(A_WHILE);
    let during = limits_of(&group_of(MALLORY))?;
    rig.stop()?;
    let after = limits_of(&group_of(MALLORY))?;
    hog.stop()?;
    systemctl(&["revert", &slice()])?;
    for (when, limits) in [("while the daemon ran", during), ("after its end", after)] {
        if limits.get("cpu.max").map(String::as_str) != Some("170000 100000") {
            return Err(format!("the administrator's CPUQuota=170% became {limits:?} {when}").into());
        }
    }
    Ok(())
}
