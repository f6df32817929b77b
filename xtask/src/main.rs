//! `cargo xtask`: builds, tests and measures uidmeter. This file owns the command line and the exit code;
//! each command has a module of its own.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "telling a person what happens is this program's job")]

mod apt;
mod bench;
mod daemon;
mod dashboards;
mod docs;
mod ebpf;
mod fleet;
mod linker;
mod lint;
mod packages;
mod process;
mod project;
mod setup;
mod test;
mod toolchain;
mod vm;

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::project::Project;

/// Builds, tests and measures uidmeter.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Install what building, testing and measuring need; says what and why, and does nothing twice.
    Setup {
        /// Only say what is missing and would be installed.
        #[arg(long)]
        dry_run: bool,
    },
    /// Build the kernel programs into target/bpf/.
    BuildEbpf {
        /// Build with logging from the kernel programs (it slows down every event: for debugging only).
        #[arg(long)]
        debug_log: bool,
    },
    /// Build the kernel programs and the daemon: target/release/uidmeter.
    Build,
    /// Build as the current user, then start `uidmeter run`, as root if need be.
    Run {
        /// Arguments for `uidmeter run`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Write the documents that are generated from tables in code.
    Docs,
    /// Write Grafana's dashboards from their descriptions and the catalogue of metrics.
    Dashboards,
    /// Check format, clippy (host and BPF), the direction of imports and the size of files.
    Lint,
    /// Run tests by tier; without an argument, lint and every tier.
    Test {
        /// Which tiers to run.
        tiers: Vec<test::Tier>,
    },
    /// Hold packaging/ against the real programs that read it.
    Fleet {
        /// Only checks whose name contains this.
        #[arg(long)]
        filter: Option<String>,
    },
    /// Boot Debian's kernels in QEMU and run the kernel suite in each.
    VmTest(vm::Arguments),
    /// Measure.
    #[command(subcommand)]
    Bench(bench::Bench),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match Project::find().and_then(|project| perform(&project, arguments.command)) {
        Ok(true) => ExitCode::SUCCESS,
        // Whoever found the failure has reported it already.
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Does what was asked; `false` means that a check failed and was reported.
fn perform(project: &Project, verb: Verb) -> Result<bool> {
    match verb {
        Verb::Setup { dry_run } => setup::everything(project, dry_run).map(|()| true),
        Verb::BuildEbpf { debug_log } => ebpf::build(project, ebpf::Options { debug_log }).map(|()| true),
        Verb::Build => daemon::build(project).map(|()| true),
        Verb::Run { arguments } => daemon::run(project, &arguments).map(|()| true),
        Verb::Docs => docs::command(project).map(|()| true),
        Verb::Dashboards => dashboards::command(project).map(|()| true),
        Verb::Lint => lint::command(project),
        Verb::Test { tiers } => Ok(test::command(project, &tiers)),
        Verb::Fleet { filter } => fleet::run(project, filter.as_deref()).map(|counts| counts.failed == 0),
        Verb::VmTest(arguments) => vm::command(project, &arguments),
        Verb::Bench(bench) => bench::command(project, &bench),
    }
}
