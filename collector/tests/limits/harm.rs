//! Two users on two CPUs: one with 16 threads that never sleep, and one who wakes every 5 ms and waits for a CPU because of them.

use std::{
    io,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;

use crate::{
    Outcome, Tests,
    figures::{Figures, Waits},
    people::{MALLORY, VICTOR, has_systemd},
    rig::Rig,
    support::Daemon,
    traces::{group_of, limits_of, read},
};

pub(crate) const TESTS: Tests = &[("the_offender_is_limited_alone_until_the_victim_no_longer_waits", harm)];

/// Longer than any test takes.
pub(crate) const SECONDS: &str = "900";

/// Wakes every 5 ms and works for one: enough to lose the precedence that the scheduler gives to who hardly runs.
const VICTIM: &[&str] = &["wake", SECONDS, "1000"];

/// Where people log in, the kernel lets their sessions compete rather than their threads (`sched_autogroup`, `sched(7)`), so there the
/// same harm takes as many sessions.
fn offender() -> [&'static str; 3] {
    [if has_systemd() { "crowd" } else { "spin" }, SECONDS, "16"]
}

/// Long enough for some hundred waits, of which one in a hundred decides.
const WINDOW: Duration = Duration::from_secs(3);

/// Within this time after the first write the victim must be well: 3 s on a real machine. Here both CPUs share one thread of the host,
/// so that each gets half of a second at most, and the offender's threads are throttled at their next tick only.
const RELIEF: Duration = Duration::from_secs(6);

/// What the offender is left, in CPUs: a whole one, so that a CPU that the host takes away for a moment shortens his time least.
const LIMIT: f64 = 1.0;

/// How far from the limit the offender's use may settle: the kernel gives out time in slices of 5 ms
/// (`sched_cfs_bandwidth_slice_us`), and each of two CPUs may keep one.
const TOLERANCE: f64 = 0.05;

fn waits(page: io::Result<Figures>) -> io::Result<Waits> {
    Ok(page?.waits(VICTOR.uid))
}

/// The bound under which 99 of 100 waits of the victim are, over a window.
fn p99(window: Duration, page: impl Fn() -> io::Result<Figures>) -> io::Result<f64> {
    let before = waits(page())?;
    thread::sleep(window);
    waits(page())?.p99_since(&before).ok_or_else(|| io::Error::other("the victim did not wait once"))
}

/// How long the victim waits alone and together with the offender, as bounds that are a power of two apart.
fn calibrate() -> Result<(f64, f64), libtest_mimic::Failed> {
    let daemon = Daemon::start(&[])?;
    let page = || Ok(Figures::new(daemon.get("/metrics")?.1));
    let mut victim = VICTOR.runs(VICTIM)?;
    let alone = p99(WINDOW, page)?;
    let mut offender = MALLORY.runs(&offender())?;
    let harmed = p99(WINDOW, page)?;
    offender.stop()?;
    victim.stop()?;
    daemon.end(Signal::SIGTERM)?;
    Ok((alone, harmed))
}

/// How long an emulated CPU makes its user wait differs from host to host, and from one minute to the next if the host is busy with
/// other things. So the threshold is measured first: a quarter of the bound of what the victim waits when he is harmed, since that
/// bound is up to twice too high and one long wait among fifty may double it; and twice what he waits alone, at least.
fn threshold() -> Result<f64, libtest_mimic::Failed> {
    let mut seen = Vec::new();
    for _ in 0..4 {
        let (alone, harmed) = calibrate()?;
        if harmed >= 8.0 * alone {
            return Ok(harmed / 4.0);
        }
        seen.push((alone, harmed));
    }
    Err(format!("the offender does not harm the victim: 99 of 100 waits are under (alone, together) {seen:?} s").into())
}

fn policy(threshold: f64) -> String {
    format!(
        r#"
[users]
grace = "0s"
[[rule]]
name = "harm"
min_limited = "5s"
relax_after = "5s"
[rule.when]
victim_wait_p99 = {{ above = "{micros}us", for = "1s", release_for = "2s" }}
user_cpu = {{ above = 1.2, for = "1s", release_below = 0.5, release_for = "2s" }}
[[rule.step]]
cpu_weight = 20
cpu_max = {LIMIT:.1}
"#,
        micros = (threshold * 1e6).round()
    )
}

/// Where the victim's processes are.
fn places_of_victim() -> io::Result<Vec<Option<String>>> {
    VICTOR.loads()?.into_iter().map(|pid| read(&PathBuf::from(format!("/proc/{pid}/cgroup")))).collect()
}

fn harm() -> Outcome {
    let threshold = threshold()?;
    let rig = Rig::start(&policy(threshold))?;
    let mut victim = VICTOR.runs(VICTIM)?;
    let places = places_of_victim()?;
    let mut offender = MALLORY.runs(&offender())?;
    let limited = rig.until_touched(MALLORY)?;
    let well = relief(&rig, threshold)?;
    if well - limited > RELIEF {
        return Err(format!("the victim was well after {:?} only", well - limited).into());
    }
    stays("the offender's CPUs", &rig, || {
        let cpu = || rig.figures()?.of("uidmeter_cpu_seconds_total", MALLORY);
        let (before, start) = (cpu()?, Instant::now());
        thread::sleep(WINDOW);
        let used = (cpu()? - before) / start.elapsed().as_secs_f64();
        Ok((used, (used / LIMIT - 1.0).abs() <= TOLERANCE))
    })?;
    stays("the bound of 99 of 100 of the victim's waits", &rig, || {
        let bound = p99(WINDOW, || rig.figures())?;
        Ok((bound, bound <= threshold))
    })?;
    if !limits_of(&group_of(VICTOR))?.is_empty() || places_of_victim()? != places {
        return Err(format!("the victim was touched: {:?}", limits_of(&group_of(VICTOR))?).into());
    }
    offender.stop()?;
    rig.until_restored()?;
    let audit = rig.audit();
    if audit.lines().any(|line| line.contains(&VICTOR.uid.to_string())) || !audit.contains(&MALLORY.uid.to_string()) {
        return Err(format!("the audit log must tell of {} alone:\n{audit}", MALLORY.name).into());
    }
    victim.stop()?;
    rig.end()?;
    Ok(())
}

/// When a second is over in which the victim was well. Seconds overlap, so that one long wait spoils one of them at most.
fn relief(rig: &Rig, threshold: f64) -> io::Result<Instant> {
    let mut readings = vec![(Instant::now(), waits(rig.figures())?)];
    rig.until(&format!("99 of 100 waits of the victim did not fall under {threshold} s"), || {
        let (now, latest) = (Instant::now(), waits(rig.figures())?);
        let earlier = readings.iter().rev().find(|(at, _)| now - *at >= Duration::from_secs(1));
        let well = earlier.is_some_and(|(_, base)| latest.p99_since(base).is_some_and(|p99| p99 <= threshold));
        readings.push((now, latest));
        Ok(well)
    })
}

/// Waits until a figure is good in two windows, one after the other. One in which the host had no time for the machine proves nothing.
fn stays(what: &str, rig: &Rig, mut figure: impl FnMut() -> io::Result<(f64, bool)>) -> Outcome {
    let (mut seen, mut good) = (Vec::new(), 0);
    for _ in 0..12 {
        let (value, is_good) = figure()?;
        seen.push(value);
        good = if is_good { good + 1 } else { 0 };
        if good == 2 {
            return Ok(());
        }
    }
    Err(rig.complaint(&format!("{what}, one window after the other, were {seen:.4?}")).into())
}
