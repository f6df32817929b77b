//! `loadtests fleet`: whether Prometheus can watch a thousand hosts, and what that costs both sides. Simulated hosts with the
//! collector's web server, TLS and authentication (`loadtests nodes`), and a real Prometheus, all on this machine.
//!
//! Hosts are announced little by little, so that it is not the making of all series at once that is measured; then a time to
//! settle, then the measured time. All that it starts is gone when it ends.
//!
//! | module | owns |
//! |---|---|
//! | [`site`] | certificates, credentials and configuration |
//! | [`hosts`] | the processes of the hosts |
//! | [`prometheus`] | the processes of Prometheus, and questions to them |
//! | [`machine`] | how busy everything else is |
//! | [`figures`] | scrapes → figures |

mod figures;
mod hosts;
mod machine;
mod prometheus;
mod site;

use std::{
    fs,
    net::Ipv4Addr,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use clap::Args;
use serde::Serialize;

use self::{
    figures::{Outcome, Scrapes},
    hosts::Hosts,
    prometheus::Prometheus,
    site::{Auth, Format, Page, Site},
};
use crate::{
    daemon::{cpu_time_of, memory_of},
    interrupt::Interrupt,
    spread::per,
    table::Table,
    target::{Target, Verdict},
};

const MISSING: Target = Target { figure: "targets that are not up at the end", at_most: 0.0, unit: "" };
const FAILED: Target = Target { figure: "scrapes that failed", at_most: 0.0, unit: "" };
const LATE: Target = Target { figure: "ticks of hosts that came late", at_most: 0.0, unit: "" };
const SLOWEST: Target = Target { figure: "p99 of a scrape", at_most: 250.0, unit: "ms" };
const CPUS: Target = Target { figure: "CPU time of all hosts together", at_most: 0.5, unit: "CPUs" };
const MEMORY: Target = Target { figure: "resident memory of a host", at_most: 4.0, unit: "MB" };
const MEGABYTE: u64 = 1_000_000;

/// Two scrapes of each host.
const SETTLE: Duration = Duration::from_secs(30);
/// Several ticks of each host.
const IDLE: Duration = Duration::from_secs(10);
/// Between two looks at whether everything still runs.
const LOOK: Duration = Duration::from_secs(1);
/// Replicas of a storm.
const STORM: usize = 4;

/// What can be said on the command line.
#[derive(Args, Debug, Serialize)]
pub(crate) struct Flags {
    /// Simulated hosts
    #[arg(long, value_name = "NUMBER", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    count: u32,

    /// Users of each
    #[arg(long, value_name = "NUMBER", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    users: u32,

    /// Processes that serve them
    #[arg(long, value_name = "NUMBER", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=16))]
    processes: u32,

    /// Address of the first host, in 127.0.0.0/8; the others follow
    #[arg(long, value_name = "ADDRESS", default_value_t = Ipv4Addr::new(127, 32, 0, 1))]
    first: Ipv4Addr,

    /// How long is measured, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u64).range(60..=7200))]
    duration: u64,

    /// For how long hosts are announced little by little before that, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(0..=1800))]
    ramp: u64,

    /// What Prometheus asks for
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,

    /// How much of each page Prometheus asks for
    #[arg(long, value_enum, default_value_t = Page::Full)]
    page: Page,

    /// How Prometheus says who it is, always over TLS
    #[arg(long, value_enum, default_value_t = Auth::Jwt)]
    auth: Auth,

    /// Four Prometheus at once instead of one, which scrape each host at the same moment
    #[arg(long)]
    storm: bool,

    /// The program prometheus, from 3.0 on
    #[arg(long, env = "UIDMETER_PROMETHEUS_3", value_name = "FILE")]
    prometheus: PathBuf,

    /// Write all figures to this file as well
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// All figures.
#[derive(Debug, Serialize)]
struct Report<'a> {
    flags: &'a Flags,
    prometheus: String,
    load_before: String,
    load_after: String,
    measured: Measured,
    verdicts: Vec<Verdict>,
}

/// Of the measured time.
#[derive(Debug, Serialize)]
struct Measured {
    seconds: f64,
    scrapes: Outcome,
    late_ticks: f64,
    /// CPU time in CPUs: of all hosts before anybody scraped them, of all hosts now, of all Prometheus, of everything else.
    hosts_idle_cpus: f64,
    hosts_cpus: f64,
    prometheus_cpus: f64,
    others_cpus: f64,
    hosts_resident_bytes: u64,
    /// Of the largest.
    prometheus_resident_bytes: u64,
    prometheus_peak_bytes: u64,
    series: u64,
}

/// CPU time so far.
struct Clocks {
    at: Instant,
    hosts: Duration,
    prometheus: Duration,
    machine: Duration,
}

/// Everything that was started.
struct Fleet {
    hosts: Hosts,
    watchers: Vec<Prometheus>,
}

/// Measures and prints; tells whether every target is met.
pub(crate) fn run(flags: &Flags) -> Result<bool> {
    let interrupt = Interrupt::catch()?;
    let site = Site::new(flags.auth)?;
    let load_before = machine::load();
    let hosts = Hosts::start(flags.first, flags.count, flags.processes.min(flags.count), flags.users, &site)?;
    println!("{} hosts of {} users are ready; load average {load_before}", flags.count, flags.users);
    let idle = (Instant::now(), hosts.cpu()?);
    interrupt.sleep(IDLE)?;
    let hosts_idle_cpus = (hosts.cpu()?.saturating_sub(idle.1)).div_duration_f64(idle.0.elapsed());

    let configuration = site.configure(flags.format, flags.page)?;
    let native = flags.format == Format::Protobuf;
    let replicas = if flags.storm { STORM } else { 1 };
    let start = |_| Prometheus::start(&flags.prometheus, &configuration, native, &interrupt);
    let watchers = (0..replicas).map(start).collect::<Result<Vec<_>>>()?;
    let version = watchers.first().context("no Prometheus")?.version()?;
    let mut fleet = Fleet { hosts, watchers };
    fleet.announce(Duration::from_secs(flags.ramp), &site, &interrupt)?;
    println!("Prometheus {version} × {replicas} knows them all; measuring for {} s after {SETTLE:?}", flags.duration);
    fleet.watch(SETTLE, &interrupt)?;
    let measured = fleet.measure(Duration::from_secs(flags.duration), hosts_idle_cpus, &interrupt)?;
    let load_after = machine::load();
    println!("\n{}", table(flags, &measured));
    println!("load average of the machine: {load_before} before, {load_after} after\n");
    let verdicts = vec![
        MISSING.judge(f64::from(flags.count) * per(replicas as u64, 1) - per(measured.scrapes.up as u64, 1)),
        FAILED.judge(per(measured.scrapes.failed as u64, 1)),
        LATE.judge(measured.late_ticks),
        SLOWEST.judge(measured.scrapes.p99_ms),
        CPUS.judge(measured.hosts_cpus),
        MEMORY.judge(per(measured.hosts_resident_bytes, MEGABYTE) / f64::from(flags.count)),
    ];
    for verdict in &verdicts {
        println!("{verdict}");
    }
    let met = verdicts.iter().all(Verdict::met);
    let report = Report { flags, prometheus: version, load_before, load_after, measured, verdicts };
    if let Some(path) = &flags.json {
        let text = serde_json::to_string_pretty(&report)?;
        fs::write(path, text + "\n").with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(met)
}

impl Fleet {
    /// Tells Prometheus of all hosts, evenly over `ramp`.
    fn announce(&mut self, ramp: Duration, site: &Site, interrupt: &Interrupt) -> Result<()> {
        let steps = u32::try_from(ramp.as_secs() / 2)?.clamp(1, self.hosts.count);
        for step in 1..=steps {
            let known = u64::from(self.hosts.count) * u64::from(step) / u64::from(steps);
            self.hosts.announce(u32::try_from(known)?, site)?;
            self.watch(ramp / steps, interrupt)?;
        }
        Ok(())
    }

    /// Waits, and fails as soon as anything falls.
    fn watch(&mut self, length: Duration, interrupt: &Interrupt) -> Result<()> {
        let begun = Instant::now();
        loop {
            self.hosts.check()?;
            self.watchers.iter_mut().try_for_each(Prometheus::check)?;
            match length.saturating_sub(begun.elapsed()) {
                Duration::ZERO => return Ok(()),
                left => interrupt.sleep(left.min(LOOK))?,
            }
        }
    }

    fn measure(&mut self, length: Duration, hosts_idle_cpus: f64, interrupt: &Interrupt) -> Result<Measured> {
        let before = self.clocks()?;
        self.watch(length, interrupt)?;
        let after = self.clocks()?;
        let took = after.at.duration_since(before.at);
        let cpus = |after: Duration, before: Duration| after.saturating_sub(before).div_duration_f64(took);
        // Before the questions, which take memory.
        let memory: Vec<_> = self.watchers.iter().map(|one| memory_of(one.pid())).collect::<Result<_>>()?;
        let hosts_resident_bytes = self.hosts.resident_bytes()?;
        let (mut scrapes, mut late_ticks, mut series) = (Scrapes::default(), 0.0, 0);
        for one in &self.watchers {
            let ask = |name: &str| one.ask(&format!("{name}{{job=\"fleet\"}}[{}s]", length.as_secs()));
            scrapes = scrapes.and(Scrapes {
                up: ask("up")?,
                durations: ask("scrape_duration_seconds")?,
                samples: ask("scrape_samples_scraped")?,
            });
            // All replicas see the same ticks.
            late_ticks = one.ask("sum(uidmeter_ticks_late_total)")?.concat().first().copied().unwrap_or(f64::NAN);
            series += one.series()?;
        }
        let hosts_cpus = cpus(after.hosts, before.hosts);
        let prometheus_cpus = cpus(after.prometheus, before.prometheus);
        Ok(Measured {
            seconds: took.as_secs_f64(),
            scrapes: scrapes.outcome(),
            late_ticks,
            hosts_idle_cpus,
            hosts_cpus,
            prometheus_cpus,
            others_cpus: (cpus(after.machine, before.machine) - hosts_cpus - prometheus_cpus).max(0.0),
            hosts_resident_bytes,
            prometheus_resident_bytes: memory.iter().map(|memory| memory.resident_bytes).max().unwrap_or(0),
            prometheus_peak_bytes: memory.iter().map(|memory| memory.peak_bytes).max().unwrap_or(0),
            series,
        })
    }

    fn clocks(&self) -> Result<Clocks> {
        Ok(Clocks {
            at: Instant::now(),
            hosts: self.hosts.cpu()?,
            prometheus: self.watchers.iter().map(|one| cpu_time_of(one.pid())).sum::<Result<_>>()?,
            machine: machine::busy()?,
        })
    }
}

fn table(flags: &Flags, measured: &Measured) -> Table<2> {
    let mut table = Table::new(["over the measured time", ""]);
    let Measured { scrapes, seconds, .. } = measured;
    let (count, scraped) = (f64::from(flags.count), per(scrapes.scrapes as u64, 1));
    let mut row = |name: &str, value: String| table.row([name.into(), value]);
    row("seconds", format!("{seconds:.0}"));
    row("targets up at the end, of all replicas", format!("{} of {}", scrapes.up, scrapes.targets));
    row("scrapes", scrapes.scrapes.to_string());
    row("scrapes that failed", scrapes.failed.to_string());
    row("scrape duration p50, ms", format!("{:.1}", scrapes.p50_ms));
    row("scrape duration p99, ms", format!("{:.1}", scrapes.p99_ms));
    row("scrape duration, longest, ms", format!("{:.1}", scrapes.max_ms));
    row("samples of a scrape", format!("{:.0}", scrapes.samples / scraped));
    row("samples a second", format!("{:.0}", scrapes.samples / seconds));
    row("series in memory, of all replicas", measured.series.to_string());
    row("hosts: CPUs, not scraped", format!("{:.3}", measured.hosts_idle_cpus));
    row("hosts: CPUs", format!("{:.3}", measured.hosts_cpus));
    let of_scrapes = (measured.hosts_cpus - measured.hosts_idle_cpus).max(0.0) * seconds * 1000.0;
    row("hosts: CPU time of a scrape, ms", format!("{:.2}", of_scrapes / scraped));
    row("hosts: resident, MB each", format!("{:.2}", per(measured.hosts_resident_bytes, MEGABYTE) / count));
    row("Prometheus: CPUs, all replicas", format!("{:.3}", measured.prometheus_cpus));
    let of_samples = measured.prometheus_cpus * seconds * 1e6;
    row("Prometheus: CPU time of a sample, µs", format!("{:.2}", of_samples / scrapes.samples));
    row("Prometheus: resident, MB", format!("{:.0}", per(measured.prometheus_resident_bytes, MEGABYTE)));
    row("Prometheus: most ever resident, MB", format!("{:.0}", per(measured.prometheus_peak_bytes, MEGABYTE)));
    let (one, series) = (per(measured.prometheus_resident_bytes, 1), per(measured.series, 1));
    let replicas = if flags.storm { per(STORM as u64, 1) } else { 1.0 };
    row("Prometheus: resident, bytes a series", format!("{:.0}", one / series * replicas));
    row("everything else on this machine: CPUs", format!("{:.3}", measured.others_cpus));
    table
}
