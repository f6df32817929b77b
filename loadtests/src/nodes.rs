//! `loadtests nodes`: many simulated hosts in one process, each a real exporter on a loopback address of its own, for fleets that
//! fit on one machine. Views, pages, TLS, authentication and connections are the collector's own code.
//!
//! What a host has a thread for, all share here: one runtime serves every address, and one task ticks one sampler after the
//! other. A tick comes every [`Flags::interval`] instead of every 100 ms, since a simulated user does nothing in between that
//! would be missed.
//!
//! | module | owns |
//! |---|---|
//! | [`place`] | which host is where |
//! | [`node`] | one host |
//! | [`discovery`] | the file in which Prometheus finds them all |

mod discovery;
mod node;
mod place;

use std::{
    io,
    net::Ipv4Addr,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use clap::Args;
use collector::pipeline::SteppedSampler;
use tokio::{runtime::Runtime, sync::watch, task::JoinSet, time::sleep_until};

use self::node::Node;
pub(crate) use self::{discovery::write as announce, place::Places};
use crate::descriptors;

/// Files that a host has open: those of `/proc` that it reads, its socket, and connections of four scrapers.
const FILES: u64 = 7 + 1 + 4;
/// For everything else, and at least what the web server wants for its limits to be those of a daemon.
const OTHER_FILES: u64 = 4096;

/// What can be said on the command line.
#[derive(Args, Clone, Debug)]
pub(crate) struct Flags {
    /// Hosts
    #[arg(long, value_name = "NUMBER", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    count: u32,

    /// Users of each
    #[arg(long, value_name = "NUMBER", default_value_t = 50, value_parser = clap::value_parser!(u32).range(0..=10_000))]
    users: u32,

    /// Address of the first one, in 127.0.0.0/8; the others follow
    #[arg(long, value_name = "ADDRESS", default_value_t = Ipv4Addr::new(127, 1, 0, 1))]
    first: Ipv4Addr,

    /// Port of all of them
    #[arg(long, value_name = "NUMBER", default_value_t = 9101, value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,

    /// Seed of the first one's users; the others' follow
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u32,

    /// Time between two ticks of a host, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600))]
    interval: u64,

    /// Threads that serve
    #[arg(long, value_name = "NUMBER", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=16))]
    threads: u8,

    /// Prometheus web configuration file of all of them
    #[arg(long = "web.config.file", value_name = "FILE")]
    web_config: Option<PathBuf>,

    /// Authentication file of all of them
    #[arg(long = "web.auth-file", value_name = "FILE")]
    auth_file: Option<PathBuf>,

    /// Write all addresses to this file for Prometheus' `file_sd`, once they can be connected to
    #[arg(long, value_name = "FILE")]
    file_sd: Option<PathBuf>,
}

/// Serves until standard input ends. Says so in one line once all hosts can be connected to.
pub(crate) fn run(flags: &Flags) -> Result<()> {
    let serving = Serving::start(flags)?;
    println!("ready {}", flags.count);
    // However it ends, whoever wanted this is gone.
    let _ = io::copy(&mut io::stdin(), &mut io::sink());
    serving.end();
    Ok(())
}

/// Hosts that are served.
struct Serving {
    runtime: Runtime,
    hosts: JoinSet<()>,
    /// Dropped when they are to stop.
    stop: watch::Sender<()>,
}

impl Serving {
    /// All of them can be connected to when this returns.
    fn start(flags: &Flags) -> Result<Self> {
        let places = Places::new(flags.first, flags.port, flags.count)?;
        descriptors::raise(FILES * u64::from(flags.count) + OTHER_FILES)?;
        let nodes: Vec<Node> = places
            .addresses()
            .zip(u64::from(flags.seed)..)
            .map(|place| Node::open(flags, place))
            .collect::<Result<_>>()?;
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        // Files are looked at and passwords computed by threads that may block: for few hosts at a time.
        let builder = builder.worker_threads(flags.threads.into()).max_blocking_threads(flags.threads.into());
        let runtime = builder.enable_all().build()?;
        let samplers = nodes.iter().map(Node::sampler).collect();
        runtime.spawn(tick_all(samplers, Duration::from_secs(flags.interval)));
        let (stop, stopped) = watch::channel(());
        let mut hosts = JoinSet::new();
        for node in nodes {
            hosts.spawn_on(node.serve(stopped.clone()), runtime.handle());
        }
        if let Some(file) = &flags.file_sd {
            announce(file, &places).with_context(|| format!("cannot write {}", file.display()))?;
        }
        Ok(Self { runtime, hosts, stop })
    }

    /// What is under way gets the moment that a daemon gives it.
    fn end(self) {
        drop(self.stop);
        self.runtime.block_on(self.hosts.join_all());
    }
}

/// One after the other, evenly, each every `interval`.
async fn tick_all(samplers: Vec<SteppedSampler>, interval: Duration) {
    let step = interval / u32::try_from(samplers.len()).unwrap_or(u32::MAX);
    let mut due = Instant::now();
    loop {
        for sampler in &samplers {
            due += step;
            sleep_until(due.into()).await;
            let behind = due.elapsed();
            sampler.tick(behind > interval / 2);
            if behind > interval {
                // What was missed altogether is not made up for.
                due = Instant::now();
            }
        }
    }
}

#[cfg(test)]
mod tests;
