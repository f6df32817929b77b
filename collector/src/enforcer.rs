//! `uidmeter enforcer`, which the daemon starts, and `uidmeter release`, which undoes what it left if it died.

use std::{io::Write as _, os::fd::AsFd as _, path::PathBuf, time::Duration};

use clap::Args;
use collector::enforce::{
    Guard, process,
    start::{self, Choice, Settings, StartError},
};

use crate::failure::{Failure, HOST, PRIVILEGE, UNEXPECTED};

/// Where journal and lock are unless told otherwise.
const STATE: &str = "/var/lib/uidmeter";

#[derive(Args, Clone, Debug)]
pub(crate) struct EnforcerOptions {
    /// Folder of journal and lock
    #[arg(long, value_name = "FOLDER", default_value = STATE)]
    pub(crate) state: PathBuf,

    /// Cgroup below which groups are made [default: where cgroup v2 is mounted]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) cgroup: Option<PathBuf>,

    /// File of the audit log [default: none]
    #[arg(long, value_name = "FILE")]
    pub(crate) audit: Option<PathBuf>,

    /// How long a limit lives without being renewed
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = lease)]
    pub(crate) lease: Duration,
}

fn lease(text: &str) -> Result<Duration, String> {
    let allowed = Duration::from_secs(1)..=Duration::from_mins(10);
    let time = humantime::parse_duration(text).ok().filter(|time| allowed.contains(time));
    time.ok_or_else(|| "must be a time from 1s to 10m".into())
}

impl EnforcerOptions {
    fn settings(&self) -> Settings {
        Settings {
            driver: Choice::Cgroupfs { root: self.cgroup.clone() },
            state: self.state.clone(),
            audit: self.audit.clone(),
            lease: self.lease,
        }
    }
}

/// Serves whoever holds the other end of standard input.
pub(crate) fn run(options: &EnforcerOptions, guard: Guard) -> Result<(), Failure> {
    process::close_inherited()?;
    let socket = std::io::stdin().as_fd().try_clone_to_owned()?;
    process::shed()?;
    Ok(process::run(&options.settings(), guard, &socket)?)
}

/// Undoes what is left, and says what that was.
pub(crate) fn release(options: &EnforcerOptions) -> Result<(), Failure> {
    if !nix::unistd::geteuid().is_root() {
        return Err(Failure::new(PRIVILEGE, "limits can be released by root only".to_owned()));
    }
    let mut out = std::io::stdout().lock();
    if !options.state.is_dir() {
        writeln!(out, "nothing to release: there is no {}", options.state.display())?;
        return Ok(());
    }
    let events = start::release(&options.settings())?;
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
