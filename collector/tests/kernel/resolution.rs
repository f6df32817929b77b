//! Time: how soon and how sharply load shows.

use std::{thread, time::Duration};

use crate::{
    Outcome,
    oracle::Cgroup,
    user::{Load, counters, load, options},
};

/// Time is the hog's own, as the kernel counts it: on a busy machine it gets its CPU late, and so do we.
pub(crate) fn hog() -> Outcome {
    let mut source = load()?;
    let two_ticks = 2 * u64::try_from(options().tick.as_nanos())?;
    let cgroup = Cgroup::new()?;
    let mut hog = Load::prepare(21_100, &cgroup, &["spin", "1000"])?;
    let base_kernel = cgroup.settled_cpu_ns()?;
    let base = counters(&mut source, 21_100).cpu;
    hog.go()?;
    loop {
        let used = cgroup.cpu_ns()? - base_kernel;
        // Waking up and reading the word that started it is less than a millisecond.
        if counters(&mut source, 21_100).cpu.0 > base.0 + 1_000_000 {
            break;
        }
        if used > two_ticks {
            return Err(format!("not seen after {used} ns on the CPU").into());
        }
        thread::sleep(Duration::from_millis(2));
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
