//! Before anything is limited: finds out how this host can be limited, becomes the only one who does, and undoes what an
//! enforcer left that died.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::{
    cgroupfs::{Cgroupfs, host::RealHost},
    driver::{Driver, Kind},
    event::{Deed, Event},
    journal::{Journal, JournalError, Legacy},
    keeper::Keeper,
    outcome::Outcome,
    systemd::Systemd,
};
use crate::units::Uid;

/// How [`Settings::describe`] names the driver for systemd.
pub const SYSTEMD: &str = "systemd";
/// How long another enforcer may take to put everything back and end.
const PATIENCE: Duration = Duration::from_secs(5);
/// Where cgroup v2 is mounted when it is the only version.
const MOUNT: &str = "/sys/fs/cgroup";

/// Which driver is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// systemd where it runs, else cgroupfs.
    Auto,
    /// systemd.
    Systemd,
    /// Direct writes.
    Cgroupfs,
}

/// What an enforcer has to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How to limit.
    pub driver: Choice,
    /// Cgroup below which direct writes happen: where cgroup v2 is mounted, or a delegated one.
    pub root: PathBuf,
    /// The journal, in a folder that nobody but root may write to. It should survive a crash, and need not survive a boot.
    pub journal: PathBuf,
    /// The audit log, if one is wanted.
    pub audit: Option<PathBuf>,
    /// How long a limit lives without being renewed.
    pub lease: Duration,
}

/// Why nothing can be limited although the host could.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No journal, or not the only one.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Something of a dead enforcer is left.
    #[error("user {uid} is still limited by an earlier enforcer, and that cannot be undone: {why}")]
    Owed {
        /// Who.
        uid: Uid,
        /// Why.
        why: String,
    },
    /// It cannot be undone with what this host has now.
    #[error("an earlier enforcer has limited users in a way that this host does not have any more: {why}")]
    Driver {
        /// What is missing.
        why: String,
    },
}

/// Ready to limit, or why this host cannot be.
pub struct Started {
    /// Who limits.
    pub keeper: Result<Keeper, String>,
    /// What was undone.
    pub events: Vec<Event>,
}

impl Settings {
    /// How users are limited, in a few words.
    pub fn describe(&self) -> String {
        match self.kind() {
            Kind::Cgroupfs { root } => format!("direct writes below {}", root.display()),
            Kind::Systemd => SYSTEMD.to_owned(),
        }
    }

    fn kind(&self) -> Kind {
        match self.driver {
            Choice::Auto if is_managed() => Kind::Systemd,
            Choice::Systemd => Kind::Systemd,
            Choice::Auto | Choice::Cgroupfs => Kind::Cgroupfs { root: self.root.clone() },
        }
    }
}

/// Whether systemd is the first process (`sd_booted(3)`).
fn is_managed() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

/// Opens a driver; `Err` tells why this host has none such.
fn driver(kind: &Kind) -> Result<Box<dyn Driver>, String> {
    match kind {
        Kind::Systemd if !is_managed() => Err("monitor only: systemd does not run on this host".to_owned()),
        Kind::Systemd => Ok(Box::new(Systemd::open(Path::new(MOUNT))?)),
        Kind::Cgroupfs { root } if is_managed() && root == Path::new(MOUNT) => Err(format!(
            "monitor only: systemd owns all cgroups of this host; direct writes need a cgroup that was delegated, not {MOUNT}"
        )),
        Kind::Cgroupfs { root } => Ok(Box::new(Cgroupfs::open(RealHost::new(root), root)?)),
    }
}

/// Undoes what a dead enforcer left, and is ready to limit.
pub fn start(settings: &Settings) -> Result<Started, StartError> {
    let kind = settings.kind();
    let (journal, legacy) = Journal::open(&settings.journal, kind.clone(), PATIENCE)?;
    let now = Instant::now();
    let (mut keeper, before) = match legacy.driver.clone() {
        Some(before) => {
            let driver = driver(&before).map_err(|why| StartError::Driver { why })?;
            (Keeper::new(driver, journal, legacy, settings.lease, now), before)
        }
        None => match driver(&kind) {
            Ok(driver) => (Keeper::new(driver, journal, legacy, settings.lease, now), kind.clone()),
            Err(why) => return Ok(Started { keeper: Err(why), events: Vec::new() }),
        },
    };
    keeper.tick(now);
    let events = keeper.events();
    if before == kind {
        return Ok(Started { keeper: Ok(keeper), events });
    }
    nothing_owed(&keeper, &events)?;
    let mut journal = keeper.into_journal();
    journal.change_driver(kind.clone());
    let keeper = driver(&kind).map(|driver| Keeper::new(driver, journal, Legacy::default(), settings.lease, now));
    Ok(Started { keeper, events })
}

/// Undoes what a dead enforcer left, and ends; tells what was done. Twice does nothing more.
pub fn release(settings: &Settings) -> Result<Vec<Event>, StartError> {
    let (journal, legacy) = Journal::open(&settings.journal, settings.kind(), PATIENCE)?;
    let Some(kind) = legacy.driver.clone() else {
        return Ok(Vec::new());
    };
    let driver = driver(&kind).map_err(|why| StartError::Driver { why })?;
    let now = Instant::now();
    let mut keeper = Keeper::new(driver, journal, legacy, settings.lease, now);
    keeper.tick(now);
    let events = keeper.events();
    nothing_owed(&keeper, &events)?;
    Ok(events)
}

fn nothing_owed(keeper: &Keeper, events: &[Event]) -> Result<(), StartError> {
    let Some(uid) = keeper.owed().next() else { return Ok(()) };
    let why = events.iter().rev().find_map(|event| match &event.outcome {
        Outcome::Failed { why } if event.uid == uid && event.deed == Deed::Restore => Some(why.clone()),
        _ => None,
    });
    Err(StartError::Owed { uid, why: why.unwrap_or_default() })
}
