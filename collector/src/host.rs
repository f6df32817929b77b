//! The whole host beside its users: CPU time by mode, memory, pressure, load, and a few events. So that a user's figures
//! can be divided by the host's from one endpoint.
//!
//! Reads files in `/proc`, which are opened once. A file or value that this kernel lacks is absent, never zero. Parsing is
//! pure and takes any bytes: a line that does not end, or that says something else, is not there.

mod parse;

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use crate::units::{Bytes, Nanos};

/// What the host says of itself at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Host {
    /// CPU time since boot, summed over CPUs.
    pub cpu: Option<CpuTime>,
    /// CPUs that are online.
    pub cpus: Option<u64>,
    /// Main memory and swap.
    pub memory: Memory,
    /// Time lost for want of CPUs.
    pub cpu_pressure: Pressure,
    /// Time lost for want of memory.
    pub memory_pressure: Pressure,
    /// Time lost for want of I/O.
    pub io_pressure: Pressure,
    /// Load.
    pub load: Option<Load>,
    /// Events since boot.
    pub events: Events,
}

/// CPU time since boot by mode (`proc_stat(5)`), in the kernel's steps of 10 ms. Guests' time is a part of `user` and `nice`.
/// The modes add up to the time since boot of all CPUs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuTime {
    /// User mode.
    pub user: Nanos,
    /// User mode, with lowered priority.
    pub nice: Nanos,
    /// Kernel mode.
    pub system: Nanos,
    /// Nothing to do.
    pub idle: Nanos,
    /// Nothing to do while I/O was outstanding.
    pub iowait: Nanos,
    /// Interrupts.
    pub irq: Nanos,
    /// Softirqs.
    pub softirq: Nanos,
    /// Taken by the hypervisor.
    pub steal: Nanos,
}

/// Main memory and swap (`proc_meminfo(5)`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// All that the kernel can use.
    pub total: Option<Bytes>,
    /// What new work could get without swapping.
    pub available: Option<Bytes>,
    /// Used for nothing.
    pub free: Option<Bytes>,
    /// Raw block devices' cache.
    pub buffers: Option<Bytes>,
    /// Files' cache, shared memory included.
    pub cached: Option<Bytes>,
    /// Anonymous pages in page tables.
    pub anon: Option<Bytes>,
    /// Shared memory and tmpfs.
    pub shmem: Option<Bytes>,
    /// Kernel objects that can be reclaimed.
    pub slab_reclaimable: Option<Bytes>,
    /// Kernel objects that cannot.
    pub slab_unreclaimable: Option<Bytes>,
    /// To be written back.
    pub dirty: Option<Bytes>,
    /// Swap space.
    pub swap_total: Option<Bytes>,
    /// Swap space that is not used.
    pub swap_free: Option<Bytes>,
}

/// Pressure of one resource (`Documentation/accounting/psi.rst`).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pressure {
    /// At least one task waits.
    pub some: Option<Stall>,
    /// All tasks that are not idle wait.
    pub full: Option<Stall>,
}

/// How much is lost.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Stall {
    /// Since boot, in steps of a microsecond.
    pub total: Nanos,
    /// Share of the last 10 s, 0 to 1.
    pub avg10: f64,
    /// Share of the last minute.
    pub avg60: f64,
    /// Share of the last five minutes.
    pub avg300: f64,
}

/// Load (`proc_loadavg(5)`).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Load {
    /// Over one minute.
    pub one: f64,
    /// Over five minutes.
    pub five: f64,
    /// Over fifteen minutes.
    pub fifteen: f64,
    /// Threads that run or could.
    pub runnable: u64,
    /// All threads.
    pub threads: u64,
}

/// Events since boot (`/proc/vmstat`, `mm/vmstat.c`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Events {
    /// Page faults of either kind.
    pub faults: Option<u64>,
    /// Page faults that needed I/O.
    pub major_faults: Option<u64>,
    /// Times that a task had to reclaim memory before it got some, in all zones.
    pub direct_reclaims: Option<u64>,
    /// Pages swapped in.
    pub swapped_in: Option<u64>,
    /// Pages swapped out.
    pub swapped_out: Option<u64>,
    /// Kills for want of memory.
    pub oom_kills: Option<u64>,
}

impl CpuTime {
    /// Never less than `before`: the kernel's idle times can step back by a little.
    fn no_less_than(self, before: Self) -> Self {
        Self {
            user: self.user.max(before.user),
            nice: self.nice.max(before.nice),
            system: self.system.max(before.system),
            idle: self.idle.max(before.idle),
            iowait: self.iowait.max(before.iowait),
            irq: self.irq.max(before.irq),
            softirq: self.softirq.max(before.softirq),
            steal: self.steal.max(before.steal),
        }
    }
}

/// Reads the host again and again.
#[derive(Debug)]
pub struct HostReader {
    files: [Option<File>; FILES.len()],
    tick: Nanos,
    text: Vec<u8>,
    cpu_before: CpuTime,
}

const FILES: [&str; 7] = ["stat", "meminfo", "pressure/cpu", "pressure/memory", "pressure/io", "loadavg", "vmstat"];
/// A file that is longer is cut; `/proc/stat` takes some 100 bytes a CPU.
const MOST_BYTES: usize = 4 << 20;

impl HostReader {
    /// Opens what there is.
    pub fn open() -> Self {
        let ticks_per_second = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK).ok().flatten();
        let ticks_per_second = ticks_per_second.and_then(|ticks| u64::try_from(ticks).ok()).filter(|ticks| *ticks > 0);
        Self::at(Path::new("/proc"), ticks_per_second.unwrap_or(100))
    }

    fn at(root: &Path, ticks_per_second: u64) -> Self {
        let path = |name: &str| -> PathBuf { root.join(name) };
        Self {
            files: FILES.map(|name| File::open(path(name)).ok()),
            tick: Nanos(1_000_000_000 / ticks_per_second),
            text: vec![0; 16 * 1024],
            cpu_before: CpuTime::default(),
        }
    }

    /// The host at this moment.
    pub fn read(&mut self) -> Host {
        let tick = self.tick;
        let [stat, memory, cpu_pressure, memory_pressure, io_pressure, load, events] = [0, 1, 2, 3, 4, 5, 6];
        let (cpu, cpus) = parse::stat(self.text(stat), tick);
        let cpu = cpu.map(|cpu| cpu.no_less_than(self.cpu_before));
        self.cpu_before = cpu.unwrap_or(self.cpu_before);
        Host {
            cpu,
            cpus,
            memory: parse::memory(self.text(memory)),
            cpu_pressure: parse::pressure(self.text(cpu_pressure)),
            memory_pressure: parse::pressure(self.text(memory_pressure)),
            io_pressure: parse::pressure(self.text(io_pressure)),
            load: parse::load(self.text(load)),
            events: parse::events(self.text(events)),
        }
    }

    /// The content of a file of [`FILES`]; nothing if it cannot be read.
    fn text(&mut self, file: usize) -> &[u8] {
        let length = self.files[file].as_ref().and_then(|file| read_all(file, &mut self.text).ok());
        &self.text[..length.unwrap_or(0)]
    }
}

/// Reads from the beginning into `text`, which grows as needed, so that next time one call is enough.
fn read_all(file: &File, text: &mut Vec<u8>) -> io::Result<usize> {
    let mut length = 0;
    loop {
        if length == text.len() {
            if length >= MOST_BYTES {
                return Ok(length);
            }
            text.resize(length * 2, 0);
        }
        match file.read_at(&mut text[length..], length as u64) {
            Ok(0) => return Ok(length),
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
