//! `uidmeter`: the command line. Parses, calls the library, and alone chooses exit codes.

mod check_config;
mod cli;
mod doctor;
mod enforcer;
mod failure;
mod fleet_command;
mod limits_command;
mod policy_test;
mod top;

use std::{
    io::{IsTerminal as _, Write as _},
    process::ExitCode,
    time::SystemTime,
};

use clap::Parser as _;
use collector::{
    config::{Loaded, Observe},
    init, pipeline, token,
};

use self::{
    cli::{Cli, Command},
    failure::Failure,
};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() => return Failure::from(error).report(),
        // Not a mistake, but help or the version that was asked for.
        Err(answer) => return if answer.print().is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE },
    };
    start_log();
    match execute(cli.command) {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}

fn execute(command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Run { flags } => pipeline::run(&Loaded::new(&flags)?)?,
        Command::Init { flags } => write!(std::io::stdout(), "{}", init::run(&flags, SystemTime::now())?)?,
        Command::CheckConfig { effective, flags } => check_config::run(&flags, effective)?,
        Command::Top { observe, options } => top::run(&Observe::new(&observe)?, &options)?,
        Command::Token { command } => write!(std::io::stdout(), "{}", token::run(&command, SystemTime::now())?)?,
        Command::Fleet { command } => return fleet_command::run(&command),
        Command::Policy { command } => policy_test::run(&command)?,
        Command::Enforcer { flags } => enforcer::run(&Loaded::new(&flags)?.config)?,
        Command::Limits { command } => limits_command::run(&command, &Loaded::new(command.flags())?.config)?,
        Command::Release { flags } => enforcer::release(&Loaded::new(&flags)?.config)?,
        Command::Doctor { options, flags } => return doctor::run(&options, &flags),
    }
    Ok(ExitCode::SUCCESS)
}

/// Events go to standard error; `UIDMETER_LOG` chooses which, in the syntax of `tracing_subscriber::EnvFilter`.
fn start_log() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("UIDMETER_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
}
