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
    empty: SetCost,
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
        empty: cost::of_set(&empty, "empty_switch", &each_empty),
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

    pub(super) fn table(&self) -> Table<9> {
        let header = ["set", "program", "runs", "ns/run", "min–max", "net ns/switch", "min–max", "target", "verdict"];
        let mut table = Table::new(header);
        let sets = [("empty", &self.empty), ("uidmeter", &self.uidmeter), ("classic", &self.classic)];
        for (set, cost) in sets {
            for ProgramCost { program, runs, ns_per_run, net_ns_per_switch } in &cost.programs {
                let ([each, each_range], [net, net_range]) = (cells(*ns_per_run), cells(*net_ns_per_switch));
                let (set, program, runs) = (set.to_owned(), (*program).to_owned(), runs.to_string());
                table.row([set, program, runs, each, each_range, net, net_range, String::new(), String::new()]);
            }
        }
        for (set, cost, judged) in [("uidmeter", &self.uidmeter, true), ("classic", &self.classic, false)] {
            let [net, range] = cells(cost.net_ns_per_switch);
            let [target, verdict] =
                if judged { [TARGET.to_string(), self.verdict.word().into()] } else { Default::default() };
            let none = String::new;
            table.row([set.into(), "together".into(), none(), none(), none(), net, range, target, verdict]);
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

/// Median and range; a dash for what was not measured.
fn cells(spread: Option<Spread>) -> [String; 2] {
    spread.map_or(["-".into(), String::new()], |spread| [format!("{:.1}", spread.median), spread.range().to_string()])
}
