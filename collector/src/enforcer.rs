//! `uidmeter enforcer`, which the daemon starts, and `uidmeter release`, which undoes what it left if it died.

use std::{io::Write as _, os::fd::AsFd as _};

use collector::{
    config::Config,
    enforce::{
        process,
        start::{self, StartError},
    },
    pipeline::{enforcer_settings, guard},
};

use crate::failure::{Failure, HOST, PRIVILEGE, UNEXPECTED};

/// Serves whoever holds the other end of standard input.
pub(crate) fn run(config: &Config) -> Result<(), Failure> {
    process::close_inherited()?;
    let socket = std::io::stdin().as_fd().try_clone_to_owned()?;
    process::shed()?;
    let guard = guard(config.limits.policy_file.clone())?;
    Ok(process::run(&enforcer_settings(&config.limits), guard, &socket)?)
}

/// Undoes what is left, and says what that was.
pub(crate) fn release(config: &Config) -> Result<(), Failure> {
    if !nix::unistd::geteuid().is_root() {
        return Err(Failure::new(PRIVILEGE, "limits can be released by root only".to_owned()));
    }
    let mut out = std::io::stdout().lock();
    if !config.limits.journal.exists() {
        writeln!(out, "nothing to release: there is no {}", config.limits.journal.display())?;
        return Ok(());
    }
    let events = start::release(&enforcer_settings(&config.limits))?;
    for event in &events {
        writeln!(out, "released user {}", event.uid)?;
    }
    if events.is_empty() {
        writeln!(out, "nothing to release")?;
    }
    Ok(())
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        let code = match error {
            StartError::Driver { .. } => HOST,
            StartError::Journal(_) | StartError::Owed { .. } => UNEXPECTED,
        };
        Self::new(code, error.to_string())
    }
}
