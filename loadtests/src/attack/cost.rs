//! What TLS and tokens add to a request over a connection that stays open.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tokio::runtime::Runtime;

use super::{
    Running,
    client::{Stream, Target as Server, ask},
    site::{Site, basic},
};
use crate::{interrupt::Interrupt, table::Table, target::Target};

const ROUNDS: usize = 15;
const REQUESTS: u32 = 400;
const PATH: &str = "/-/healthy";

const TOKEN: Target = Target { figure: "a token on top of TLS", at_most: 50.0, unit: "µs" };

/// One way to ask.
struct Way {
    name: &'static str,
    headers: String,
    stream: Box<dyn Stream>,
    rounds: Vec<Duration>,
}

/// Measures and prints; tells whether the target is met.
pub(crate) fn run(runtime: &Runtime, threads: u8, interrupt: &Interrupt) -> Result<bool> {
    let sites = [(false, false), (false, true), (true, false), (true, true)]
        .into_iter()
        .map(|(tls, guarded)| Site::new(tls, guarded))
        .collect::<Result<Vec<_>>>()?;
    let running = sites.iter().map(|site| Running::start(site, threads, interrupt)).collect::<Result<Vec<_>>>()?;
    let mut ways = Vec::new();
    for (site, name, headers) in [
        (0, "plain", String::new()),
        (1, "plain, token", sites[1].bearer()),
        (2, "TLS", String::new()),
        (3, "TLS, token", sites[3].bearer()),
        (3, "TLS, password", basic()),
    ] {
        let server: &Server = running[site].server();
        let stream = runtime.block_on(server.connect())?;
        ways.push(Way { name, headers, stream, rounds: Vec::new() });
    }
    // In turns, so that whatever else the machine does falls on all of them.
    for _ in 0..ROUNDS {
        for way in &mut ways {
            interrupt.sleep(Duration::ZERO)?;
            let time = runtime.block_on(round(way))?;
            way.rounds.push(time);
        }
    }
    let mut table = Table::new(["a request over a connection that stays open", "µs", "on top of plain"]);
    let medians: Vec<f64> = ways.iter().map(Way::median).collect();
    for (way, median) in ways.iter().zip(&medians) {
        table.row([way.name.into(), format!("{median:.1}"), format!("{:+.1}", median - medians[0])]);
    }
    println!("{table}");
    let verdict = TOKEN.judge(medians[3] - medians[2]);
    println!("  {verdict}\n");
    Ok(verdict.met())
}

async fn round(way: &mut Way) -> Result<Duration> {
    let began = Instant::now();
    for _ in 0..REQUESTS {
        let (status, _) = ask(&mut *way.stream, PATH, &way.headers).await?;
        ensure!(status == 200, "{}: status {status}", way.name);
    }
    Ok(began.elapsed() / REQUESTS)
}

impl Way {
    /// Microseconds of a request.
    fn median(&self) -> f64 {
        let mut rounds = self.rounds.clone();
        rounds.sort_unstable();
        rounds.get(rounds.len() / 2).map_or(f64::NAN, |time| time.as_secs_f64() * 1e6)
    }
}
