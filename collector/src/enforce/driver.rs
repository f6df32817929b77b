//! The border between what is held and how a host is changed: every driver sets the same properties in its own words, and
//! tells by a typed [`Fault`] why it could not.

use std::{
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    journal::{Journal, JournalError, Note},
    value::Value,
};
use crate::{
    limits::{Limits, Property},
    units::Uid,
};

/// Which driver, with what it needs to be opened again: the journal names it, so that the right one undoes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Kind {
    /// Direct writes to cgroup v2.
    Cgroupfs {
        /// The cgroup under which groups are made.
        root: PathBuf,
    },
    /// D-Bus calls to PID 1.
    Systemd,
}

/// A user's group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// Path of the cgroup, or name of the unit.
    pub place: String,
    /// Differs between two groups that were at the same place one after the other.
    pub life: u64,
}

/// Changes groups. A call returns within a few seconds, whatever the host does.
pub trait Driver {
    /// Which one.
    fn kind(&self) -> Kind;

    /// Takes note of what the journal tells of an earlier enforcer.
    fn recall(&mut self, note: Note);

    /// What would have to be recalled if this process died now.
    fn notes(&self) -> Vec<Note>;

    /// The group of `uid`, ready for values. Makes it if this driver makes groups.
    fn prepare(&mut self, uid: Uid, journal: &mut Journal) -> Result<Group, Fault>;

    /// Sees to it that all processes of these users are in their groups; the faults by user. Does nothing where that is not
    /// the driver's to do.
    fn gather(&mut self, users: &[(Uid, Group)], journal: &mut Journal) -> Vec<(Uid, Fault)>;

    /// What to write to `property` for `amount` (see [`Limits::get`]), rounded as the kernel rounds.
    fn express(&mut self, group: &Group, property: Property, amount: u64) -> Result<Value, Fault>;

    /// The value at present.
    fn read(&mut self, group: &Group, property: Property) -> Result<Value, Fault>;

    /// Writes these parts, in an order that the kernel accepts.
    fn write(&mut self, group: &Group, property: Property, parts: &Value) -> Result<(), Fault>;

    /// What the kernel enforces in the group at present.
    fn in_force(&mut self, group: &Group) -> Result<Limits, Fault>;

    /// The group's cgroup.
    fn cgroup(&mut self, group: &Group) -> Result<PathBuf, Fault>;

    /// Leaves the group of `uid` as if it had never been used; its values have been put back.
    fn disband(&mut self, uid: Uid, journal: &mut Journal) -> Result<(), Fault>;

    /// Nobody is limited any more: undoes what was done for all users together.
    fn finish(&mut self, journal: &mut Journal) -> Result<(), Fault>;
}

/// Why a group could not be changed or read. Every message is one sentence.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// `ENOENT` or `ENODEV` of a group that was there before.
    #[error("the group {group} is gone")]
    Vanished {
        /// Which.
        group: String,
    },
    /// `EBUSY`.
    #[error("the kernel cannot set {path} to {text:?} now, because what it bounds is in use (EBUSY)", path = path.display())]
    Busy {
        /// File.
        path: PathBuf,
        /// What was written.
        text: String,
    },
    /// `EINVAL` or `ERANGE`.
    #[error("the kernel refuses {text:?} for {path} as out of range (EINVAL)", path = path.display())]
    Invalid {
        /// File.
        path: PathBuf,
        /// What was written.
        text: String,
    },
    /// `EPERM`, `EACCES` or `EROFS`.
    #[error("this process may not change {path}; it must be root, and the file system writable", path = path.display())]
    NotPermitted {
        /// File.
        path: PathBuf,
    },
    /// `ENODEV`.
    #[error("the kernel knows no such device: {text:?} for {path} (ENODEV)", path = path.display())]
    NoDevice {
        /// File.
        path: PathBuf,
        /// What was written.
        text: String,
    },
    /// The file for a property is missing.
    #[error("{group} has no {file}: this kernel lacks it, or its controller is not enabled there")]
    Missing {
        /// Group.
        group: String,
        /// File.
        file: &'static str,
    },
    /// Any other failure.
    #[error("cannot {what} {path}: {source}", path = path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// With what.
        path: PathBuf,
        /// What came of it.
        source: io::Error,
    },
    /// Nothing was changed.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Written without an error, yet not there.
    #[error("{property} of {group} was set to {wanted} and is {found}", property = property.name())]
    NotShown {
        /// Group.
        group: String,
        /// Property.
        property: Property,
        /// What was written.
        wanted: String,
        /// What was read.
        found: String,
    },
    /// There is no group to limit.
    #[error("{unit} is not active: the user is not logged in, and what he runs outside of his slice cannot be limited")]
    NotLoggedIn {
        /// His slice.
        unit: String,
    },
    /// Processes that could not be moved.
    #[error("{count} processes of user {uid} are still outside of {group}: {why}")]
    Outside {
        /// Whose.
        uid: Uid,
        /// How many.
        count: usize,
        /// Which group.
        group: String,
        /// What happened to the last one.
        why: String,
    },
    /// Nothing is limited there any more, but processes are.
    #[error("cannot empty the group {group}, in which nothing is limited any more: {why}")]
    Stuck {
        /// Group.
        group: String,
        /// What happened.
        why: String,
    },
    /// PID 1 did not do it.
    #[error("systemd does not {what} {unit}: {why}")]
    Bus {
        /// What was asked.
        what: &'static str,
        /// For which unit.
        unit: String,
        /// What it said, or that it did not answer in time.
        why: String,
    },
}

impl Fault {
    /// Whether there is nothing left that could be put back.
    pub fn is_vanished(&self) -> bool {
        matches!(self, Self::Vanished { .. } | Self::NotLoggedIn { .. })
    }

    /// Why `text` could not be written to `path`, which is still there or not.
    pub(super) fn of_write(path: &Path, text: &str, source: io::Error, is_there: bool) -> Self {
        let (path, text) = (path.to_owned(), text.to_owned());
        match source.raw_os_error() {
            Some(libc::EBUSY) => Self::Busy { path, text },
            Some(libc::EINVAL | libc::ERANGE) => Self::Invalid { path, text },
            Some(libc::EPERM | libc::EACCES | libc::EROFS) => Self::NotPermitted { path },
            // A file of a group that is being removed fails with ENODEV (`cgroup_file_write`, kernfs), and so does an
            // unknown disk.
            Some(libc::ENODEV) if is_there => Self::NoDevice { path, text },
            Some(libc::ENOENT | libc::ENODEV) => Self::Vanished { group: parent(&path) },
            _ => Self::Io { what: "write to", path, source },
        }
    }

    /// Why `path` could not be read.
    pub(super) fn of_read(path: &Path, source: io::Error) -> Self {
        match source.raw_os_error() {
            Some(libc::ENOENT | libc::ENODEV) => Self::Vanished { group: parent(path) },
            _ => Self::Io { what: "read", path: path.to_owned(), source },
        }
    }
}

fn parent(path: &Path) -> String {
    path.parent().unwrap_or(path).display().to_string()
}
