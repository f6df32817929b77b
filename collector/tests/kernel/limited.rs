//! A cgroup with a limit on memory, of either version, and what the kernel tells of it.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use crate::oracle::mounted;

/// Made for one test; removed at its end.
pub(crate) struct LimitedGroup {
    path: PathBuf,
    /// The folder above, if it was made here, too.
    above: Option<PathBuf>,
    v2: bool,
}

impl LimitedGroup {
    /// In which processes that want more than `limit` bytes are killed.
    pub(crate) fn hard(limit: u64) -> io::Result<Self> {
        Self::new(limit, "memory.max")
    }

    /// In which processes that want more than `limit` bytes have to free some first.
    pub(crate) fn soft(limit: u64) -> io::Result<Self> {
        Self::new(limit, "memory.high")
    }

    /// The slice of `uid`, with a hard limit.
    pub(crate) fn slice_of(uid: u32, limit: u64) -> io::Result<Self> {
        let (root, v2) = root()?;
        let users = root.join("user.slice");
        let above = if users.is_dir() { None } else { fs::create_dir(&users).map(|()| Some(users.clone()))? };
        let mut group = Self::made(users.join(format!("user-{uid}.slice")), v2, limit, "memory.max")?;
        group.above = above;
        Ok(group)
    }

    fn new(limit: u64, v2_file: &str) -> io::Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let (root, v2) = root()?;
        let name = format!("uidmeter-test-memory-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        Self::made(root.join(name), v2, limit, v2_file)
    }

    fn made(path: PathBuf, v2: bool, limit: u64, v2_file: &str) -> io::Result<Self> {
        if let Some(above) = path.parent().filter(|_| v2) {
            // In a test machine, whose root is nobody else's; harmless where it is so already.
            fs::write(above.join("cgroup.subtree_control"), "+memory")?;
        }
        fs::create_dir(&path)?;
        let group = Self { path, above: None, v2 };
        fs::write(group.path.join(if v2 { v2_file } else { "memory.limit_in_bytes" }), limit.to_string())?;
        Ok(group)
    }

    /// The file through which processes join.
    pub(crate) fn procs(&self) -> PathBuf {
        self.path.join("cgroup.procs")
    }

    /// Whether it is a cgroup of version 2.
    pub(crate) fn is_v2(&self) -> bool {
        self.v2
    }

    /// Times that a limit was hit, soft or hard.
    pub(crate) fn hits(&self) -> io::Result<u64> {
        if self.v2 {
            let events = self.path.join("memory.events");
            Ok(value(&events, "high ")? + value(&events, "max ")?)
        } else {
            value(&self.path.join("memory.failcnt"), "")
        }
    }

    /// Processes killed for this group's memory.
    pub(crate) fn kills(&self) -> io::Result<u64> {
        value(&self.path.join(if self.v2 { "memory.events" } else { "memory.oom_control" }), "oom_kill ")
    }

    /// Time in which some task of the group was stalled on memory, in nanoseconds, if the kernel tells.
    pub(crate) fn stalled_ns(&self) -> Option<u64> {
        let text = fs::read_to_string(self.path.join("memory.pressure")).ok()?;
        let total = text.lines().find_map(|line| line.strip_prefix("some ")?.rsplit_once("total="))?.1;
        total.trim().parse::<u64>().ok().map(|micros| micros * 1_000)
    }
}

impl Drop for LimitedGroup {
    fn drop(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(2);
        for path in [Some(&self.path), self.above.as_ref()].into_iter().flatten() {
            while fs::remove_dir(path).is_err() && Instant::now() < deadline {
                thread::sleep(Duration::from_millis(10));
            }
        }
    }
}

/// Where cgroups with limits on memory are, and whether they are of version 2.
fn root() -> io::Result<(PathBuf, bool)> {
    Ok(match mounted("cgroup", Some("memory"))? {
        Some(root) => (root, false),
        None => (mounted("cgroup2", None)?.ok_or_else(|| io::Error::other("no cgroup file system"))?, true),
    })
}

/// The number after `key` at the beginning of a line.
fn value(file: &Path, key: &str) -> io::Result<u64> {
    let text = fs::read_to_string(file)?;
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.trim().parse().ok());
    value.ok_or_else(|| io::Error::other(format!("{} has no {key:?}", file.display())))
}
