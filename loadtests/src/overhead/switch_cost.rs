//! Part 1: nanoseconds per context switch, from the kernel's own BPF statistics.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use collector::source::ebpf::{EbpfSource, Options};
use serde::Serialize;

use super::cost::{self, ProgramCost, Round, SetCost};
use crate::{
    pipe::Pipe,
    program::{self, Program, Runs},
    reference::{CLASSIC, EMPTY, Reference},
    spread::Spread,
    table::Table,
    target::{Target, Verdict},
};

/// Half a second is half a million switches: more would only blur which round was disturbed.
const LENGTH: Duration = Duration::from_millis(500);
const TARGET: Target = Target { figure: "uidmeter per context switch", at_most: 40.0, unit: "ns" };

/// What was found.
#[derive(Debug, Serialize)]
pub(super) struct SwitchCost {
    loops: u32,
    rounds: u32,
    empty_ns_per_run: Spread,
    uidmeter: SetCost,
    classic: SetCost,
    verdict: Verdict,
}

/// Measures each set of programs once in each round.
pub(super) fn measure(pipe: &Pipe, reference: &mut Reference, options: &Options, rounds: u32) -> Result<SwitchCost> {
    let _statistics = program::switch_on()?;
    let loops = pipe.loops(LENGTH);
    let (mut empty, mut uidmeter, mut classic) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let attached = reference.attach(EMPTY)?;
        empty.push(observe(&attached.programs, pipe, loops)?);
        drop(attached);
        let source = EbpfSource::load(options)?;
        uidmeter.push(observe(&source.program_fds()?, pipe, loops)?);
        drop(source);
        let attached = reference.attach(CLASSIC)?;
        classic.push(observe(&attached.programs, pipe, loops)?);
    }
    let each_empty = cost::ns_per_run(&empty);
    let uidmeter = cost::of_set(&uidmeter, "sched_switch", &each_empty);
    let net = uidmeter.net_ns_per_switch.context("uidmeter's sched_switch never ran")?;
    Ok(SwitchCost {
        loops,
        rounds,
        empty_ns_per_run: Spread::of(each_empty.iter().copied()).context("no round was measured")?,
        uidmeter,
        classic: cost::of_set(&classic, "classic_switch", &each_empty),
        verdict: TARGET.judge(net.median),
    })
}

/// What `programs` do while the load runs.
fn observe(programs: &[Program], pipe: &Pipe, loops: u32) -> Result<Round> {
    let all = || programs.iter().map(|(_, fd)| Runs::of(fd)).collect::<Result<Vec<_>>>();
    let before = all()?;
    pipe.run(loops)?;
    let differences = all()?.into_iter().zip(before).map(|(after, before)| after - before);
    let round: Round = programs.iter().map(|(name, _)| *name).zip(differences).collect();
    ensure!(
        round.iter().any(|(_, runs)| runs.count >= u64::from(loops)),
        "the kernel counted hardly any run of {:?}: is another program in their way?",
        programs.iter().map(|(name, _)| name).collect::<Vec<_>>()
    );
    Ok(round)
}

impl SwitchCost {
    pub(super) fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    pub(super) fn table(&self) -> Table<8> {
        let mut table =
            Table::new(["set", "program", "runs", "ns/run", "min–max", "net ns/switch", "target", "verdict"]);
        let empty = self.empty_ns_per_run;
        let mut row = |cells: [&str; 2], runs: String, cost: [String; 3], end: [String; 2]| {
            let [set, program] = cells.map(str::to_owned);
            let [each, range, net] = cost;
            let [target, verdict] = end;
            table.row([set, program, runs, each, range, net, target, verdict]);
        };
        let nothing = || [String::new(), String::new()];
        row(
            ["empty", "empty_switch"],
            String::new(),
            [format!("{:.1}", empty.median), empty.range().to_string(), "0 by definition".into()],
            nothing(),
        );
        let sets = [("uidmeter", &self.uidmeter, true), ("classic", &self.classic, false)];
        for (set, cost, has_target) in sets {
            for ProgramCost { program, runs, ns_per_run, net_ns_per_switch } in &cost.programs {
                let [each, range] = median_and_range(*ns_per_run);
                let [net, _] = median_and_range(*net_ns_per_switch);
                row([set, program], runs.to_string(), [each, range, net], nothing());
            }
            let [net, range] = median_and_range(cost.net_ns_per_switch);
            let end = if has_target { [TARGET.to_string(), self.verdict.word().into()] } else { nothing() };
            row([set, "all, net of empty"], String::new(), [String::new(), range, net], end);
        }
        table
    }

    pub(super) fn heading(&self) -> String {
        format!(
            "1. Time per context switch, from the kernel's BPF statistics: {} rounds of `perf bench sched pipe -l {}`",
            self.rounds, self.loops
        )
    }
}

fn median_and_range(spread: Option<Spread>) -> [String; 2] {
    spread.map_or(["-".into(), String::new()], |spread| [format!("{:.1}", spread.median), spread.range().to_string()])
}
