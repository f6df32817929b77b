//! `uidmeter check-config`: everything that is wrong with file and flags, or what is in force. Starts nothing.

use std::io::Write as _;

use collector::config::{DEFAULT_FILE, Loaded, RunFlags, document};

use crate::failure::Failure;

/// Prints what was found; mistakes are the failure, with the exit code that `uidmeter run` would have.
pub(crate) fn run(flags: &RunFlags, effective: bool) -> Result<(), Failure> {
    let loaded = Loaded::new(flags)?;
    let mut out = std::io::stdout().lock();
    if effective {
        write!(out, "{}", document::effective(&loaded))?;
        return Ok(());
    }
    match &loaded.file {
        Some(path) => writeln!(out, "fine: {}", path.display())?,
        None => writeln!(out, "fine: there is no {DEFAULT_FILE}, so flags and defaults are in force")?,
    }
    Ok(())
}
