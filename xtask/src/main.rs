//! `cargo xtask`: builds, tests and measures uidmeter. This file owns the command line alone; each command
//! has a module of its own.
#![expect(clippy::print_stdout, reason = "printing is what these commands do")]

mod ebpf;
mod linker;
mod process;
mod project;
mod toolchain;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};

use crate::linker::Linker;
use crate::project::Project;
use crate::toolchain::Toolchain;

/// Builds, tests and measures uidmeter.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Build the kernel programs into target/bpf/.
    BuildEbpf {
        /// Build with logging from the kernel programs (116 ns an event; for debugging only).
        #[arg(long)]
        debug_log: bool,
    },
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let project = Project::find()?;
    match arguments.command {
        Verb::BuildEbpf { debug_log } => {
            let toolchain = Toolchain::find()?.context("no BPF toolchain")?;
            let linker = Linker::find().context("no bpf-linker")?;
            ebpf::build(&project, &toolchain, &linker, ebpf::Options { debug_log })
        }
    }
}
