//! What scrapes of one exporter cost it and its client.

use std::{
    net::SocketAddr,
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow};
use nix::unistd::Pid;
use serde::Serialize;

use super::client::{Ask, scrape};
use crate::{
    daemon::{cpu_time_of, memory_of},
    interrupt::Interrupt,
    spread::Spread,
};

/// A running exporter.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exporter {
    pub(super) address: SocketAddr,
    pub(super) process: Pid,
}

/// What was found.
#[derive(Debug, Serialize)]
pub(super) struct Cost {
    pub(super) scrapes: usize,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    /// CPU time of the exporter's process, all threads.
    pub(super) cpu_ms: f64,
    /// Of the last page, as sent.
    pub(super) page_bytes: usize,
    /// The exporter's, after the last scrape.
    pub(super) resident_bytes: u64,
}

/// Scrapes one after another.
pub(super) fn one_after_another(exporter: Exporter, ask: Ask, scrapes: usize, interrupt: &Interrupt) -> Result<Cost> {
    // The first scrape opens files and grows buffers.
    for _ in 0..3 {
        scrape(exporter.address, ask)?;
    }
    let before = cpu_time_of(exporter.process)?;
    let mut took = Vec::new();
    let mut page_bytes = 0;
    for _ in 0..scrapes {
        let answer = scrape(exporter.address, ask)?;
        took.push(answer.took);
        page_bytes = answer.body.len();
        interrupt.sleep(Duration::ZERO)?;
    }
    let cpu = cpu_time_of(exporter.process)?.saturating_sub(before);
    took.sort_unstable();
    let quantile = |percent: usize| {
        let rank = (took.len() * percent).div_ceil(100).clamp(1, took.len().max(1));
        took.get(rank - 1).copied().map(milliseconds).context("no scrape at all")
    };
    Ok(Cost {
        scrapes,
        p50_ms: quantile(50)?,
        p99_ms: quantile(99)?,
        cpu_ms: milliseconds(cpu) / f64::from(u32::try_from(scrapes)?),
        page_bytes,
        resident_bytes: memory_of(exporter.process)?.resident_bytes,
    })
}

/// CPU time of the exporter for `together` scrapes that begin at the same moment, against that for one alone, in turn.
#[derive(Debug, Serialize)]
pub(super) struct Together {
    pub(super) scrapers: usize,
    pub(super) one_ms: Spread,
    pub(super) all_ms: Spread,
    /// Of the medians.
    pub(super) ratio: f64,
}

/// Alternates between one and `scrapers`.
pub(super) fn together(
    exporter: Exporter,
    ask: Ask,
    scrapers: usize,
    rounds: usize,
    interrupt: &Interrupt,
) -> Result<Together> {
    let (mut alone, mut crowd) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        alone.push(milliseconds(cpu_of(exporter, ask, 1)?));
        crowd.push(milliseconds(cpu_of(exporter, ask, scrapers)?));
        interrupt.sleep(Duration::ZERO)?;
    }
    let one_ms = Spread::of(alone).context("no round")?;
    let all_ms = Spread::of(crowd).context("no round")?;
    Ok(Together { scrapers, one_ms, all_ms, ratio: all_ms.median / one_ms.median })
}

fn cpu_of(exporter: Exporter, ask: Ask, scrapers: usize) -> Result<Duration> {
    let start = Barrier::new(scrapers);
    let before = cpu_time_of(exporter.process)?;
    thread::scope(|scope| {
        let one = || {
            start.wait();
            scrape(exporter.address, ask)
        };
        let all: Vec<_> = (0..scrapers).map(|_| scope.spawn(one)).collect();
        for scraper in all {
            scraper.join().map_err(|_| anyhow!("a scraper panicked"))??;
        }
        anyhow::Ok(())
    })?;
    Ok(cpu_time_of(exporter.process)?.saturating_sub(before))
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// Waits until an exporter answers.
pub(super) fn await_answer(address: SocketAddr, ask: Ask, interrupt: &Interrupt) -> Result<()> {
    let start = Instant::now();
    loop {
        match scrape(address, ask) {
            Ok(_) => return Ok(()),
            Err(error) if start.elapsed() > Duration::from_secs(20) => return Err(error.context("does not answer")),
            Err(_) => interrupt.pause()?,
        }
    }
}
