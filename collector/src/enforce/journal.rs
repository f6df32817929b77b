//! What is about to be changed, on storage before it is changed: whoever comes after a dead enforcer knows what to undo.
//!
//! One record a line: a checksum and JSON. A record that is damaged or cut is skipped: it was still being written, so what it
//! announces was never done, or it tells that something is done, and undoing that again changes nothing. Owns its file, and a
//! lock beside it that makes this process the only one that acts. Never touches a cgroup.

mod file;

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

pub(super) use file::Store;
use serde::{Deserialize, Serialize};

use super::{
    driver::{Group, Kind},
    value::Value,
};
use crate::{limits::Property, units::Uid};

/// Longer files are rewritten with what still matters.
const LONG: u64 = 1 << 20;
/// A longer journal is not ours: nothing writes one.
const MOST_BYTES: u64 = 64 << 20;
/// A longer record is not ours.
const MOST_RECORD_BYTES: usize = 64 << 10;

/// Why nothing may be changed now.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Disk full, most likely.
    #[error("cannot write the journal {path}, so nothing is limited: {source}", path = path.display())]
    Write {
        /// File.
        path: PathBuf,
        /// What happened.
        source: io::Error,
    },
    /// It cannot be known what an earlier enforcer left.
    #[error("cannot read the journal {path}: {source}", path = path.display())]
    Read {
        /// File.
        path: PathBuf,
        /// What happened.
        source: io::Error,
    },
    /// Another process acts already.
    #[error("another enforcer is at work: it holds the lock {path}", path = path.display())]
    Locked {
        /// Lock file.
        path: PathBuf,
    },
}

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Entry {
    /// A property is about to be written. `old` is what was there before the first such record.
    Take {
        /// Whose.
        uid: Uid,
        /// Where.
        group: Group,
        /// What.
        property: Property,
        /// To be put back one day.
        old: Value,
        /// About to be written.
        new: Value,
    },
    /// A property is no longer ours.
    Gave {
        /// Whose.
        uid: Uid,
        /// What.
        property: Property,
    },
    /// What a driver has to remember.
    Note(Note),
    /// Nothing is left to undo for this user.
    Done {
        /// Whose.
        uid: Uid,
    },
}

/// What the driver for cgroupfs is about to do beside writing values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Note {
    /// Controllers are enabled for the children of a cgroup.
    Enabled {
        /// Of which cgroup.
        cgroup: PathBuf,
        /// Names.
        controllers: Vec<String>,
    },
    /// A cgroup is made, or the file in which systemd keeps a property.
    Made {
        /// For whom.
        uid: Option<Uid>,
        /// Its path.
        cgroup: PathBuf,
    },
    /// A process is moved to the group of its user, or, without a user, out of the way.
    Moved {
        /// Whose group.
        uid: Option<Uid>,
        /// Process.
        pid: u32,
        /// When it was started, in clock ticks since boot: a later process of the same number is another one.
        start: u64,
        /// Where it was.
        from: PathBuf,
    },
}

/// A record as it stands in the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    sequence: u64,
    boot: String,
    driver: Kind,
    entry: Entry,
}

/// A property that is not as it was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// What was found.
    pub old: Value,
    /// What has been written, or was about to be: the last is the one that is wanted.
    pub new: Vec<Value>,
}

/// What is to be undone for one user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// His group, if any property was touched.
    pub group: Option<Group>,
    /// What was touched.
    pub taken: BTreeMap<Property, Taken>,
}

/// What the journal tells.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Legacy {
    /// Who wrote it; `None` if there is nothing to undo.
    pub driver: Option<Kind>,
    /// By user.
    pub users: BTreeMap<Uid, Left>,
    /// For the driver.
    pub notes: Vec<Note>,
    /// Records that could not be read.
    pub damaged: usize,
}

/// The journal, open for writing.
pub struct Journal {
    store: Box<dyn Store>,
    path: PathBuf,
    boot: String,
    driver: Kind,
    sequence: u64,
    length: u64,
    /// The end of the file may be half a record.
    torn: bool,
    /// Held as long as this process may act.
    _lock: Option<nix::fcntl::Flock<fs::File>>,
}

impl Journal {
    /// Takes the lock within `patience` and reads what an earlier enforcer left in this boot.
    pub fn open(path: &Path, driver: Kind, patience: Duration) -> Result<(Self, Legacy), JournalError> {
        let lock = file::lock(&path.with_extension("lock"), patience)?;
        let path = path.to_owned();
        let read = |source| JournalError::Read { path: path.clone(), source };
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").map_err(read)?;
        let store = file::FileStore::open(&path).map_err(read)?;
        let bytes = file::read(&path, MOST_BYTES).map_err(read)?;
        let (journal, legacy) = Self::over(Box::new(store), path, boot.trim(), driver, &bytes);
        Ok((Self { _lock: Some(lock), ..journal }, legacy))
    }

    /// Over a store that holds `bytes` already.
    pub(super) fn over(store: Box<dyn Store>, path: PathBuf, boot: &str, driver: Kind, bytes: &[u8]) -> (Self, Legacy) {
        let (legacy, sequence) = replay(bytes, boot);
        let length = bytes.len() as u64;
        let torn = bytes.last().is_some_and(|last| *last != b'\n');
        (Self { store, path, boot: boot.to_owned(), driver, sequence, length, torn, _lock: None }, legacy)
    }

    /// From here on records are of this driver.
    pub(super) fn change_driver(&mut self, driver: Kind) {
        self.driver = driver;
    }

    /// Returns once the records are on storage, all or (after an error) none of them to be relied on.
    pub fn append(&mut self, entries: &[Entry]) -> Result<(), JournalError> {
        let mut text = Vec::new();
        if self.torn {
            text.push(b'\n');
        }
        for entry in entries {
            self.sequence += 1;
            text.extend(self.line(self.sequence, entry)?);
        }
        self.torn = true;
        self.store.append(&text).map_err(|source| self.unwritable(source))?;
        self.torn = false;
        self.length += text.len() as u64;
        Ok(())
    }

    /// Whether there is no record in it.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Whether so much has been appended that [`Self::replace`] is worth it.
    pub fn is_long(&self) -> bool {
        self.length > LONG
    }

    /// Replaces all records at once.
    pub fn replace(&mut self, entries: &[Entry]) -> Result<(), JournalError> {
        let mut text = Vec::new();
        for entry in entries {
            self.sequence += 1;
            text.extend(self.line(self.sequence, entry)?);
        }
        self.store.replace(&text).map_err(|source| self.unwritable(source))?;
        self.torn = false;
        self.length = text.len() as u64;
        Ok(())
    }

    fn line(&self, sequence: u64, entry: &Entry) -> Result<Vec<u8>, JournalError> {
        let record = Record { sequence, boot: self.boot.clone(), driver: self.driver.clone(), entry: entry.clone() };
        let json = serde_json::to_string(&record).map_err(|error| self.unwritable(io::Error::other(error)))?;
        Ok(format!("{} {json}\n", checksum(json.as_bytes())).into_bytes())
    }

    fn unwritable(&self, source: io::Error) -> JournalError {
        JournalError::Write { path: self.path.clone(), source }
    }
}

/// What is left to undo, and the last sequence number. Takes any bytes.
pub(super) fn replay(bytes: &[u8], boot: &str) -> (Legacy, u64) {
    let mut legacy = Legacy::default();
    let mut last = 0;
    for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let Some(record) = parse(line) else {
            legacy.damaged += 1;
            continue;
        };
        last = last.max(record.sequence);
        // Cgroups and runtime properties end with their boot.
        if record.boot != boot {
            continue;
        }
        legacy.driver = Some(record.driver);
        match record.entry {
            Entry::Take { uid, group, property, old, new } => {
                let left = legacy.users.entry(uid).or_default();
                left.group = Some(group);
                let taken = left.taken.entry(property).or_default();
                // The same in all records since it was taken; another one if giving it back could not be recorded.
                taken.old = old;
                taken.new.push(new);
            }
            Entry::Gave { uid, property } => {
                if let Some(left) = legacy.users.get_mut(&uid) {
                    left.taken.remove(&property);
                }
            }
            Entry::Note(note) => {
                if let Note::Made { uid: Some(uid), .. } | Note::Moved { uid: Some(uid), .. } = &note {
                    legacy.users.entry(*uid).or_default();
                }
                legacy.notes.push(note);
            }
            Entry::Done { uid } => {
                legacy.users.remove(&uid);
                legacy.notes.retain(|note| !note.is_of(uid));
            }
        }
    }
    (legacy, last)
}

impl Note {
    /// Whether it is about this user's group.
    pub fn is_of(&self, of: Uid) -> bool {
        matches!(self, Self::Made { uid: Some(uid), .. } | Self::Moved { uid: Some(uid), .. } if *uid == of)
    }
}

fn parse(line: &[u8]) -> Option<Record> {
    if line.len() > MOST_RECORD_BYTES {
        return None;
    }
    let (sum, json) = std::str::from_utf8(line).ok()?.split_once(' ')?;
    (sum == checksum(json.as_bytes())).then(|| serde_json::from_str(json).ok()).flatten()
}

/// Against damage, not against forgery: who can write the journal is root.
fn checksum(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    digest.as_ref().iter().take(8).fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests;
