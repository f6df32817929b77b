//! What can be said on the command line.

use clap::{Arg, Args, Parser, Subcommand};
use collector::{
    config::{ObserveFlags, RunFlags},
    fleet::FleetCommand,
    init::InitFlags,
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
    /// Observe this host and serve its figures to Prometheus, until SIGTERM or SIGINT; SIGHUP reloads the configuration
    #[command(after_help = failure::EXIT_CODES)]
    Run {
        #[command(flatten)]
        flags: RunFlags,
    },
    /// Write what this host needs to be scraped, and tell what is to be done at the other end
    #[command(after_help = failure::EXIT_CODES)]
    Init {
        #[command(flatten)]
        flags: InitFlags,
    },
    /// Tell everything that is wrong with the configuration, without starting anything
    #[command(after_help = failure::EXIT_CODES)]
    CheckConfig {
        /// Print every value in force, and where it comes from
        #[arg(long)]
        effective: bool,
        #[command(flatten)]
        flags: RunFlags,
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
    /// Serve Prometheus with many hosts: name them, ask them, change their tokens and keys
    #[command(after_help = failure::EXIT_CODES)]
    Fleet {
        #[command(subcommand)]
        command: FleetCommand,
    },
    /// Check a policy for limits, and try it on a series of observations; limits nobody
    #[command(after_help = failure::EXIT_CODES)]
    Policy {
        #[command(subcommand)]
        command: PolicyCommand,
    },
    /// Ask the daemon who is limited and why, and override it
    #[command(after_help = failure::EXIT_CODES)]
    Limits {
        #[command(subcommand)]
        command: LimitsCommand,
    },
    /// Give back every limit that an enforcer left when it died
    #[command(after_help = failure::EXIT_CODES, mut_args(about_limits))]
    Release {
        #[command(flatten)]
        flags: RunFlags,
    },
    /// Hold limits for the daemon at the other end of standard input, which starts this by itself
    #[command(hide = true)]
    Enforcer {
        #[command(flatten)]
        flags: RunFlags,
    },
    /// Tell what this host has and what it lacks, and what watching it costs
    #[command(after_help = failure::EXIT_CODES)]
    Doctor {
        #[command(flatten)]
        options: DoctorOptions,
        #[command(flatten)]
        flags: RunFlags,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum LimitsCommand {
    /// Tell who is limited, and whether that works
    #[command(mut_args(about_the_daemon))]
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        flags: RunFlags,
    },
    /// Tell everything about one user: rule, reason with its numbers, and what is out of reach
    #[command(mut_args(about_the_daemon))]
    Explain {
        /// Name or UID
        #[arg(value_name = "USER")]
        user: String,
        #[command(flatten)]
        flags: RunFlags,
    },
    /// Keep a limited user's limits as they are, whatever is measured, until released
    #[command(mut_args(about_the_daemon))]
    Hold {
        /// Name or UID
        #[arg(value_name = "USER")]
        user: String,
        #[command(flatten)]
        flags: RunFlags,
    },
    /// Release a user at once, and leave him alone for a while
    #[command(mut_args(about_the_daemon))]
    Release {
        /// Name or UID
        #[arg(value_name = "USER")]
        user: String,
        /// How long
        #[arg(long = "for", value_name = "TIME", default_value = "1h", value_parser = humantime::parse_duration)]
        time: std::time::Duration,
        #[command(flatten)]
        flags: RunFlags,
    },
}

/// Every setting can be given, as to the daemon itself; only those about limits are worth a line of help.
fn about_limits(arg: Arg) -> Arg {
    let is_noise = arg.get_help_heading().is_some() && !arg.get_id().as_str().starts_with("limits.");
    if is_noise { arg.hide(true) } else { arg }
}

/// As [`about_limits`], where only the daemon is asked.
fn about_the_daemon(arg: Arg) -> Arg {
    let is_noise = arg.get_help_heading().is_some() && arg.get_id() != "limits.control-socket";
    if is_noise { arg.hide(true) } else { arg }
}

impl LimitsCommand {
    /// Where the daemon is found.
    pub(crate) fn flags(&self) -> &RunFlags {
        match self {
            Self::List { flags, .. }
            | Self::Explain { flags, .. }
            | Self::Hold { flags, .. }
            | Self::Release { flags, .. } => flags,
        }
    }
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Tell everything that is wrong with a policy file
    Check {
        /// The policy file
        #[arg(value_name = "FILE")]
        file: std::path::PathBuf,
    },
    /// Tell what a policy would have done in the course of a recorded or hand-written series
    Test {
        /// The policy file
        #[arg(value_name = "FILE")]
        file: std::path::PathBuf,
        #[command(flatten)]
        options: PolicyTestOptions,
    },
}

#[derive(Args, Clone, Debug)]
pub(crate) struct PolicyTestOptions {
    /// JSON Lines, one observation a line, as docs/LIMITS.md describes them; - for standard input
    #[arg(long, value_name = "SERIES")]
    pub(crate) series: std::path::PathBuf,

    /// Print one JSON object for each decision
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct DoctorOptions {
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,

    /// Measure for this long what each kernel program costs: those of a running uidmeter, or else our own, which are
    /// loaded for that time; needs root [default if given without a value: 1s]
    #[arg(long, value_name = "TIME", num_args = 0..=1, require_equals = true, default_missing_value = "1s",
          value_parser = measuring_time)]
    pub(crate) measure: Option<std::time::Duration>,
}

/// Long enough to see something, short enough to wait for.
fn measuring_time(text: &str) -> Result<std::time::Duration, String> {
    let allowed = std::time::Duration::from_millis(100)..=std::time::Duration::from_mins(1);
    let time = humantime::parse_duration(text).ok().filter(|time| allowed.contains(time));
    time.ok_or_else(|| "must be a time from 100ms to 1m".into())
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
