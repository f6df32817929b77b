//! What a token adds to a scrape over TLS: two servers that differ in nothing else, connections that stay open, a page so
//! small that the difference is seen, rounds in turn.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;

use crate::{
    attack::{
        Running,
        client::{Stream, ask},
        site::Site,
    },
    daemon::cpu_time_of,
    interrupt::Interrupt,
    spread::Spread,
};

const PATH: &str = "/metrics?name[]=uidmeter_build_info";
const SCRAPES: u32 = 200;
/// The daemon's.
const THREADS: u8 = 1;

/// Microseconds of a scrape.
#[derive(Debug, Serialize)]
pub(super) struct Token {
    pub(super) rounds: usize,
    pub(super) scrapes: u32,
    pub(super) page_bytes: usize,
    /// From the request to the last byte.
    pub(super) time: Compared,
    /// CPU time of the server's process.
    pub(super) cpu: Compared,
}

/// With and without.
#[derive(Debug, Serialize)]
pub(super) struct Compared {
    pub(super) without: Spread,
    pub(super) with: Spread,
    /// Of the rounds, each against its neighbour.
    pub(super) difference: Spread,
}

/// A server with a client at its door.
struct Side {
    running: Running,
    headers: String,
    stream: Box<dyn Stream>,
    page_bytes: usize,
    time: Vec<f64>,
    cpu: Vec<f64>,
}

/// Alternates between a server that asks for nothing and one that asks for a token.
pub(super) fn measure(rounds: usize, interrupt: &Interrupt) -> Result<Token> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let folders = [Site::new(true, false)?, Site::new(true, true)?];
    let side = |site: &Site| -> Result<Side> {
        let running = Running::start(site, THREADS, interrupt)?;
        let stream = runtime.block_on(running.server().connect())?;
        Ok(Side { running, headers: site.bearer(), stream, page_bytes: 0, time: Vec::new(), cpu: Vec::new() })
    };
    let mut sides = [side(&folders[0])?, side(&folders[1])?];
    // Whoever shows nothing to the second is sent away, else the rest of this says nothing.
    let (status, _) = runtime.block_on(ask(&mut *sides[1].stream, PATH, ""))?;
    ensure!(status == 401, "the server that asks for a token answers {status} without one");
    for number in 0..rounds {
        // Each goes first in every second round.
        for at in [number % 2, 1 - number % 2] {
            interrupt.sleep(Duration::ZERO)?;
            runtime.block_on(sides[at].round())?;
        }
    }
    let [without, with] = sides;
    Ok(Token {
        rounds,
        scrapes: SCRAPES,
        page_bytes: with.page_bytes,
        time: Compared::of(without.time, with.time)?,
        cpu: Compared::of(without.cpu, with.cpu)?,
    })
}

impl Side {
    async fn round(&mut self) -> Result<()> {
        let process = self.running.process();
        let (before, began) = (cpu_time_of(process)?, Instant::now());
        for _ in 0..SCRAPES {
            let (status, page) = ask(&mut *self.stream, PATH, &self.headers).await?;
            ensure!(status == 200, "status {status}");
            self.page_bytes = page.len();
        }
        let (took, cpu) = (began.elapsed(), cpu_time_of(process)?.saturating_sub(before));
        let one = |time: Duration| time.as_secs_f64() * 1e6 / f64::from(SCRAPES);
        self.time.push(one(took));
        self.cpu.push(one(cpu));
        Ok(())
    }
}

impl Compared {
    fn of(without: Vec<f64>, with: Vec<f64>) -> Result<Self> {
        let difference = with.iter().zip(&without).map(|(with, without)| with - without);
        Ok(Self {
            difference: Spread::of(difference).context("no round")?,
            without: Spread::of(without).context("no round")?,
            with: Spread::of(with).context("no round")?,
        })
    }
}
