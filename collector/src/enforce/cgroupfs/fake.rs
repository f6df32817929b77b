//! A kernel in memory, with the rules of cgroup v2 that the driver has to respect, that dies at a given step.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    rc::Rc,
};

use super::{
    PROCS, SUBTREE,
    host::{Host, Process},
};
use crate::{enforce::journal::Store, units::Uid};

/// Steps that may still be done; everything that changes anything takes one.
#[derive(Clone, Debug)]
pub(in crate::enforce) struct Life(Rc<Cell<usize>>);

impl Life {
    pub(in crate::enforce) fn of(steps: usize) -> Self {
        Self(Rc::new(Cell::new(steps)))
    }

    pub(in crate::enforce) fn left(&self) -> usize {
        self.0.get()
    }

    pub(in crate::enforce) fn step(&self) -> io::Result<()> {
        let left = self.0.get().checked_sub(1).ok_or_else(|| io::Error::other("dead"))?;
        self.0.set(left);
        Ok(())
    }
}

/// A journal's bytes that outlive their writer.
pub(in crate::enforce) struct FakeStore {
    pub(in crate::enforce) bytes: Rc<RefCell<Vec<u8>>>,
    pub(in crate::enforce) life: Life,
    /// So many more bytes fit.
    pub(in crate::enforce) room: Rc<Cell<usize>>,
    pub(in crate::enforce) is_dead: bool,
}

impl FakeStore {
    /// One with room for everything.
    pub(in crate::enforce) fn new(bytes: &Rc<RefCell<Vec<u8>>>, life: &Life) -> Self {
        Self { bytes: Rc::clone(bytes), life: life.clone(), room: Rc::new(Cell::new(usize::MAX)), is_dead: false }
    }
}

impl Store for FakeStore {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Err(dead) = self.life.step() {
            // Who dies while he writes leaves a part.
            let half = if self.is_dead { 0 } else { bytes.len() / 2 };
            self.is_dead = true;
            self.bytes.borrow_mut().extend(&bytes[..half]);
            return Err(dead);
        }
        let fits = bytes.len().min(self.room.get());
        self.bytes.borrow_mut().extend(&bytes[..fits]);
        self.room.set(self.room.get() - fits);
        if fits == bytes.len() { Ok(()) } else { Err(io::ErrorKind::StorageFull.into()) }
    }

    fn replace(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.life.step()?;
        *self.bytes.borrow_mut() = bytes.to_vec();
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::enforce) struct Group {
    identity: u64,
    pub(in crate::enforce) files: BTreeMap<String, String>,
}

/// What is there; two hosts that are alike in it are alike for everybody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::enforce) struct State {
    pub(in crate::enforce) groups: BTreeMap<PathBuf, Group>,
    /// Process and its cgroup.
    pub(in crate::enforce) processes: BTreeMap<u32, (Process, PathBuf)>,
}

/// The kernel; clones share it, as processes do.
#[derive(Clone)]
pub(in crate::enforce) struct Kernel {
    pub(in crate::enforce) state: Rc<RefCell<State>>,
    pub(in crate::enforce) life: Life,
    /// Fails writes to files of this name with this number.
    pub(in crate::enforce) refuses: Rc<RefCell<BTreeMap<String, i32>>>,
    /// Takes writes to files of these names and does nothing.
    pub(in crate::enforce) swallows: Rc<RefCell<BTreeSet<String>>>,
    /// Every process that is moved leaves a child behind, so many times.
    pub(in crate::enforce) storm: Rc<Cell<u32>>,
    born: Rc<Cell<u64>>,
}

pub(in crate::enforce) const ROOT: &str = "/cg";

impl Kernel {
    pub(in crate::enforce) fn new() -> Self {
        let kernel = Self {
            state: Rc::default(),
            life: Life::of(usize::MAX),
            refuses: Rc::default(),
            swallows: Rc::default(),
            storm: Rc::default(),
            born: Rc::new(Cell::new(100)),
        };
        let files = [("cgroup.controllers", "cpu io memory"), (SUBTREE, "")];
        let files = files.map(|(name, text)| (name.to_owned(), text.to_owned())).into();
        kernel.state.borrow_mut().groups.insert(ROOT.into(), Group { identity: 1, files });
        kernel
    }

    pub(in crate::enforce) fn living(&self, steps: usize) -> Self {
        Self { life: Life::of(steps), ..self.clone() }
    }

    /// An admin's or a service manager's own cgroup.
    pub(in crate::enforce) fn group(&self, name: &str) -> io::Result<PathBuf> {
        let path = Path::new(ROOT).join(name);
        self.clone().living(1).make(&path)?;
        Ok(path)
    }

    pub(in crate::enforce) fn start(&self, pid: u32, uid: u32, parent: u32, group: &Path) {
        self.born.set(self.born.get() + 1);
        let process = Process { pid, start: self.born.get(), parent, uid: Uid(uid), is_dead: false };
        self.state.borrow_mut().processes.insert(pid, (process, group.to_owned()));
    }

    pub(in crate::enforce) fn place_of(&self, pid: u32) -> PathBuf {
        self.state.borrow().processes[&pid].1.clone()
    }

    /// Writes as somebody else does.
    pub(in crate::enforce) fn admin(&self, path: &Path, text: &str) -> io::Result<()> {
        self.living(1).write(path, text)
    }

    /// Those controllers that a group's parent has enabled for it.
    fn update_files(state: &mut State, parent: &Path) {
        let enabled = state.groups[parent].files.get(SUBTREE).cloned().unwrap_or_default();
        let children: Vec<PathBuf> =
            state.groups.keys().filter(|path| path.parent() == Some(parent)).cloned().collect();
        for child in children {
            let Some(Group { files, .. }) = state.groups.get_mut(&child) else { continue };
            for (name, text) in DEFAULTS {
                let controller = name.split('.').next().unwrap_or_default();
                if !enabled.split(' ').any(|enabled| enabled == controller) {
                    files.remove(*name);
                } else if !files.contains_key(*name) {
                    files.insert((*name).to_owned(), (*text).to_owned());
                }
            }
            files.insert("cgroup.controllers".to_owned(), enabled.clone());
        }
    }

    fn write_now(&self, path: &Path, text: &str) -> io::Result<()> {
        let error = |number| Err(io::Error::from_raw_os_error(number));
        let mut state = self.state.borrow_mut();
        let (folder, name) = split(path)?;
        let folder = folder.to_owned();
        let Some(group) = state.groups.get(&folder).cloned() else { return error(libc::ENOENT) };
        if let Some(number) = self.refuses.borrow().get(name) {
            return error(*number);
        }
        if self.swallows.borrow().contains(name) {
            return Ok(());
        }
        let text = text.trim();
        match name {
            PROCS => {
                let pid: u32 = text.parse().map_err(io::Error::other)?;
                if folder != Path::new(ROOT) && !group.files[SUBTREE].is_empty() {
                    return error(libc::EBUSY);
                }
                let Some((process, before)) = state.processes.get(&pid).cloned() else { return error(libc::ESRCH) };
                state.processes.insert(pid, (process.clone(), folder));
                drop(state);
                if self.storm.get() > 0 {
                    self.storm.set(self.storm.get() - 1);
                    let child = 10_000 + self.storm.get();
                    self.start(child, process.uid.0, pid, &before);
                }
                return Ok(());
            }
            SUBTREE => {
                let mut enabled: Vec<String> = group.files[SUBTREE].split(' ').map(str::to_owned).collect();
                enabled.retain(|name| !name.is_empty());
                let (sign, controller) = text.split_at(1);
                enabled.retain(|name| name != controller);
                if sign == "+" {
                    let is_top = !group.files.contains_key("cgroup.type");
                    if !is_top && state.processes.values().any(|(_, place)| *place == folder) {
                        return error(libc::EBUSY);
                    }
                    if !group.files["cgroup.controllers"].split(' ').any(|has| has == controller) {
                        return error(libc::ENOENT);
                    }
                    enabled.push(controller.to_owned());
                }
                enabled.sort();
                if let Some(group) = state.groups.get_mut(&folder) {
                    group.files.insert(SUBTREE.to_owned(), enabled.join(" "));
                }
                Self::update_files(&mut state, &folder);
                return Ok(());
            }
            "cpu.max" | "cpu.max.burst" => {
                let value = |of: &str| {
                    let text = if name == of { text } else { &group.files[of] };
                    text.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or(u64::MAX)
                };
                if value("cpu.max.burst") > value("cpu.max") {
                    return error(libc::EINVAL);
                }
            }
            _ => {}
        }
        let Some(old) = group.files.get(name) else { return error(libc::ENOENT) };
        let new = match name {
            "io.max" => merged(old, text)?,
            "io.weight" => format!("default {text}"),
            _ => text.to_owned(),
        };
        if let Some(group) = state.groups.get_mut(&folder) {
            group.files.insert(name.to_owned(), new);
        }
        Ok(())
    }
}

const DEFAULTS: &[(&str, &str)] = &[
    ("cpu.weight", "100"),
    ("cpu.max", "max 100000"),
    ("cpu.max.burst", "0"),
    ("memory.high", "max"),
    ("memory.max", "max"),
    ("memory.min", "0"),
    ("io.weight", "default 100"),
    ("io.max", ""),
];

/// Folder and name of a file.
fn split(path: &Path) -> io::Result<(&Path, &str)> {
    let name = path.file_name().and_then(|name| name.to_str());
    path.parent().zip(name).ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

/// `io.max` after a write of one line; a disk without limits has none.
fn merged(old: &str, line: &str) -> io::Result<String> {
    let mut lines: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for text in old.lines().chain([line]) {
        let (disk, rest) = text.split_once(' ').ok_or(io::ErrorKind::InvalidInput)?;
        let rates = lines.entry(disk.to_owned()).or_default();
        rates
            .extend(rest.split(' ').filter_map(|word| word.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())));
    }
    lines.retain(|_, rates| rates.values().any(|rate| rate != "max"));
    let line = |(disk, rates): (&String, &BTreeMap<String, String>)| {
        let rate = |key: &str| rates.get(key).map_or("max", String::as_str).to_owned();
        format!("{disk} rbps={} wbps={}", rate("rbps"), rate("wbps"))
    };
    Ok(lines.iter().map(line).collect::<Vec<_>>().join("\n"))
}

impl Host for Kernel {
    fn is_cgroup2(&self, path: &Path) -> io::Result<bool> {
        Ok(path.starts_with(ROOT))
    }

    fn read(&self, path: &Path) -> io::Result<String> {
        let state = self.state.borrow();
        let gone = || io::Error::from_raw_os_error(libc::ENOENT);
        let (folder, name) = split(path)?;
        let group = state.groups.get(folder).ok_or_else(gone)?;
        if name == PROCS {
            let pids = state.processes.values().filter(|(_, place)| place == folder);
            return Ok(pids.map(|(process, _)| process.pid.to_string()).collect::<Vec<_>>().join("\n"));
        }
        group.files.get(name).map(|text| format!("{text}\n")).ok_or_else(gone)
    }

    fn write(&mut self, path: &Path, text: &str) -> io::Result<()> {
        self.life.step()?;
        self.write_now(path, text)
    }

    fn make(&mut self, path: &Path) -> io::Result<()> {
        self.life.step()?;
        self.born.set(self.born.get() + 1);
        let files = [("cgroup.controllers", ""), (SUBTREE, ""), ("cgroup.type", "domain")];
        let files = files.map(|(name, text)| (name.to_owned(), text.to_owned())).into();
        let mut state = self.state.borrow_mut();
        state.groups.insert(path.to_owned(), Group { identity: self.born.get(), files });
        Self::update_files(&mut state, split(path)?.0);
        Ok(())
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        self.life.step()?;
        let mut state = self.state.borrow_mut();
        if state.processes.values().any(|(process, place)| place == path && !process.is_dead) {
            return Err(io::Error::from_raw_os_error(libc::EBUSY));
        }
        state.groups.remove(path).map(drop).ok_or_else(|| io::Error::from_raw_os_error(libc::ENOENT))
    }

    fn children(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(self.state.borrow().groups.keys().filter(|child| child.parent() == Some(path)).cloned().collect())
    }

    fn identity(&self, path: &Path) -> io::Result<u64> {
        let group = self.state.borrow().groups.get(path).map(|group| group.identity);
        group.ok_or_else(|| io::Error::from_raw_os_error(libc::ENOENT))
    }

    fn processes(&self) -> io::Result<Vec<u32>> {
        Ok(self.state.borrow().processes.keys().copied().collect())
    }

    fn owner(&self, pid: u32) -> Option<Uid> {
        Some(self.process(pid)?.uid)
    }

    fn process(&self, pid: u32) -> Option<Process> {
        Some(self.state.borrow().processes.get(&pid)?.0.clone())
    }

    fn cgroup(&self, pid: u32) -> Option<PathBuf> {
        Some(self.state.borrow().processes.get(&pid)?.1.clone())
    }

    fn disks(&self) -> Vec<String> {
        vec!["8:0".to_owned(), "8:16".to_owned()]
    }
}
