//! Time: how soon and how sharply load shows.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::{
    Outcome,
    oracle::Cgroup,
    user::{Load, counters, load, options},
};

/// What a busy machine may add: the load must first get a CPU, and so must we.
const SLACK: Duration = Duration::from_millis(100);

pub(crate) fn hog() -> Outcome {
    let mut source = load()?;
    let tick = options().tick;
    let cgroup = Cgroup::new()?;
    let mut hog = Load::prepare(21_100, &cgroup, &["spin", "1000"])?;
    let base = counters(&mut source, 21_100).cpu;
    let started = Instant::now();
    hog.go()?;
    while counters(&mut source, 21_100).cpu.0 < base.0 + 1_000_000 {
        if started.elapsed() > 2 * tick + SLACK {
            return Err(format!("not seen after {:?}", started.elapsed()).into());
        }
        thread::sleep(Duration::from_millis(5));
    }
    hog.await_line("done")?;
    Ok(hog.end()?)
}

pub(crate) fn burst() -> Outcome {
    let mut source = load()?;
    let cgroup = Cgroup::new()?;
    let mut burst = Load::prepare(21_200, &cgroup, &["spin", "50"])?;
    let base_kernel = cgroup.settled_cpu_ns()?;
    let base = counters(&mut source, 21_200).cpu.0;
    burst.go()?;
    burst.await_line("done")?;
    // The first reading after the burst has all of it.
    let ours = counters(&mut source, 21_200).cpu.0 - base;
    let kernel = cgroup.settled_cpu_ns()? - base_kernel;
    if ours.abs_diff(kernel) > cgroup.rounding_ns() || ours < 10_000_000 {
        return Err(format!("saw {ours} ns of a burst of {kernel} ns").into());
    }
    Ok(burst.end()?)
}
