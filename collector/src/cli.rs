//! What can be said on the command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use collector::{
    config::{ObserveFlags, ServeFlags},
    token::TokenCommand,
};

use crate::failure;

/// Exact CPU time and run-queue latency of every user, from the kernel's own books
#[derive(Debug, Parser)]
#[command(name = "uidmeter", version, after_help = failure::EXIT_CODES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Observe this host and serve its figures to Prometheus, until SIGTERM or SIGINT
    #[command(after_help = failure::EXIT_CODES)]
    Run {
        #[command(flatten)]
        observe: ObserveFlags,
        #[command(flatten)]
        serve: ServeFlags,
    },
    /// Show the users of this host by CPU, refreshed until interrupted
    #[command(after_help = failure::EXIT_CODES)]
    Top {
        #[command(flatten)]
        observe: ObserveFlags,
        #[command(flatten)]
        options: TopOptions,
    },
    /// Make keys and tokens with which Prometheus may read this host's figures
    #[command(after_help = failure::EXIT_CODES)]
    Token {
        #[command(subcommand)]
        command: TokenCommand,
    },
    /// Tell what this host has and what it lacks, without changing anything
    #[command(after_help = failure::EXIT_CODES)]
    Doctor {
        /// File with the kernel's type information
        #[arg(long, value_name = "FILE", default_value = "/sys/kernel/btf/vmlinux")]
        btf: PathBuf,
    },
}

#[derive(Args, Clone, Debug)]
pub(crate) struct TopOptions {
    /// Time between two tables
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = humantime::parse_duration)]
    pub(crate) interval: std::time::Duration,

    /// Stop after this many tables; 0 means never
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    pub(crate) tables: u64,

    /// Users to show
    #[arg(long, value_name = "NUMBER", default_value_t = 20)]
    pub(crate) users: usize,
}
