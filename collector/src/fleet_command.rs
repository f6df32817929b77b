//! `uidmeter fleet`: prints what the library says, and how far it has come.

use std::{
    io::{self, IsTerminal as _, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use collector::fleet::{FleetCommand, rotate, targets, verify};

use crate::failure::{Failure, UNEXPECTED};

/// Does what was asked. Hosts that are not healthy are told on standard output, and in the exit code.
pub(crate) fn run(command: &FleetCommand) -> Result<ExitCode, Failure> {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    match command {
        FleetCommand::Targets(flags) => {
            write!(io::stdout(), "{}", targets::run(flags, home.as_deref())?)?;
            Ok(ExitCode::SUCCESS)
        }
        FleetCommand::Verify(flags) => {
            let progress = Progress::new();
            let verified = verify::run(flags, home.as_deref(), &mut |done, all| progress.show(done, all));
            progress.clear();
            let verified = verified?;
            write!(io::stdout(), "{}", verified.text)?;
            Ok(if verified.healthy { ExitCode::SUCCESS } else { UNEXPECTED.into() })
        }
        FleetCommand::Rotate(flags) => {
            // What has been done is done, whoever reads of it.
            rotate::run(flags, home.as_deref(), &mut |line| drop(writeln!(io::stdout(), "{line}")))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// A line on a terminal that is written again and again. Elsewhere, nothing.
struct Progress {
    is_terminal: bool,
}

impl Progress {
    fn new() -> Self {
        Self { is_terminal: io::stderr().is_terminal() }
    }

    fn show(&self, done: usize, all: usize) {
        self.write(&format!("{done} of {all} targets have been asked"));
    }

    fn clear(&self) {
        self.write("");
    }

    /// `CSI K` clears the rest of the line (ECMA-48, 8.3.41).
    fn write(&self, text: &str) {
        if self.is_terminal {
            // Nobody is left to tell if standard error is closed.
            let _ = write!(io::stderr(), "\r{text}\u{1b}[K");
        }
    }
}
