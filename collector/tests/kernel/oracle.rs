//! The kernel's own figures: CPU time of a cgroup, and the books of single tasks under `/proc`.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

/// How a cgroup tells its CPU time.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// `cpuacct.usage` of cgroup v1: nanoseconds.
    V1,
    /// `cpu.stat` of cgroup v2: microseconds.
    V2,
}

/// A cgroup made for one test; removed at its end.
pub(crate) struct Cgroup {
    path: PathBuf,
    kind: Kind,
}

impl Cgroup {
    pub(crate) fn new() -> io::Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let (root, kind) = hierarchy()?;
        let name = format!("uidmeter-test-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let path = root.join(name);
        fs::create_dir(&path)?;
        Ok(Self { path, kind })
    }

    /// The file through which processes join.
    pub(crate) fn procs(&self) -> PathBuf {
        self.path.join("cgroup.procs")
    }

    /// CPU time so far, in nanoseconds.
    pub(crate) fn cpu_ns(&self) -> io::Result<u64> {
        usage(&self.path, self.kind)
    }

    /// CPU time once it no longer grows: everybody in the group is asleep or dead, and has left the CPU.
    pub(crate) fn settled_cpu_ns(&self) -> io::Result<u64> {
        let deadline = Instant::now() + Duration::from_secs(10);
        let mut last = self.cpu_ns()?;
        loop {
            thread::sleep(Duration::from_millis(30));
            let now = self.cpu_ns()?;
            if now == last || Instant::now() > deadline {
                return Ok(now);
            }
            last = now;
        }
    }

    /// By how much its figure is rounded, in nanoseconds.
    pub(crate) fn rounding_ns(&self) -> u64 {
        match self.kind {
            Kind::V1 => 0,
            // Two readings, each rounded down to a microsecond.
            Kind::V2 => 1_000,
        }
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(2);
        while fs::remove_dir(&self.path).is_err() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// CPU time of all tasks of the host but the idle ones, if this kernel tells it to the nanosecond.
pub(crate) fn host_cpu_ns() -> io::Result<Option<u64>> {
    match hierarchy()? {
        (root, Kind::V1) => usage(&root, Kind::V1).map(Some),
        // The root of v2 reports what the scheduler tick sampled.
        (_, Kind::V2) => Ok(None),
    }
}

fn usage(path: &Path, kind: Kind) -> io::Result<u64> {
    let (file, scale) = match kind {
        Kind::V1 => ("cpuacct.usage", 1),
        Kind::V2 => ("cpu.stat", 1_000),
    };
    let text = fs::read_to_string(path.join(file))?;
    let value = match kind {
        Kind::V1 => Some(text.trim()),
        Kind::V2 => text.lines().find_map(|line| line.strip_prefix("usage_usec ")),
    };
    let value: u64 = value.and_then(|value| value.parse().ok()).ok_or(io::ErrorKind::InvalidData)?;
    Ok(value * scale)
}

/// The `cpuacct` hierarchy where there is one or one can be mounted, since it tells nanoseconds; else cgroup v2.
fn hierarchy() -> io::Result<(PathBuf, Kind)> {
    if let Some(root) = mounted("cgroup", Some("cpuacct"))? {
        return Ok((root, Kind::V1));
    }
    let own = PathBuf::from("/tmp/uidmeter-test-cpuacct");
    fs::create_dir_all(&own)?;
    let mounted_now = Command::new("mount").args(["-t", "cgroup", "-o", "cpuacct", "cpuacct"]).arg(&own).output();
    if mounted_now.is_ok_and(|output| output.status.success()) {
        return Ok((own, Kind::V1));
    }
    mounted("cgroup2", None)?
        .map(|root| (root, Kind::V2))
        .ok_or_else(|| io::Error::other("no cgroup file system is mounted"))
}

pub(crate) fn mounted(r#type: &str, option: Option<&str>) -> io::Result<Option<PathBuf>> {
    let mounts = fs::read_to_string("/proc/mounts")?;
    Ok(mounts.lines().find_map(|line| {
        let fields: Vec<_> = line.split(' ').collect();
        let wanted = fields.get(2) == Some(&r#type)
            && option.is_none_or(|option| fields.get(3).is_some_and(|all| all.split(',').any(|one| one == option)));
        fields.get(1).filter(|_| wanted).map(PathBuf::from)
    }))
}

/// The kernel's books of a task or of several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TaskBooks {
    pub(crate) wait_ns: u64,
    pub(crate) timeslices: u64,
    pub(crate) voluntary_switches: u64,
    pub(crate) involuntary_switches: u64,
    pub(crate) minor_faults: u64,
    pub(crate) major_faults: u64,
}

impl TaskBooks {
    /// Of all threads of `pid`.
    pub(crate) fn of_process(pid: u32) -> io::Result<Self> {
        let mut sum = Self::default();
        for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
            sum.add(&Self::of_thread(&thread?.path())?);
        }
        Ok(sum)
    }

    fn of_thread(task: &Path) -> io::Result<Self> {
        let read = |file| fs::read_to_string(task.join(file));
        let numbers = |text: &str| text.split_whitespace().map(|word| word.parse().unwrap_or(0)).collect::<Vec<u64>>();
        let schedstat = numbers(&read("schedstat")?);
        let status = read("status")?;
        let switches = |key| {
            let line = status.lines().find_map(|line| line.strip_prefix(key));
            line.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
        };
        // After the command's name, which may contain anything: state is field 3, minflt field 10, majflt field 12.
        let stat = read("stat")?;
        let stat = numbers(stat.rsplit_once(')').map_or("", |(_, rest)| rest));
        let field = |fields: &[u64], i: usize| fields.get(i).copied().unwrap_or(0);
        Ok(Self {
            wait_ns: field(&schedstat, 1),
            timeslices: field(&schedstat, 2),
            voluntary_switches: switches("voluntary_ctxt_switches:"),
            involuntary_switches: switches("nonvoluntary_ctxt_switches:"),
            minor_faults: field(&stat, 7),
            major_faults: field(&stat, 9),
        })
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.wait_ns += other.wait_ns;
        self.timeslices += other.timeslices;
        self.voluntary_switches += other.voluntary_switches;
        self.involuntary_switches += other.involuntary_switches;
        self.minor_faults += other.minor_faults;
        self.major_faults += other.major_faults;
    }

    pub(crate) fn since(&self, base: &Self) -> Self {
        Self {
            wait_ns: self.wait_ns - base.wait_ns,
            timeslices: self.timeslices - base.timeslices,
            voluntary_switches: self.voluntary_switches - base.voluntary_switches,
            involuntary_switches: self.involuntary_switches - base.involuntary_switches,
            minor_faults: self.minor_faults - base.minor_faults,
            major_faults: self.major_faults - base.major_faults,
        }
    }
}
