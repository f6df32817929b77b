//! `loadtests overhead`: what watching costs. Three parts, one table each:
//!
//! 1. [`switch_cost`]: nanoseconds per context switch, as the kernel counts them;
//! 2. [`cpu_time`]: CPU time of the same work, on against off;
//! 3. [`footprint`]: the daemon's own memory and CPU time.
//!
//! Changes no setting of the machine; whatever it attaches or starts is gone when it ends.

mod cost;
mod cpu_time;
mod footprint;
mod switch_cost;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use clap::{Args, Parser as _};
use collector::{
    config::{Observe, ObserveFlags},
    source::ebpf::Options,
};
use serde::Serialize;

use self::{cpu_time::CpuTime, footprint::Footprint, switch_cost::SwitchCost};
use crate::{interrupt::Interrupt, pipe::Pipe, reference::Reference, target::Verdict};

/// The kernel's own switch for BPF statistics.
const STATISTICS: &str = "/proc/sys/kernel/bpf_stats_enabled";

/// What can be said on the command line.
#[derive(Args, Debug)]
pub(crate) struct Flags {
    /// The release build of the daemon
    #[arg(long, env = "UIDMETER_BIN", value_name = "FILE", default_value = "target/release/uidmeter")]
    daemon: PathBuf,

    /// The object with the reference programs
    #[arg(long, env = "UIDMETER_REFERENCE_BPF", value_name = "FILE", default_value = "target/bpf/reference.bpf.o")]
    reference: PathBuf,

    /// Rounds of part 1; part 2 has four pairs of windows for each
    #[arg(long, value_name = "NUMBER", default_value_t = 11, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,

    /// Write all figures to this file as well
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// The perf program that makes the load
    #[arg(long, value_name = "FILE", default_value = "perf")]
    perf: PathBuf,
}

/// All figures.
#[derive(Debug, Serialize)]
struct Report {
    kernel: String,
    switch_cost: SwitchCost,
    cpu_time: CpuTime,
    footprint: Footprint,
}

/// Measures and prints; tells whether every target is met.
pub(crate) fn run(flags: &Flags) -> Result<bool> {
    ensure!(
        nix::unistd::geteuid().is_root(),
        "loading kernel programs and reading their statistics needs root; start this as root, for example with sudo"
    );
    let options = options()?;
    let mut reference = Reference::load(&flags.reference, &options.btf)?;
    let pipe = Pipe::calibrate(flags.perf.clone(), Interrupt::catch()?)?;
    note_what_disturbs();
    println!(
        "load: perf bench sched pipe, both tasks on CPU {}; this takes about {} s\n",
        pipe.cpu(),
        30 + 12 * flags.rounds
    );

    let switch_cost = switch_cost::measure(&pipe, &mut reference, &options, flags.rounds)?;
    println!("{}\n{}", switch_cost.heading(), switch_cost.table());
    let cpu_time = cpu_time::measure(&pipe, &mut reference, &options, flags.rounds)?;
    println!("{}\n{}", cpu_time.heading(), cpu_time.table());
    drop(reference);
    let footprint = footprint::measure(&flags.daemon, pipe.interrupt())?;
    println!("{}\n{}", footprint.heading(), footprint.table());

    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").context("cannot read the kernel's version")?;
    let report = Report { kernel: kernel.trim().into(), switch_cost, cpu_time, footprint };
    if let Some(path) = &flags.json {
        write_json(path, &report)?;
    }
    let missed: Vec<&Verdict> = report.verdicts().filter(|verdict| !verdict.met()).collect();
    for verdict in &missed {
        println!("{verdict}");
    }
    if missed.is_empty() {
        println!("every target is met");
    }
    Ok(missed.is_empty())
}

impl Report {
    fn verdicts(&self) -> impl Iterator<Item = &Verdict> {
        [self.switch_cost.verdict(), self.cpu_time.verdict()].into_iter().chain(self.footprint.verdicts())
    }
}

/// The daemon's defaults, from where the daemon has them.
fn options() -> Result<Options> {
    #[derive(clap::Parser)]
    struct Defaults {
        #[command(flatten)]
        observe: ObserveFlags,
    }
    let defaults = Defaults::try_parse_from([""])?;
    let Observe { sample_interval, max_users, kernel_memory, btf } = Observe::new(&defaults.observe)?;
    Ok(Options { btf, max_users, kernel_memory, tick: sample_interval, without: Vec::new() })
}

fn note_what_disturbs() {
    if fs::read_to_string(STATISTICS).is_ok_and(|value| value.trim() != "0") {
        println!("note: {STATISTICS} is on, which takes time itself and makes the ratios of part 2 larger");
    }
    let is_ours = |name: Option<&str>| name.is_some_and(|name| name == "sched_switch");
    let running = aya::programs::loaded_programs().flatten().filter(|program| is_ours(program.name_as_str())).count();
    if running > 0 {
        println!("note: a program sched_switch is loaded already, perhaps another uidmeter: \"off\" is not quite off");
    }
}

fn write_json(path: &Path, report: &Report) -> Result<()> {
    let text = serde_json::to_string_pretty(report)?;
    fs::write(path, text + "\n").with_context(|| format!("cannot write {}", path.display()))
}
