//! `loadtests`: what uidmeter costs and withstands. One subcommand per question; each runs for a bounded time on
//! this machine, prints tables, and compares what it found with its targets.
//!
//! This file owns the command line and the exit code: 0 if every target is met, 1 if one is missed, 2 if nothing
//! could be measured.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "telling a person what was found is this program's job")]

mod attack;
mod child;
mod daemon;
mod descriptors;
mod fleet;
mod interrupt;
mod nodes;
mod overhead;
mod pipe;
mod policy;
mod program;
mod reference;
mod scrape;
mod simulate;
mod spread;
mod table;
mod target;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

const MISSED: u8 = 1;
const NOT_MEASURED: u8 = 2;

/// What uidmeter costs and withstands, as figures that anyone can repeat
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    question: Question,
}

#[derive(Debug, Subcommand)]
enum Question {
    /// The cost of a context switch, of `perf bench sched pipe` and of an idle machine, with uidmeter on and off
    Overhead(overhead::Flags),
    /// The cost of a scrape of a thousand users in each format, beside other exporters
    Scrape(scrape::Flags),
    /// What one evaluation of a policy costs for a thousand users
    Policy(policy::Flags),
    /// Serves users who do not exist, for the other tests
    #[command(hide = true)]
    Simulate(simulate::Flags),
    /// Whether Prometheus can watch a thousand simulated hosts, and what that costs both sides
    Fleet(fleet::Flags),
    /// Serves many simulated hosts, each at a loopback address of its own, until standard input ends
    Nodes(nodes::Flags),
    /// Whether scrapes come through while the web server is under attack; what TLS and tokens cost
    Attack(attack::Flags),
    /// The server that `attack` attacks
    #[command(hide = true)]
    Attacked(attack::server::Flags),
}

fn main() -> ExitCode {
    let met = match Cli::parse().question {
        Question::Overhead(flags) => overhead::run(&flags),
        Question::Scrape(flags) => scrape::run(&flags),
        Question::Policy(flags) => policy::run(&flags),
        Question::Simulate(flags) => simulate::run(&flags).map(|()| true),
        Question::Fleet(flags) => fleet::run(&flags),
        Question::Nodes(flags) => nodes::run(&flags).map(|()| true),
        Question::Attack(flags) => attack::run(&flags),
        Question::Attacked(flags) => attack::server::run(&flags),
    };
    match met {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => MISSED.into(),
        Err(error) => {
            eprintln!("loadtests: {error:#}");
            NOT_MEASURED.into()
        }
    }
}
