//! Part 2: CPU time of the same work with programs on and off, in pairs that follow each other at once.
//!
//! BPF statistics are off here: they take time themselves.

use std::{path::Path, time::Duration};

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::{
    daemon::Daemon,
    pipe::{Pipe, Placement, SWITCHES_PER_LOOP},
    reference::{CLASSIC, EMPTY, Reference},
    spread::Spread,
    table::Table,
    target::{Target, Verdict},
};

const LENGTH: Duration = Duration::from_millis(700);
const TARGET: Target = Target { figure: "CPU time with uidmeter on against off", at_most: 1.03, unit: "times" };

/// What was found.
#[derive(Debug, Serialize)]
pub(super) struct CpuTime {
    sets: Vec<Set>,
    verdict: Verdict,
}

/// What is switched on and off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
enum Watcher {
    Uidmeter,
    Empty,
    Classic,
}

/// One row of the table: what watches which load.
#[derive(Debug, Serialize)]
struct Set {
    watcher: Watcher,
    placement: Placement,
    loops: u32,
    pairs: Pairs,
}

/// The first one has the target. On one CPU a switch costs least, so watching costs most in proportion, and the figures
/// spread least; where the scheduler is free, waking another CPU costs many times as much as all programs together.
const SETS: [(Watcher, Placement); 5] = [
    (Watcher::Uidmeter, Placement::OneCpu),
    (Watcher::Empty, Placement::OneCpu),
    (Watcher::Classic, Placement::OneCpu),
    (Watcher::Uidmeter, Placement::Free),
    (Watcher::Classic, Placement::Free),
];

/// Seconds of CPU time, one pair after the other.
#[derive(Debug, Default, Serialize)]
struct Pairs {
    off_seconds: Vec<f64>,
    on_seconds: Vec<f64>,
}

/// Measures pairs of each kind in turn.
pub(super) fn measure(pipe: &Pipe, reference: &mut Reference, daemon: &Path, pairs: u32) -> Result<CpuTime> {
    let mut sets: Vec<Set> = SETS
        .into_iter()
        .map(|(watcher, placement)| Set {
            watcher,
            placement,
            loops: pipe.loops(LENGTH, placement),
            pairs: Pairs::default(),
        })
        .collect();
    for number in 0..pairs {
        for set in &mut sets {
            let run = || Ok(pipe.run(set.loops, set.placement)?.as_secs_f64());
            let watched = || match set.watcher {
                Watcher::Uidmeter => {
                    let mut daemon = Daemon::start(daemon, pipe.interrupt())?;
                    let seconds = run()?;
                    daemon.check()?;
                    Ok(seconds)
                }
                Watcher::Empty | Watcher::Classic => {
                    let _attached = reference.attach(if set.watcher == Watcher::Empty { EMPTY } else { CLASSIC })?;
                    run()
                }
            };
            // Off comes first and last by turns: what drifts on the way hits both alike.
            set.pairs.measure(number % 2 == 0, run, watched)?;
        }
    }
    let ratio = sets.first().and_then(|set| set.pairs.ratio()).context("no pair was measured")?;
    Ok(CpuTime { sets, verdict: TARGET.judge(ratio.median) })
}

impl Pairs {
    fn measure(
        &mut self,
        off_first: bool,
        off: impl FnOnce() -> Result<f64>,
        on: impl FnOnce() -> Result<f64>,
    ) -> Result<()> {
        let (off, on) = if off_first {
            let off = off()?;
            (off, on()?)
        } else {
            let on = on()?;
            (off()?, on)
        };
        self.off_seconds.push(off);
        self.on_seconds.push(on);
        Ok(())
    }

    /// On against off, pair by pair.
    fn ratio(&self) -> Option<Spread> {
        Spread::of(self.on_seconds.iter().zip(&self.off_seconds).map(|(on, off)| on / off))
    }
}

/// Nanoseconds of CPU time per context switch, all of it: the kernel's, the program's and what is measured.
fn ns_per_switch(seconds: &[f64], loops: u32) -> Option<f64> {
    let switches = f64::from(loops) * f64::from(SWITCHES_PER_LOOP);
    Some(Spread::of(seconds.iter().copied())?.median * 1e9 / switches)
}

impl CpuTime {
    pub(super) fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    pub(super) fn table(&self) -> Table<7> {
        let mut table =
            Table::new(["set", "off, ns/switch", "on, ns/switch", "on/off", "min–max", "target", "verdict"]);
        for (number, Set { watcher, placement, loops, pairs }) in self.sets.iter().enumerate() {
            let ns = |seconds| ns_per_switch(seconds, *loops).map_or_else(String::new, |ns| format!("{ns:.0}"));
            let ratio = pairs.ratio();
            let text = |how: fn(Spread) -> String| ratio.map_or_else(String::new, how);
            let watcher = match watcher {
                Watcher::Uidmeter => "uidmeter run",
                Watcher::Empty => "empty",
                Watcher::Classic => "classic",
            };
            let place = match placement {
                Placement::Free => ", on any CPU",
                Placement::OneCpu => ", on one CPU",
            };
            let [target, verdict] = if number == 0 {
                [TARGET.to_string(), self.verdict.word().into()]
            } else {
                [String::new(), String::new()]
            };
            table.row([
                format!("{watcher}{place}"),
                ns(&pairs.off_seconds),
                ns(&pairs.on_seconds),
                text(|ratio| format!("{:.3}", ratio.median)),
                text(|ratio| format!("{:.3}", ratio.range())),
                target,
                verdict,
            ]);
        }
        table
    }

    pub(super) fn heading(&self) -> String {
        let pairs = self.sets.first().map_or(0, |set| set.pairs.on_seconds.len());
        format!("2. CPU time of `perf bench sched pipe`, on against off: {pairs} pairs each")
    }
}

#[cfg(test)]
mod tests {
    use super::{Pairs, ns_per_switch};
    use crate::spread::Spread;
    use anyhow::Result;
    use std::cell::RefCell;

    #[test]
    fn ratios_are_taken_within_pairs() {
        // The machine got twice as slow in between; the ratio does not notice.
        let pairs = Pairs { off_seconds: vec![1.0, 2.0], on_seconds: vec![1.5, 3.0] };
        assert_eq!(pairs.ratio(), Spread::of([1.5]));
    }

    #[test]
    fn a_loop_is_two_switches() {
        assert_eq!(ns_per_switch(&[1.0], 500_000), Some(1000.0));
    }

    #[test]
    fn either_order_files_each_time_under_its_own_name() -> Result<()> {
        for (off_first, expected) in [(true, "off on "), (false, "on off ")] {
            let order = RefCell::new(String::new());
            let run = |name: &str, seconds| {
                *order.borrow_mut() += name;
                Ok(seconds)
            };
            let mut pairs = Pairs::default();
            pairs.measure(off_first, || run("off ", 1.0), || run("on ", 2.0))?;
            assert_eq!((pairs.off_seconds, pairs.on_seconds), (vec![1.0], vec![2.0]));
            assert_eq!(order.into_inner(), expected);
        }
        Ok(())
    }
}
