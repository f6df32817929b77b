//! Who is in a group: users' processes are moved in until none is left outside, and back to where they were.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    Cgroupfs, Driver as _, Entry, Fault, Group, Journal, Note, PROCS, REST, Uid,
    host::{Host, Process},
};

/// A sweep ends after two passes without a find. Whatever a user forks after his parent process has been moved is born in the
/// group, so each pass finds the children of the one before at most; who needs more passes than these is told as outside.
const MOST_PASSES: usize = 50;
/// Passes that found nobody, but in which somebody ended before he could be looked at: he may have left a child outside.
const MOST_UNSURE: usize = 10;
/// Attempts to remove a group: the last process may still be on its way out.
const MOST_REMOVALS: usize = 20;
const PAUSE: Duration = Duration::from_millis(5);

impl<H: Host> Cgroupfs<H> {
    /// Moves all processes of these users into their groups. A process that has another user by now goes back.
    pub(super) fn move_in(&mut self, users: &[(Uid, Group)], journal: &mut Journal) -> Vec<(Uid, Fault)> {
        let groups: BTreeMap<Uid, PathBuf> =
            users.iter().map(|(uid, group)| (*uid, PathBuf::from(&group.place))).collect();
        let mut failed = BTreeMap::new();
        let (mut quiet, mut unsure) = (0, 0);
        for _ in 0..MOST_PASSES {
            match self.pass(&groups, journal) {
                Ok((outside, is_sure)) if outside.is_empty() => {
                    failed.clear();
                    unsure += usize::from(!is_sure);
                    quiet += usize::from(is_sure || unsure > MOST_UNSURE);
                }
                Ok((outside, _)) => {
                    quiet = 0;
                    failed = outside;
                }
                Err(fault) => {
                    let why = fault.to_string();
                    let fault = |(uid, path): (&Uid, &PathBuf)| {
                        let group = path.display().to_string();
                        (*uid, Fault::Outside { uid: *uid, count: 0, group, why: why.clone() })
                    };
                    return groups.iter().map(fault).collect();
                }
            }
            if quiet == 2 {
                break;
            }
        }
        failed.into_iter().collect()
    }

    /// Moves whom it finds outside, and tells of them, with the reason if that failed; and whether everybody was looked at.
    ///
    /// The newest come first: in a family in which parents end as soon as they have a child, only they are still there.
    fn pass(
        &mut self,
        groups: &BTreeMap<Uid, PathBuf>,
        journal: &mut Journal,
    ) -> Result<(BTreeMap<Uid, Fault>, bool), Fault> {
        let mut inside: BTreeMap<Uid, BTreeSet<u32>> = BTreeMap::new();
        for (uid, path) in groups {
            inside.insert(*uid, self.members(path)?);
        }
        self.send_strangers_back(&inside);
        let mut all = self.host.processes().map_err(|error| Fault::of_read(Path::new("/proc"), error))?;
        all.sort_unstable_by(|one, other| other.cmp(one));
        let mut is_sure = true;
        let mut outside: BTreeMap<Uid, (usize, String)> = BTreeMap::new();
        let (mut found, mut moved) = (Vec::new(), Vec::new());
        for pid in all {
            let Some(uid) = self.host.owner(pid) else {
                is_sure &= inside.values().any(|inside| inside.contains(&pid));
                continue;
            };
            if inside.get(&uid).is_none_or(|inside| inside.contains(&pid)) {
                continue;
            }
            let Some(process) = self.host.process(pid).filter(|process| process.uid == uid) else {
                is_sure = false;
                continue;
            };
            let Some(from) = self.host.cgroup(pid).filter(|from| from.starts_with(&self.root)) else { continue };
            let Some(group) = groups.get(&uid).filter(|group| **group != from && !process.is_dead) else { continue };
            outside.entry(uid).or_insert((0, "they were just being moved".to_owned())).0 += 1;
            if self.come_from(uid, &from) {
                // Where he would be sent back to is journalled already, and he may not live until it is once more.
                self.try_move(&process, group, &mut outside);
                moved.push((process, from));
            } else {
                found.push((process, from));
            }
        }
        let all = found.iter().chain(&moved);
        self.remember(all.map(|(process, from)| (Some(process.uid), process, from.clone())), journal)?;
        for (process, _) in &found {
            if let Some(path) = groups.get(&process.uid) {
                self.try_move(process, path, &mut outside);
            }
        }
        let group = |uid: &Uid| groups.get(uid).map(|path| path.display().to_string()).unwrap_or_default();
        let fault =
            |(uid, (count, why)): (Uid, (usize, String))| (uid, Fault::Outside { uid, count, group: group(&uid), why });
        Ok((outside.into_iter().map(fault).collect(), is_sure))
    }

    /// Moves a process, or notes why that failed.
    fn try_move(&mut self, process: &Process, group: &Path, outside: &mut BTreeMap<Uid, (usize, String)>) {
        if let Err(fault) = self.attach(process, group)
            && let Some((_, why)) = outside.get_mut(&process.uid)
        {
            *why = fault.to_string();
        }
    }

    /// Whether all of a user's processes that were moved came from this cgroup.
    fn come_from(&self, uid: Uid, from: &Path) -> bool {
        let of_user = (Some(uid), 0)..=(Some(uid), u32::MAX);
        let mut origins = self.done.moved.range(of_user).map(|(_, origin)| &origin.from);
        origins.next().is_some_and(|first| first == from) && origins.all(|origin| origin == from)
    }

    /// Journals where these processes are.
    fn remember<'a>(
        &mut self,
        processes: impl Iterator<Item = (Option<Uid>, &'a Process, PathBuf)>,
        journal: &mut Journal,
    ) -> Result<(), Fault> {
        let notes: Vec<Note> = processes
            .filter(|(uid, process, _)| {
                let known = self.done.moved.get(&(*uid, process.pid));
                // Whoever was moved out by others, and is moved in again, goes back to where he was at first.
                known.is_none_or(|known| known.start != process.start)
            })
            .map(|(uid, process, from)| Note::Moved { uid, pid: process.pid, start: process.start, from })
            .collect();
        if notes.is_empty() {
            return Ok(());
        }
        let entries: Vec<Entry> = notes.iter().cloned().map(Entry::Note).collect();
        journal.append(&entries)?;
        for note in notes {
            self.recall(note);
        }
        Ok(())
    }

    /// Moves a process, unless it has ended: then another one may have its number.
    fn attach(&mut self, process: &Process, group: &Path) -> Result<(), Fault> {
        if self.host.process(process.pid).is_none_or(|now| now.start != process.start) {
            return Ok(());
        }
        let path = group.join(PROCS);
        match self.host.write(&path, &process.pid.to_string()) {
            // Gone in between is as good as gone before. Should its number belong to somebody else by now, the next pass
            // finds a stranger in the group.
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(()),
            Err(error) => {
                let is_there = self.host.identity(group).is_ok();
                Err(Fault::of_write(&path, &process.pid.to_string(), error, is_there))
            }
            Ok(()) => Ok(()),
        }
    }

    /// Processes in a group.
    fn members(&self, group: &Path) -> Result<BTreeSet<u32>, Fault> {
        let text = self.read_text(&group.join(PROCS))?;
        Ok(text.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect())
    }

    /// A process in a user's group that is not his any more, such as one that became root, goes back.
    fn send_strangers_back(&mut self, inside: &BTreeMap<Uid, BTreeSet<u32>>) {
        for (uid, pids) in inside {
            for pid in pids {
                if self.host.owner(*pid).is_none_or(|owner| owner == *uid) {
                    continue;
                }
                if let Some(process) = self.host.process(*pid).filter(|process| process.uid != *uid && !process.is_dead)
                {
                    // If that fails, the next pass tries again.
                    let _ = self.send_back(Some(*uid), &process);
                }
            }
        }
    }

    /// To where it was, or where its parent was, or as near as there still is something.
    fn send_back(&mut self, uid: Option<Uid>, process: &Process) -> Result<(), Fault> {
        let own = |pid: u32, start: Option<u64>| {
            let origin = self.done.moved.get(&(uid, pid))?;
            start.is_none_or(|start| start == origin.start).then(|| origin.from.clone())
        };
        let of_parent = || {
            let from_there = own(process.parent, None);
            let any = || self.done.moved.iter().find(|((of, _), _)| *of == uid).map(|(_, origin)| origin.from.clone());
            from_there.or_else(any)
        };
        let from = own(process.pid, Some(process.start)).or_else(of_parent).unwrap_or_else(|| self.root.clone());
        let from = if from.starts_with(&self.root) { from } else { self.root.clone() };
        let mut result = Ok(());
        let root = self.root.clone();
        let rest = root.join(REST);
        // Above the root is not ours. A root that may not have processes has a place for them.
        let above = from.ancestors().take_while(|path| path.starts_with(&root));
        for path in above.chain([rest.as_path()]) {
            result = self.attach(process, path);
            if result.is_ok() {
                break;
            }
        }
        result
    }

    /// Moves everybody out of a group.
    pub(super) fn move_back(&mut self, uid: Option<Uid>, group: &Path) -> Result<(), Fault> {
        let mut fault = None;
        for _ in 0..MOST_PASSES {
            let members = match self.members(group) {
                Err(fault) if fault.is_vanished() => return Ok(()),
                members => members?,
            };
            let living: Vec<Process> = members.iter().filter_map(|pid| self.host.process(*pid)).collect();
            if living.iter().all(|process| process.is_dead) {
                return Ok(());
            }
            for process in living.iter().filter(|process| !process.is_dead) {
                fault = self.send_back(uid, process).err().or(fault);
            }
        }
        let group = group.display().to_string();
        let why =
            fault.map_or_else(|| "new ones appear faster than they can be moved".to_owned(), |fault| fault.to_string());
        Err(Fault::Stuck { group, why })
    }

    /// Removes a group that we made.
    pub(super) fn remove(&mut self, uid: Option<Uid>, group: &Path) -> Result<(), Fault> {
        if self.done.made.iter().any(|(of, path)| *of == uid && path == group) {
            let mut result = Ok(());
            for _ in 0..MOST_REMOVALS {
                result = self.host.remove(group);
                match &result {
                    Err(error) if error.raw_os_error() == Some(libc::EBUSY) => std::thread::sleep(PAUSE),
                    _ => break,
                }
            }
            match result {
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {}
                Err(source) => return Err(Fault::Io { what: "remove the group", path: group.to_owned(), source }),
                Ok(()) => {}
            }
        }
        self.done.made.retain(|(of, path)| !(*of == uid && path == group));
        self.done.moved.retain(|(of, _), _| *of != uid);
        Ok(())
    }

    /// Moves the processes of a delegated root out of the way: with processes of its own it may not have groups that are
    /// limited.
    pub(super) fn make_room(&mut self, journal: &mut Journal) -> Result<(), Fault> {
        let rest = self.root.join(REST);
        self.make(None, &rest, journal)?;
        let root = self.root.clone();
        for _ in 0..MOST_PASSES {
            let members = self.members(&root)?;
            if members.is_empty() {
                break;
            }
            let living: Vec<Process> = members.iter().filter_map(|pid| self.host.process(*pid)).collect();
            self.remember(living.iter().map(|process| (None, process, root.clone())), journal)?;
            for process in &living {
                self.attach(process, &rest)?;
            }
        }
        Ok(())
    }
}
