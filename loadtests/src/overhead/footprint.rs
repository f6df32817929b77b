//! Part 3: what the daemon takes on a machine that does nothing else.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use serde::Serialize;

use crate::{
    daemon::Daemon,
    interrupt::Interrupt,
    program,
    spread::per,
    table::Table,
    target::{Target, Verdict},
};

/// 200 ticks at the default interval.
const LENGTH: Duration = Duration::from_secs(20);
/// What follows the start but belongs to it: first ticks, first names of users.
const SETTLE: Duration = Duration::from_secs(1);
const MEGABYTE: u64 = 1_000_000;
const MEMORY: Target = Target { figure: "resident memory of the daemon", at_most: 20.0, unit: "MB" };
const CPU: Target = Target { figure: "CPU time of the idle daemon", at_most: 0.2, unit: "% of one CPU" };

/// What was found.
#[derive(Debug, Serialize)]
pub(super) struct Footprint {
    resident_bytes_after_loading: u64,
    resident_bytes_at_the_end: u64,
    peak_resident_bytes: u64,
    elapsed_seconds: f64,
    daemon_cpu_percent: f64,
    programs_cpu_percent: f64,
    program_runs_per_second: f64,
    verdicts: [Verdict; 2],
}

/// Watches a daemon that nobody scrapes.
pub(super) fn measure(daemon: &Path, interrupt: &Interrupt) -> Result<Footprint> {
    let mut daemon = Daemon::start(daemon, interrupt)?;
    interrupt.sleep(SETTLE)?;
    let loaded = daemon.memory()?;
    let _statistics = program::switch_on()?;
    let (cpu, programs, start) = (daemon.cpu_time()?, daemon.program_runs()?, Instant::now());
    interrupt.sleep(LENGTH)?;
    let (cpu, programs, elapsed) =
        (daemon.cpu_time()?.saturating_sub(cpu), daemon.program_runs()? - programs, start.elapsed());
    let end = daemon.memory()?;
    daemon.check()?;
    ensure!(programs.count > 0, "the daemon's kernel programs did not run once in {} s", LENGTH.as_secs());
    let daemon_cpu_percent = 100.0 * cpu.div_duration_f64(elapsed);
    let most_resident = loaded.resident_bytes.max(end.resident_bytes);
    Ok(Footprint {
        resident_bytes_after_loading: loaded.resident_bytes,
        resident_bytes_at_the_end: end.resident_bytes,
        peak_resident_bytes: end.peak_bytes,
        elapsed_seconds: elapsed.as_secs_f64(),
        daemon_cpu_percent,
        programs_cpu_percent: 100.0 * Duration::from_nanos(programs.time_ns).div_duration_f64(elapsed),
        program_runs_per_second: per(programs.count, 1) / elapsed.as_secs_f64(),
        verdicts: [MEMORY.judge(per(most_resident, MEGABYTE)), CPU.judge(daemon_cpu_percent)],
    })
}

impl Footprint {
    pub(super) fn verdicts(&self) -> &[Verdict] {
        &self.verdicts
    }

    pub(super) fn table(&self) -> Table<4> {
        let [memory, cpu] = &self.verdicts;
        let mut table = Table::new(["figure", "measured", "target", "verdict"]);
        let mut row = |figure: &str, measured: String, judged: Option<(Target, &Verdict)>| {
            let (target, verdict) = judged
                .map_or_else(Default::default, |(target, verdict)| (target.to_string(), verdict.word().to_owned()));
            table.row([figure.into(), measured, target, verdict]);
        };
        let megabytes = |bytes| format!("{:.1} MB", per(bytes, MEGABYTE));
        let percent = |percent| format!("{percent:.3} %");
        row("resident after loading", megabytes(self.resident_bytes_after_loading), Some((MEMORY, memory)));
        row("resident at the end", megabytes(self.resident_bytes_at_the_end), Some((MEMORY, memory)));
        row("most ever resident (while loading)", megabytes(self.peak_resident_bytes), None);
        row("CPU time of the daemon", percent(self.daemon_cpu_percent), Some((CPU, cpu)));
        row("CPU time of its kernel programs", percent(self.programs_cpu_percent), None);
        row("runs of its kernel programs", format!("{:.0} /s", self.program_runs_per_second), None);
        table
    }

    pub(super) fn heading(&self) -> String {
        format!("3. The daemon by itself for {:.0} s, not scraped; % of one CPU", self.elapsed_seconds)
    }
}
