//! `test`: the tiers, what each needs, and one table at the end. The very last line is `N passed, N failed`.

pub(crate) mod counts;
pub(crate) mod executables;
mod tiers;

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::lint;
use crate::process::{Unavailable, heading};
use crate::project::Project;
use crate::test::counts::Counts;

/// A kind of test, by what it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Tier {
    /// Needs nothing but the host's Rust.
    Unit,
    /// Runs as root on this machine's kernel.
    Kernel,
    /// Boots other kernels in QEMU.
    Vm,
    /// Boots a machine without systemd and one with it, and limits users there.
    Limits,
    /// Runs against real servers.
    Peers,
    /// Holds packaging/ against the real programs that read it.
    Fleet,
}

impl Tier {
    const ALL: [Self; 6] = [Self::Unit, Self::Kernel, Self::Vm, Self::Limits, Self::Peers, Self::Fleet];

    fn name(self) -> &'static str {
        match self {
            Self::Unit => "unit",
            Self::Kernel => "kernel",
            Self::Vm => "vm",
            Self::Limits => "limits",
            Self::Peers => "peers",
            Self::Fleet => "fleet",
        }
    }

    fn run(self, project: &Project) -> Result<Counts> {
        match self {
            Self::Unit => tiers::unit(project),
            Self::Kernel => tiers::kernel(project),
            Self::Vm => crate::vm::run_all(project),
            Self::Limits => crate::vm::run_limits(project),
            Self::Peers => tiers::peers(project),
            Self::Fleet => crate::fleet::run(project, None),
        }
    }
}

/// One line of the table.
struct Row {
    name: &'static str,
    counts: Counts,
    elapsed: Duration,
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { passed, failed, skipped } = self.counts;
        let seconds = self.elapsed.as_secs();
        write!(f, "{:<8} {passed:>7} {failed:>7} {skipped:>8} {seconds:>8}", self.name)
    }
}

/// The command: lint and all tiers, or the tiers that were named; `false` if anything failed.
pub(crate) fn command(project: &Project, asked: &[Tier]) -> bool {
    let mut rows = Vec::new();
    if asked.is_empty() {
        rows.push(timed("lint", || {
            let lint::Outcome { passed, failed } = lint::run(project)?;
            Ok(Counts { passed, failed, skipped: 0 })
        }));
    }
    let tiers = if asked.is_empty() { &Tier::ALL[..] } else { asked };
    for tier in tiers {
        rows.push(timed(tier.name(), || tier.run(project)));
    }

    println!();
    println!("{:<8} {:>7} {:>7} {:>8} {:>8}", "tier", "passed", "failed", "skipped", "seconds");
    for row in &rows {
        println!("{row}");
    }
    let total: Counts = rows.iter().map(|row| row.counts).sum();
    println!("{total}");
    total.failed == 0
}

/// Runs one tier. One that cannot run here says why, and counts as failed where somebody relies on it.
fn timed(name: &'static str, run: impl FnOnce() -> Result<Counts>) -> Row {
    heading(&format!("test tier: {name}"));
    let started = Instant::now();
    let failure = Counts { failed: 1, ..Counts::default() };
    let counts = match run() {
        Ok(counts) if counts == Counts::default() => {
            println!("!!! the tier {name} ran no test at all");
            failure
        }
        Ok(counts) => counts,
        Err(error) if error.is::<Unavailable>() => {
            println!("!!! the tier {name} cannot run: {error:#}");
            if is_ci() { failure } else { Counts { skipped: 1, ..Counts::default() } }
        }
        Err(error) => {
            println!("!!! the tier {name} broke off: {error:#}");
            failure
        }
    };
    let elapsed = started.elapsed();
    println!("    {name}: {counts} in {} s", elapsed.as_secs());
    Row { name, counts, elapsed }
}

/// Whether somebody waits for the result, and relies on it.
pub(crate) fn is_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true")
}
