//! Direct writes to cgroup v2, for hosts without systemd or in a subtree delegated to uidmeter: one group per user, into which
//! all his processes are moved.
//!
//! Only processes under its root are moved, and each goes back to where it was. Everything that is made or moved is journalled
//! first. The rules are those of `Documentation/admin-guide/cgroup-v2.rst`, "Top-down Constraint" and "No Internal Process
//! Constraint".

pub(super) mod files;
pub(super) mod host;
mod members;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use self::host::Host;
use super::{
    driver::{Driver, Fault, Group, Kind},
    journal::{Entry, Journal, Note},
    value::Value,
};
use crate::{
    limits::{Limits, Property},
    units::Uid,
};

/// The controllers that limits need. Those that the host lacks are not enabled, and their properties are refused.
const CONTROLLERS: [&str; 3] = ["cpu", "memory", "io"];
const SUBTREE: &str = "cgroup.subtree_control";
const PROCS: &str = "cgroup.procs";
/// Where processes of a delegated root wait while it has groups beside them.
const REST: &str = "uidmeter-rest";

/// Where a process was before it was moved.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Origin {
    start: u64,
    from: PathBuf,
}

/// What was done beside values.
#[derive(Debug, Default)]
struct Done {
    /// Controllers that were enabled, by cgroup.
    enabled: Vec<(PathBuf, Vec<String>)>,
    /// Groups that were made.
    made: Vec<(Option<Uid>, PathBuf)>,
    /// Processes that were moved, by user and number.
    moved: BTreeMap<(Option<Uid>, u32), Origin>,
}

/// The driver.
pub struct Cgroupfs<H> {
    host: H,
    root: PathBuf,
    done: Done,
}

impl<H: Host> Cgroupfs<H> {
    /// Acts below `root`, a cgroup of version 2. `Err` tells what was found instead.
    pub fn open(host: H, root: &Path) -> Result<Self, String> {
        let shown = root.display();
        if root.to_str().is_none_or(|root| root.contains(['\n', '\0'])) {
            return Err(format!("monitor only: the name of {shown} is no plain text"));
        }
        match host.is_cgroup2(root) {
            Ok(true) => {}
            Ok(false) => {
                return Err(format!(
                    "monitor only: {shown} is no cgroup of version 2; limits need a kernel started without cgroup v1"
                ));
            }
            Err(error) => return Err(format!("monitor only: cannot look at {shown}: {error}")),
        }
        let text = host.read(&root.join("cgroup.controllers"));
        let text = text.map_err(|error| format!("monitor only: cannot read the controllers of {shown}: {error}"))?;
        if !CONTROLLERS.iter().any(|name| text.split_whitespace().any(|found| found == *name)) {
            return Err(format!(
                "monitor only: {shown} has none of the controllers cpu, memory and io, but {:?}; they belong to cgroup v1 \
                 on this host, or were not delegated",
                text.trim()
            ));
        }
        Ok(Self { host, root: root.to_owned(), done: Done::default() })
    }

    fn place(&self, uid: Uid) -> PathBuf {
        self.root.join(format!("uidmeter-{uid}"))
    }

    fn read_text(&self, path: &Path) -> Result<String, Fault> {
        self.host.read(path).map_err(|error| Fault::of_read(path, error))
    }

    fn write_text(&mut self, path: &Path, text: &str) -> Result<(), Fault> {
        let result = self.host.write(path, text);
        result.map_err(|error| Fault::of_write(path, text, error, self.host.read(path).is_ok()))
    }

    fn words(&self, path: &Path) -> Result<Vec<String>, Fault> {
        Ok(self.read_text(path)?.split_whitespace().map(str::to_owned).collect())
    }

    /// Enables for the root's children what the host has and they need.
    fn enable(&mut self, journal: &mut Journal) -> Result<(), Fault> {
        let has = self.words(&self.root.join("cgroup.controllers"))?;
        let enabled = self.words(&self.root.join(SUBTREE))?;
        let missing: Vec<String> = CONTROLLERS
            .iter()
            .filter(|name| has.iter().any(|has| has == *name) && !enabled.iter().any(|enabled| enabled == *name))
            .map(|name| (*name).to_owned())
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        if !self.is_top() {
            self.make_room(journal)?;
        }
        let note = Note::Enabled { cgroup: self.root.clone(), controllers: missing.clone() };
        journal.append(&[Entry::Note(note.clone())])?;
        self.recall(note);
        // One at a time: one that cannot be enabled, such as cpu beside real-time processes, costs its properties only.
        let mut fault = None;
        for name in &missing {
            fault = self.write_text(&self.root.join(SUBTREE), &format!("+{name}")).err().or(fault);
        }
        let enabled = self.words(&self.root.join(SUBTREE))?;
        match fault {
            Some(fault) if !CONTROLLERS.iter().any(|name| enabled.iter().any(|enabled| enabled == *name)) => Err(fault),
            _ => Ok(()),
        }
    }

    /// Whether the root is the kernel's own: it has no type, and may have processes beside groups.
    fn is_top(&self) -> bool {
        self.host.read(&self.root.join("cgroup.type")).is_err()
    }

    /// Makes a group, unless it is there.
    fn make(&mut self, uid: Option<Uid>, path: &Path, journal: &mut Journal) -> Result<(), Fault> {
        if self.host.identity(path).is_ok() {
            return Ok(());
        }
        let note = Note::Made { uid, cgroup: path.to_owned() };
        journal.append(&[Entry::Note(note.clone())])?;
        self.recall(note);
        self.host.make(path).map_err(|source| match source.raw_os_error() {
            Some(libc::EPERM | libc::EACCES | libc::EROFS) => Fault::NotPermitted { path: path.to_owned() },
            _ => Fault::Io { what: "make the group", path: path.to_owned(), source },
        })
    }

    /// Disables what was enabled, unless one of the root's other children has come to use it.
    fn disable(&mut self) -> Result<(), Fault> {
        let mut fault = None;
        for (cgroup, controllers) in self.done.enabled.clone() {
            let children = self.host.children(&cgroup).map_err(|error| Fault::of_read(&cgroup, error))?;
            for name in controllers.iter().rev() {
                let used = children.iter().any(|child| files::is_used(&self.host, child, name));
                if !used {
                    fault = self.write_text(&cgroup.join(SUBTREE), &format!("-{name}")).err().or(fault);
                }
            }
        }
        match fault {
            Some(fault) if !fault.is_vanished() => Err(fault),
            _ => {
                self.done.enabled.clear();
                Ok(())
            }
        }
    }
}

impl<H: Host> Driver for Cgroupfs<H> {
    fn kind(&self) -> Kind {
        Kind::Cgroupfs { root: self.root.clone() }
    }

    fn recall(&mut self, note: Note) {
        match note {
            Note::Enabled { cgroup, controllers } => self.done.enabled.push((cgroup, controllers)),
            Note::Made { uid, cgroup } => self.done.made.push((uid, cgroup)),
            Note::Moved { uid, pid, start, from } => {
                self.done.moved.insert((uid, pid), Origin { start, from });
            }
        }
    }

    fn notes(&self) -> Vec<Note> {
        let Done { enabled, made, moved } = &self.done;
        let enabled = enabled.iter().cloned().map(|(cgroup, controllers)| Note::Enabled { cgroup, controllers });
        let made = made.iter().cloned().map(|(uid, cgroup)| Note::Made { uid, cgroup });
        let moved = moved
            .iter()
            // Of those that have ended, nobody has to know where they were.
            .filter(|((_, pid), origin)| self.host.process(*pid).is_some_and(|process| process.start == origin.start))
            .map(|((uid, pid), origin)| Note::Moved {
                uid: *uid,
                pid: *pid,
                start: origin.start,
                from: origin.from.clone(),
            });
        enabled.chain(made).chain(moved).collect()
    }

    fn prepare(&mut self, uid: Uid, journal: &mut Journal) -> Result<Group, Fault> {
        self.enable(journal)?;
        let path = self.place(uid);
        self.make(Some(uid), &path, journal)?;
        let life = self.host.identity(&path).map_err(|error| Fault::of_read(&path, error))?;
        Ok(Group { place: path.display().to_string(), life })
    }

    fn gather(&mut self, users: &[(Uid, Group)], journal: &mut Journal) -> Vec<(Uid, Fault)> {
        self.move_in(users, journal)
    }

    fn express(&mut self, group: &Group, property: Property, amount: u64) -> Result<Value, Fault> {
        let disks = self.host.disks();
        files::express(group, property, amount, &disks)
    }

    fn read(&mut self, group: &Group, property: Property) -> Result<Value, Fault> {
        let disks = self.host.disks();
        files::read(&self.host, group, property, &disks)
    }

    fn write(&mut self, group: &Group, property: Property, parts: &Value) -> Result<(), Fault> {
        for (path, text) in files::steps(&self.host, group, property, parts) {
            self.write_text(&path, &text)?;
        }
        Ok(())
    }

    fn in_force(&mut self, group: &Group) -> Result<Limits, Fault> {
        let disks = self.host.disks();
        files::in_force(&self.host, Path::new(&group.place), &disks)
    }

    fn cgroup(&mut self, group: &Group) -> Result<PathBuf, Fault> {
        Ok(PathBuf::from(&group.place))
    }

    fn disband(&mut self, uid: Uid, _journal: &mut Journal) -> Result<(), Fault> {
        let path = self.place(uid);
        self.move_back(Some(uid), &path)?;
        self.remove(Some(uid), &path)
    }

    fn finish(&mut self, _journal: &mut Journal) -> Result<(), Fault> {
        self.disable()?;
        let rest = self.root.join(REST);
        self.move_back(None, &rest)?;
        self.remove(None, &rest)
    }
}

#[cfg(test)]
pub(super) mod fake;

#[cfg(test)]
pub(super) mod tests;
