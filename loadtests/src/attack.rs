//! `loadtests attack`: whether a scrape still comes through while the web server is under attack from everything at once.
//!
//! The server is this program again, as a process of its own, with the collector's real web server, made-up users and no
//! kernel programs: no root is needed. Attackers and scrapers share the machine and the address 127.0.0.1 with it.
//!
//! | module | owns |
//! |---|---|
//! | [`site`] | the server's folder: certificate, users, keys; credentials for scrapers |
//! | [`server`] | the server's process, seen from inside |
//! | [`client`] | connections and requests, well-behaved |
//! | [`attackers`] | those who are not |
//! | [`scraper`] | scrapes once a second and takes the time |
//! | [`cost`] | what TLS and tokens add to a request |

mod attackers;
pub(crate) mod client;
mod cost;
mod scraper;
pub(crate) mod server;
pub(crate) mod site;

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use nix::unistd::Pid;

use self::{attackers::Attack, client::Target as Server, scraper::Scrapes, site::Site};
use crate::{child::Child, descriptors, interrupt::Interrupt, table::Table, target::Target};

/// What can be said on the command line.
#[derive(Args, Debug)]
pub(crate) struct Flags {
    /// How long the attack lasts, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(5..=3600))]
    seconds: u64,

    /// Threads of the server; 1 is what the daemon has
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=16))]
    threads: u8,

    /// Only measure what TLS and tokens cost
    #[arg(long)]
    only_cost: bool,
}

/// For server and clients to come up, and for memory to come down.
const SETTLE: Duration = Duration::from_secs(5);
const START: Duration = Duration::from_secs(20);
/// Hundreds of connections need as many.
const DESCRIPTORS: u64 = 4096;

const SLOWEST: Target = Target { figure: "p99 of a scrape under attack", at_most: 100.0, unit: "ms" };
const LOST: Target = Target { figure: "scrapes without an answer", at_most: 0.0, unit: "" };
const LATE: Target = Target { figure: "ticks that came late", at_most: 0.0, unit: "" };
const GROWN: Target = Target { figure: "memory that did not come back", at_most: 8.0, unit: "MiB" };

/// A server at work.
pub(crate) struct Running {
    child: Child,
    server: Server,
}

/// Measures and prints; tells whether every target is met.
pub(crate) fn run(flags: &Flags) -> Result<bool> {
    let interrupt = Interrupt::catch()?;
    descriptors::raise(DESCRIPTORS)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let mut met = cost::run(&runtime, flags.threads, &interrupt)?;
    if !flags.only_cost {
        met &= attack(&runtime, flags, &interrupt)?;
    }
    Ok(met)
}

fn attack(runtime: &tokio::runtime::Runtime, flags: &Flags, interrupt: &Interrupt) -> Result<bool> {
    let site = Site::new(true, true)?;
    let mut running = Running::start(&site, flags.threads, interrupt)?;
    let scrapes = Arc::new(Scrapes::default());
    let _scrapers = scraper::start(&running.server, &site, &scrapes)?;
    interrupt.sleep(SETTLE)?;
    let calm = scrapes.take();
    let (before, late_before) = (running.resident_kib()?, running.ticks_late(runtime)?);

    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("load of the machine before: {}", load.trim());
    println!("everything at once for {} s:", flags.seconds);
    let attack = Attack::start(runtime, &running.server);
    let begun = Instant::now();
    let mut peak = 0;
    while begun.elapsed() < Duration::from_secs(flags.seconds) {
        running.check()?;
        peak = peak.max(running.resident_kib()?);
        interrupt.sleep(Duration::from_millis(250))?;
    }
    let under_attack = scrapes.take();
    let did = attack.stop();
    interrupt.sleep(SETTLE)?;
    let after_all = scrapes.take();
    let (after, late_after) = (running.resident_kib()?, running.ticks_late(runtime)?);

    let mut table = Table::new(["attacker", "times"]);
    for (name, times) in did {
        table.row([name.into(), times.to_string()]);
    }
    println!("{table}");
    let mut table = Table::new(["scrapes", "answered", "failed", "p50 ms", "p99 ms", "slowest ms"]);
    for (name, scrapes) in [("before", &calm), ("under attack", &under_attack), ("after", &after_all)] {
        table.row(scrapes.row(name));
    }
    println!("{table}");
    for failure in under_attack.failures() {
        println!("  failed: {failure}");
    }
    for slow in under_attack.slow() {
        println!("  slow: {slow}");
    }
    println!("  resident memory: {before} KiB before, {peak} KiB at most, {after} KiB after\n");
    let grown = f64::from(u32::try_from(after.saturating_sub(before))?) / 1024.0;
    let late = f64::from(u32::try_from(late_after.saturating_sub(late_before))?);
    let verdicts = [
        SLOWEST.judge(under_attack.percentile(99.0)),
        LOST.judge(f64::from(u32::try_from(under_attack.failures().len())?)),
        LATE.judge(late),
        GROWN.judge(grown),
    ];
    for verdict in &verdicts {
        println!("  {verdict}");
    }
    Ok(verdicts.iter().all(crate::target::Verdict::met))
}

impl Running {
    /// Starts a server of `site` and waits until it has its socket.
    pub(crate) fn start(site: &Site, threads: u8, interrupt: &Interrupt) -> Result<Self> {
        let program = std::env::current_exe().context("cannot find this program")?;
        let address = site.path(server::ADDRESS);
        let mut command = Command::new(program);
        command.arg("attacked").arg(site.folder()).args(["--threads", &threads.to_string()]);
        let mut child = Child::spawn(command.stdin(Stdio::null()), None).context("cannot start the server")?;
        let begun = Instant::now();
        while !address.exists() {
            if let Some(status) = child.ended()? {
                bail!("the server ended before it began: {status}");
            }
            if begun.elapsed() > START {
                bail!("the server has no socket after {} s", START.as_secs());
            }
            interrupt.pause()?;
        }
        let server = Server::new(fs::read_to_string(address)?.trim().parse()?, site)?;
        Ok(Self { child, server })
    }

    pub(crate) fn server(&self) -> &Server {
        &self.server
    }

    pub(crate) fn process(&self) -> Pid {
        self.child.pid()
    }

    fn check(&mut self) -> Result<()> {
        match self.child.ended()? {
            Some(status) => bail!("the server fell: {status}"),
            None => Ok(()),
        }
    }

    fn resident_kib(&self) -> Result<u64> {
        let path = format!("/proc/{}/status", self.child.pid());
        let status = fs::read_to_string(Path::new(&path)).with_context(|| format!("cannot read {path}"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse().ok());
        kib.with_context(|| format!("{path} has no VmRSS"))
    }

    /// From the page itself.
    fn ticks_late(&self, runtime: &tokio::runtime::Runtime) -> Result<u64> {
        let page = runtime.block_on(client::page(&self.server))?;
        let line = page.lines().find_map(|line| line.strip_prefix("uidmeter_ticks_late_total "));
        line.and_then(|value| value.parse().ok()).context("the page has no uidmeter_ticks_late_total")
    }
}
