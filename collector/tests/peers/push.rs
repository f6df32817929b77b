//! The daemon sends to a Prometheus that is away for a while, and is restarted meanwhile: killed, or ended in order.

use std::{
    collections::HashMap,
    error::Error,
    fs,
    os::unix::fs::PermissionsExt as _,
    thread,
    time::{Duration, Instant, SystemTime},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    Outcome,
    daemon::{Daemon, end_of},
    prometheus::{Prometheus, Release, V2_42, V2_53, V3, is},
};

/// Time between readings, in milliseconds.
const INTERVAL: i64 = 1_000;
/// How long the receivers are away: where somebody waits for the result, for as long as it takes to see that nothing is lost.
fn away() -> Duration {
    let hurry = std::env::var("CI").is_ok_and(|value| value == "true");
    if hurry { Duration::from_secs(12) } else { Duration::from_mins(1) }
}

struct Case {
    name: &'static str,
    release: Release,
    protocol: &'static str,
    histograms: &'static str,
    /// How the daemon ends while the receiver is away.
    signal: Signal,
}

const CASES: [Case; 4] = [
    Case { name: "a", release: V2_42, protocol: "1.0", histograms: "classic", signal: Signal::SIGKILL },
    Case { name: "b", release: V2_53, protocol: "1.0", histograms: "classic", signal: Signal::SIGTERM },
    Case { name: "c", release: V3, protocol: "1.0", histograms: "classic", signal: Signal::SIGTERM },
    Case { name: "d", release: V3, protocol: "2.0", histograms: "both", signal: Signal::SIGKILL },
];

/// Takes what is sent, and scrapes nobody. Native histograms are a feature in all of these releases.
const FLAGS: [&str; 2] = ["--web.enable-remote-write-receiver", "--enable-feature=native-histograms"];

fn now() -> Result<i64, Box<dyn Error>> {
    Ok(i64::try_from(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_millis())?)
}

impl Case {
    fn start(&self, folder: &tempfile::TempDir, receiver: &Prometheus) -> Result<Daemon, Box<dyn Error>> {
        let flag = |name: &str, value: &str| format!("--push.{name}={value}");
        let arguments = [
            flag("url", &format!("http://{}/api/v1/write", receiver.address)),
            flag("interval", "1s"),
            flag("protocol", self.protocol),
            flag("histograms", self.histograms),
            flag("instance", self.name),
            flag("label", "site=north"),
            flag("queue-folder", &folder.path().join(self.name).display().to_string()),
            "--kernel-memory=1MiB".to_owned(),
            format!("--limits.control-socket={}", folder.path().join(format!("{}.sock", self.name)).display()),
        ];
        Ok(Daemon::start(&arguments.iter().map(String::as_str).collect::<Vec<_>>())?)
    }
}

/// Ends the daemon with `signal`, however it ends then.
fn stop(mut daemon: Daemon, signal: Signal) -> Outcome {
    kill(Pid::from_raw(i32::try_from(daemon.child.id())?), signal)?;
    end_of(&mut daemon.child, Duration::from_secs(20))?.ok_or_else(|| format!("has not ended 20 s after {signal}"))?;
    Ok(())
}

/// A moment at which no reading was possible: the daemon was being restarted, or has not begun yet.
struct Pause {
    from: i64,
    to: i64,
}

#[test]
fn a_receiver_that_was_away_misses_nothing_though_the_daemon_was_restarted() -> Outcome {
    let folder = tempfile::tempdir()?;
    // The daemon becomes somebody else, who has to get there.
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
    let mut receivers = Vec::new();
    for case in &CASES {
        receivers.push(Prometheus::start(case.release, &FLAGS, "")?);
    }
    let mut daemons = Vec::new();
    for (case, receiver) in CASES.iter().zip(&receivers) {
        receiver.await_ready()?;
        daemons.push(case.start(&folder, receiver)?);
    }
    for receiver in &receivers {
        receiver.await_query("count(uidmeter_build_info{job='uidmeter',site='north'})", is(1.0))?;
    }
    let begun = now()? + INTERVAL;
    thread::sleep(Duration::from_secs(3));
    for receiver in &mut receivers {
        receiver.kill()?;
    }
    let (gone, away) = (Instant::now(), away());
    thread::sleep(away / 3);
    let mut pauses = HashMap::new();
    let mut again = Vec::new();
    for ((case, receiver), daemon) in CASES.iter().zip(&receivers).zip(daemons) {
        let from = now()?;
        stop(daemon, case.signal)?;
        again.push(case.start(&folder, receiver)?);
        // A reading may have been under way, and the first one comes at the next moment.
        pauses.insert(case.name, Pause { from: from - 200, to: now()? + INTERVAL });
    }
    thread::sleep(away.saturating_sub(gone.elapsed()).max(Duration::from_secs(3)));
    for receiver in &mut receivers {
        receiver.start_again()?;
    }
    let back = now()?;
    for (case, receiver) in CASES.iter().zip(&receivers) {
        let latest = format!("timestamp(uidmeter_build_info) * 1000 > {}", back + 3 * INTERVAL);
        receiver.await_query(&latest, |_| true)?;
        let ended = back + 2 * INTERVAL;
        let moments = receiver.moments("uidmeter_users[5m]")?;
        assert_complete(case, &moments, begun, ended, &pauses[case.name])?;
        // Nothing was refused, and both restarts of a counter are seen.
        receiver.await_query("sum(uidmeter_push_samples_dropped_total)", is(0.0))?;
        receiver.await_query("count(uidmeter_cpu_seconds_total{uid='0',instance!='',job='uidmeter'}) > 0", |_| true)?;
        let bound = "sum(rate(uidmeter_run_queue_latency_seconds_bucket{le='+Inf'}[1m])) > 0";
        receiver.await_query(bound, |_| true)?;
        if case.histograms == "both" {
            let native = "histogram_count(sum(rate(uidmeter_run_queue_latency_seconds[1m]))) / ";
            receiver.await_query(&format!("{native} {}", bound.trim_end_matches(" > 0")), |ratio| {
                (ratio - 1.0).abs() < 0.05
            })?;
        }
    }
    // In order, everything is marked as ended: nothing is there a moment later.
    for (daemon, receiver) in again.into_iter().zip(&receivers) {
        stop(daemon, Signal::SIGTERM)?;
        receiver.await_query("absent(uidmeter_users)", is(1.0))?;
    }
    Ok(())
}

/// Every moment from `begun` to `ended` is there but for those of the pause.
fn assert_complete(case: &Case, moments: &[i64], begun: i64, ended: i64, pause: &Pause) -> Outcome {
    let first = *moments.first().ok_or("nothing")?;
    let missing: Vec<i64> = (0..)
        .map(|step| first + step * INTERVAL)
        .skip_while(|moment| *moment < begun)
        .take_while(|moment| *moment <= ended)
        .filter(|moment| !moments.contains(moment) && !(pause.from..=pause.to).contains(moment))
        .collect();
    if !missing.is_empty() {
        return Err(format!("{} ({}): {missing:?} are missing in {moments:?}", case.release.name, case.protocol).into());
    }
    Ok(())
}
