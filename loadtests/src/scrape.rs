//! `loadtests scrape`: what a scrape costs. Five parts:
//!
//! 1. [`encoder`]: nanoseconds per sample, from a view to bytes;
//! 2. a scrape of the real exporter and HTTP server over simulated users, in each format and coding;
//! 3. several scrapers at the same moment;
//! 4. [`token`]: the same over TLS, with a token and without;
//! 5. other exporters on this host, beside sleeping processes of many users.
//!
//! Ratios are of one run on one machine. All that it starts is gone when it ends.

mod client;
mod cost;
mod crowd;
mod encoder;
mod peers;
mod token;

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use serde::Serialize;

use self::{
    client::Ask,
    cost::{Cost, Exporter, Together},
    crowd::Crowd,
    encoder::Encoder,
    peers::Peer,
    token::{Compared, Token},
};
use crate::{
    interrupt::Interrupt,
    simulate::Simulation,
    spread::per,
    table::Table,
    target::{Target, Verdict},
};

const ENCODER: Target = Target { figure: "writing text", at_most: 40.0, unit: "ns a sample" };
const LATENCY: Target = Target { figure: "p99 of a text scrape", at_most: 5.0, unit: "ms" };
const MEMORY: Target = Target { figure: "resident memory of the exporter", at_most: 30.0, unit: "MB" };
const CROWD: Target = Target { figure: "eight scrapers at once against one", at_most: 2.0, unit: "times the CPU time" };
const TOKEN: Target = Target { figure: "a token on top of TLS", at_most: 50.0, unit: "µs a scrape" };
const SHARE: Target =
    Target { figure: "CPU time of a text scrape against process-exporter's", at_most: 0.05, unit: "times" };
const MEGABYTE: u64 = 1_000_000;

const TEXT: Ask = Ask { accept: "text/plain;version=0.0.4", encoding: "identity" };
const GZIP: Ask = Ask { encoding: "gzip", ..TEXT };
const OPENMETRICS: Ask = Ask { accept: "application/openmetrics-text;version=1.0.0", encoding: "identity" };
const PROTOBUF: Ask = Ask {
    accept: "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited",
    encoding: "identity",
};
/// What is asked for, what it is called, and words of the answer's head.
const ASKS: [(&str, Ask, &str); 7] = [
    ("text", TEXT, "version=0.0.4"),
    ("text, gzip", GZIP, "content-encoding: gzip"),
    ("text, zstd", Ask { encoding: "zstd", ..TEXT }, "content-encoding: zstd"),
    ("OpenMetrics", OPENMETRICS, "application/openmetrics-text"),
    ("OpenMetrics, gzip", Ask { encoding: "gzip", ..OPENMETRICS }, "application/openmetrics-text"),
    ("protobuf", PROTOBUF, "application/vnd.google.protobuf"),
    ("protobuf, gzip", Ask { encoding: "gzip", ..PROTOBUF }, "application/vnd.google.protobuf"),
];
/// Scrapers at the same moment.
const SCRAPERS: usize = 8;
/// With a token and without, in turn.
const TOKEN_ROUNDS: usize = 40;

/// What can be said on the command line.
#[derive(Args, Debug)]
pub(crate) struct Flags {
    /// Simulated users
    #[arg(long, value_name = "NUMBER", default_value_t = 1000)]
    users: u32,

    /// Scrapes in each format; other exporters get fewer
    #[arg(long, value_name = "NUMBER", default_value_t = 300, value_parser = clap::value_parser!(u32).range(10..))]
    scrapes: u32,

    /// Sleeping processes for the other exporters
    #[arg(long, value_name = "NUMBER", default_value_t = 1000)]
    processes: u32,

    /// Users of these processes
    #[arg(long, value_name = "NUMBER", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    process_users: u32,

    /// The program prometheus-node-exporter
    #[arg(long, env = "UIDMETER_NODE_EXPORTER", value_name = "FILE")]
    node_exporter: Option<PathBuf>,

    /// The program prometheus-process-exporter
    #[arg(long, env = "UIDMETER_PROCESS_EXPORTER", value_name = "FILE")]
    process_exporter: Option<PathBuf>,

    /// Write all figures to this file as well
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// All figures.
#[derive(Debug, Serialize)]
struct Report {
    users: u32,
    encoders: Vec<Encoder>,
    scrapes: Vec<(&'static str, Cost)>,
    together: Vec<(&'static str, Together)>,
    token: Token,
    peers: Vec<(&'static str, Cost)>,
    verdicts: Vec<Verdict>,
}

/// Measures and prints; tells whether every target is met.
pub(crate) fn run(flags: &Flags) -> Result<bool> {
    let interrupt = Interrupt::catch()?;
    let scrapes = usize::try_from(flags.scrapes)?;
    let mut verdicts = Vec::new();

    let encoders = encoder::measure(flags.users)?;
    println!(
        "1. Writing the page of {} users, {} samples\n{}",
        flags.users,
        encoders[0].samples,
        encoder_table(&encoders)
    );
    verdicts.push(ENCODER.judge(encoders[0].ns_per_sample.median));

    let (costs, together) = ours(flags.users, scrapes, &interrupt)?;
    println!("2. A scrape of {} users\n{}", flags.users, cost_table(&costs));
    println!("3. {SCRAPERS} scrapers at the same moment; CPU time of the exporter, ms\n{}", together_table(&together));
    verdicts.push(LATENCY.judge(costs[0].1.p99_ms));
    let most_resident = costs.iter().map(|(_, cost)| cost.resident_bytes).max().unwrap_or(u64::MAX);
    verdicts.push(MEMORY.judge(per(most_resident, MEGABYTE)));
    verdicts.push(CROWD.judge(together[0].1.ratio));

    let token = token::measure(TOKEN_ROUNDS, &interrupt)?;
    println!(
        "4. A page of {} bytes over TLS connections that stay open, {} rounds of {} scrapes in turn; µs a scrape\n{}",
        token.page_bytes,
        token.rounds,
        token.scrapes,
        token_table(&token)
    );
    verdicts.push(TOKEN.judge(token.time.difference.median));

    let peers = others(flags, &interrupt)?;
    println!(
        "5. Other exporters on this host, beside {} sleeping processes of {} users\n{}",
        flags.processes,
        flags.process_users,
        cost_table(&peers)
    );
    match peers.iter().find(|(name, _)| *name == PROCESS_EXPORTER) {
        Some((_, theirs)) => verdicts.push(SHARE.judge(costs[0].1.cpu_ms / theirs.cpu_ms)),
        None => println!("without process-exporter there is nothing to compare with\n"),
    }

    for verdict in &verdicts {
        println!("{verdict}");
    }
    let met = verdicts.iter().all(Verdict::met);
    let report = Report { users: flags.users, encoders, scrapes: costs, together, token, peers, verdicts };
    if let Some(path) = &flags.json {
        let text = serde_json::to_string_pretty(&report)?;
        fs::write(path, text + "\n").with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(met)
}

type Costs = Vec<(&'static str, Cost)>;
const NODE_EXPORTER: &str = "node-exporter";
const PROCESS_EXPORTER: &str = "process-exporter";

fn ours(users: u32, scrapes: usize, interrupt: &Interrupt) -> Result<(Costs, Vec<(&'static str, Together)>)> {
    let simulation = Simulation::start(users)?;
    let exporter = Exporter { address: simulation.address, process: simulation.pid() };
    cost::await_answer(exporter.address, TEXT, interrupt)?;
    let mut costs = Vec::new();
    for (name, ask, words) in ASKS {
        let head = client::scrape(exporter.address, ask)?.head.to_lowercase();
        ensure!(head.contains(words), "asked for {name}, but the answer begins with {head:?}");
        costs.push((name, cost::one_after_another(exporter, ask, scrapes, interrupt)?));
    }
    let mut together = Vec::new();
    for (name, ask) in [("text, gzip", GZIP), ("text", TEXT)] {
        together.push((name, cost::together(exporter, ask, SCRAPERS, (scrapes / 10).max(5), interrupt)?));
    }
    Ok((costs, together))
}

fn others(flags: &Flags, interrupt: &Interrupt) -> Result<Costs> {
    let mut costs = Vec::new();
    if flags.node_exporter.is_none() && flags.process_exporter.is_none() {
        return Ok(costs);
    }
    ensure!(nix::unistd::geteuid().is_root(), "starting processes of other users needs root");
    let _crowd = Crowd::start(flags.processes, flags.process_users)?;
    let scrapes = usize::try_from(flags.scrapes)?;
    if let Some(program) = &flags.node_exporter {
        let peer = Peer::node_exporter(program, TEXT, interrupt)?;
        costs.push((NODE_EXPORTER, cost::one_after_another(peer.exporter, TEXT, scrapes / 3, interrupt)?));
    }
    if let Some(program) = &flags.process_exporter {
        let peer = Peer::process_exporter(program, TEXT, interrupt)?;
        // Each takes a large part of a second.
        costs.push((PROCESS_EXPORTER, cost::one_after_another(peer.exporter, TEXT, scrapes / 10, interrupt)?));
    }
    Ok(costs)
}

fn encoder_table(encoders: &[Encoder]) -> Table<4> {
    let mut table = Table::new(["format", "ns/sample", "min–max", "page, kB"]);
    for Encoder { format, ns_per_sample, page_bytes, .. } in encoders {
        let spread = ns_per_sample;
        let page = format!("{:.0}", per(*page_bytes as u64, 1000));
        table.row([(*format).into(), format!("{:.1}", spread.median), format!("{:.1}", spread.range()), page]);
    }
    table
}

fn cost_table(costs: &[(&str, Cost)]) -> Table<7> {
    let mut table = Table::new(["", "scrapes", "p50, ms", "p99, ms", "CPU, ms", "page, kB", "resident, MB"]);
    for (name, cost) in costs {
        table.row([
            (*name).into(),
            cost.scrapes.to_string(),
            format!("{:.2}", cost.p50_ms),
            format!("{:.2}", cost.p99_ms),
            format!("{:.2}", cost.cpu_ms),
            format!("{:.0}", per(cost.page_bytes as u64, 1000)),
            format!("{:.1}", per(cost.resident_bytes, MEGABYTE)),
        ]);
    }
    table
}

fn token_table(token: &Token) -> Table<7> {
    let mut table = Table::new(["", "without", "min–max", "with", "min–max", "on top", "min–max"]);
    for (name, Compared { without, with, difference }) in [("time", &token.time), ("CPU of the server", &token.cpu)] {
        let [a, b, c] = [without, with, difference]
            .map(|spread| [format!("{:.1}", spread.median), format!("{:.1}", spread.range())]);
        let ([a, a_range], [b, b_range], [c, c_range]) = (a, b, c);
        table.row([name.into(), a, a_range, b, b_range, c, c_range]);
    }
    table
}

fn together_table(together: &[(&str, Together)]) -> Table<6> {
    let mut table = Table::new(["", "one", "min–max", "all", "min–max", "ratio"]);
    for (name, Together { one_ms, all_ms, ratio, .. }) in together {
        table.row([
            (*name).into(),
            format!("{:.2}", one_ms.median),
            format!("{:.2}", one_ms.range()),
            format!("{:.2}", all_ms.median),
            format!("{:.2}", all_ms.range()),
            format!("{ratio:.2}"),
        ]);
    }
    table
}
