//! `uidmeter enforcer`, which the daemon starts, and `uidmeter release`, which undoes what it left if it died.

use std::{io::Write as _, os::fd::AsFd as _, path::PathBuf, time::Duration};

use clap::Args;
use collector::enforce::{
    Guard, process,
    start::{self, Choice, Settings, StartError},
};

use crate::failure::{Failure, HOST, PRIVILEGE, UNEXPECTED};

#[derive(Args, Clone, Debug)]
pub(crate) struct EnforcerOptions {
    /// Who sets limits: systemd where it runs, or uidmeter in the file system of cgroup v2
    #[arg(long, value_name = "NAME", default_value = "auto", value_parser = driver)]
    pub(crate) driver: Choice,

    /// Folder of cgroup v2 below which the driver cgroupfs makes groups
    #[arg(long, value_name = "FOLDER", default_value = "/sys/fs/cgroup")]
    pub(crate) cgroup_root: PathBuf,

    /// File that remembers what was changed
    #[arg(long, value_name = "FILE", default_value = "/var/lib/uidmeter/limits.journal")]
    pub(crate) journal: PathBuf,

    /// File of the audit log [default: none]
    #[arg(long, value_name = "FILE")]
    pub(crate) audit_log: Option<PathBuf>,

    /// How long a limit lives without being renewed
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = lease)]
    pub(crate) lease: Duration,
}

fn driver(text: &str) -> Result<Choice, String> {
    match text {
        "auto" => Ok(Choice::Auto),
        "systemd" => Ok(Choice::Systemd),
        "cgroupfs" => Ok(Choice::Cgroupfs),
        _ => Err("must be auto, systemd or cgroupfs".to_owned()),
    }
}

fn lease(text: &str) -> Result<Duration, String> {
    let allowed = Duration::from_secs(1)..=Duration::from_hours(1);
    let time = humantime::parse_duration(text).ok().filter(|time| allowed.contains(time));
    time.ok_or_else(|| "must be a time from 1s to 1h".into())
}

impl EnforcerOptions {
    fn settings(&self) -> Settings {
        Settings {
            driver: self.driver,
            root: self.cgroup_root.clone(),
            journal: self.journal.clone(),
            audit: self.audit_log.clone(),
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
    if !options.journal.exists() {
        writeln!(out, "nothing to release: there is no {}", options.journal.display())?;
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
