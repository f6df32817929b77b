//! A limit on memory that nobody can die of: never below what is in use.

use std::{
    io, thread,
    time::{Duration, Instant},
};

use crate::{
    Outcome, Tests,
    harm::SECONDS,
    people::{MALLORY, VICTOR},
    rig::{PATIENCE, Rig},
    traces::{group_of, limits_of},
};

pub(crate) const TESTS: Tests = &[("memory_is_limited_above_what_is_in_use_and_nobody_stands_still", never_below_use)];

/// What the hog holds all the time.
const HELD_MIB: u64 = 200;
const MARGIN_MIB: u64 = 32;

/// The steps ask for far less than what is in use.
const POLICY: &str = r#"
[users]
grace = "0s"
[floors]
memory = "16MiB"
memory_margin = "32MiB"
[[rule]]
name = "memory"
min_limited = "1s"
step_after = "1s"
[rule.when]
user_memory = { above = "128MiB", for = "1s", release_below = "64MiB", release_for = "1s" }
[[rule.step]]
memory_high = "96MiB"
[[rule.step]]
memory_high = "32MiB"
"#;

/// CPU time of both users so far: it grows as long as they get anywhere.
fn cpu(rig: &Rig) -> io::Result<(f64, f64)> {
    let figures = rig.figures()?;
    let of = |person| figures.of("uidmeter_cpu_seconds_total", person);
    Ok((of(MALLORY)?, of(VICTOR)?))
}

/// Waits until the hog holds all that it will ever hold.
fn until_full() -> Outcome {
    let deadline = Instant::now() + PATIENCE;
    while MALLORY.resident()? < HELD_MIB << 20 {
        if Instant::now() > deadline {
            return Err(format!("the hog holds {} bytes only", MALLORY.resident()?).into());
        }
        thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

fn never_below_use() -> Outcome {
    let mut hog = MALLORY.runs(&["hold", SECONDS, &HELD_MIB.to_string()])?;
    until_full()?;
    let rig = Rig::start(POLICY)?;
    let mut other = VICTOR.runs(&["wake", SECONDS, "0"])?;
    rig.until_limited(MALLORY)?;
    // Long enough for both steps, twice.
    for _ in 0..8 {
        let before = cpu(&rig)?;
        thread::sleep(Duration::from_secs(1));
        let limits = limits_of(&group_of(MALLORY))?;
        let high: Option<u64> = limits.get("memory.high").and_then(|text| text.parse().ok());
        if high.is_none_or(|high| high < (HELD_MIB + MARGIN_MIB) << 20) {
            let what = format!("{HELD_MIB} MiB are in use, {MARGIN_MIB} MiB are to be left, and there is {limits:?}");
            return Err(rig.complaint(&what).into());
        }
        let now = cpu(&rig)?;
        if now.0 <= before.0 || now.1 <= before.1 {
            return Err(format!("somebody stands still: CPU time was {before:?} and is {now:?}").into());
        }
    }
    hog.stop()?;
    other.stop()?;
    rig.until_restored()?;
    rig.end()?;
    Ok(())
}
