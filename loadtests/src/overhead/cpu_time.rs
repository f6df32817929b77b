//! Part 2: CPU time of one load that goes on, in windows with programs on and off by turns.
//!
//! Both windows of a pair follow each other at once, so that what a shared machine does to one it does to the other.
//! BPF statistics are off here: they take time themselves.

use std::time::Duration;

use anyhow::{Context as _, Result};
use collector::source::ebpf::{EbpfSource, Options};
use serde::Serialize;

use crate::{
    pipe::Pipe,
    reference::{CLASSIC, EMPTY, Reference},
    spread::Spread,
    table::Table,
    target::{Target, Verdict},
};

/// A quarter of a million switches.
const WINDOW: Duration = Duration::from_millis(250);
/// Windows are short, so that there can be many: pairs for each round of part 1.
const PAIRS_PER_ROUND: u32 = 4;
const TARGET: Target = Target { figure: "CPU time with uidmeter on against off", at_most: 1.03, unit: "times" };

/// What was found.
#[derive(Debug, Serialize)]
pub(super) struct CpuTime {
    uidmeter: Pairs,
    empty: Pairs,
    classic: Pairs,
    verdict: Verdict,
}

/// Nanoseconds of CPU time per context switch, one pair after the other.
#[derive(Debug, Default, Serialize)]
struct Pairs {
    off_ns: Vec<f64>,
    on_ns: Vec<f64>,
}

/// Measures pairs of each kind in turn.
pub(super) fn measure(pipe: &Pipe, reference: &mut Reference, options: &Options, rounds: u32) -> Result<CpuTime> {
    let load = pipe.start()?;
    let window = || load.ns_per_switch(WINDOW, pipe.interrupt());
    let mut with = |programs| {
        let _attached = reference.attach(programs)?;
        window()
    };
    let with_uidmeter = || {
        let _attached = EbpfSource::load(options)?;
        window()
    };
    let (mut uidmeter, mut empty, mut classic) = (Pairs::default(), Pairs::default(), Pairs::default());
    for number in 0..rounds * PAIRS_PER_ROUND {
        // Off comes first and last by turns: what drifts on the way hits both alike.
        let off_first = number % 2 == 0;
        uidmeter.measure(off_first, window, with_uidmeter)?;
        empty.measure(off_first, window, || with(EMPTY))?;
        classic.measure(off_first, window, || with(CLASSIC))?;
    }
    let ratio = uidmeter.ratio().context("no pair was measured")?;
    Ok(CpuTime { uidmeter, empty, classic, verdict: TARGET.judge(ratio.median) })
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
        self.off_ns.push(off);
        self.on_ns.push(on);
        Ok(())
    }

    /// On against off, pair by pair.
    fn ratio(&self) -> Option<Spread> {
        Spread::of(self.on_ns.iter().zip(&self.off_ns).map(|(on, off)| on / off))
    }
}

impl CpuTime {
    pub(super) fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    pub(super) fn table(&self) -> Table<7> {
        let mut table =
            Table::new(["set", "off, ns/switch", "on, ns/switch", "on/off", "min–max", "target", "verdict"]);
        let sets =
            [("uidmeter", &self.uidmeter, true), ("empty", &self.empty, false), ("classic", &self.classic, false)];
        for (set, pairs, has_target) in sets {
            let text = |spread: Option<Spread>, how: fn(Spread) -> String| spread.map_or_else(String::new, how);
            let ns = |ns: &[f64]| text(Spread::of(ns.iter().copied()), |ns| format!("{:.0}", ns.median));
            let [target, verdict] = if has_target {
                [TARGET.to_string(), self.verdict.word().into()]
            } else {
                [String::new(), String::new()]
            };
            table.row([
                set.into(),
                ns(&pairs.off_ns),
                ns(&pairs.on_ns),
                text(pairs.ratio(), |ratio| format!("{:.3}", ratio.median)),
                text(pairs.ratio(), |ratio| format!("{:.3}", ratio.range())),
                target,
                verdict,
            ]);
        }
        table
    }

    pub(super) fn heading(&self) -> String {
        format!(
            "2. CPU time of `perf bench sched pipe`, on against off: {} pairs each of {} ms windows",
            self.uidmeter.on_ns.len(),
            WINDOW.as_millis()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::Pairs;
    use crate::spread::Spread;
    use anyhow::Result;
    use std::cell::RefCell;

    #[test]
    fn ratios_are_taken_within_pairs() {
        // The machine got twice as slow in between; the ratio does not notice.
        let pairs = Pairs { off_ns: vec![1.0, 2.0], on_ns: vec![1.5, 3.0] };
        assert_eq!(pairs.ratio(), Spread::of([1.5]));
    }

    #[test]
    fn either_order_files_each_figure_under_its_own_name() -> Result<()> {
        for (off_first, expected) in [(true, "off on "), (false, "on off ")] {
            let order = RefCell::new(String::new());
            let run = |name: &str, ns| {
                *order.borrow_mut() += name;
                Ok(ns)
            };
            let mut pairs = Pairs::default();
            pairs.measure(off_first, || run("off ", 1.0), || run("on ", 2.0))?;
            assert_eq!((pairs.off_ns, pairs.on_ns), (vec![1.0], vec![2.0]));
            assert_eq!(order.into_inner(), expected);
        }
        Ok(())
    }
}
