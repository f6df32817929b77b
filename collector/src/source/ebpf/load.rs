//! Makes the maps in the right size, tells the programs what this kernel is like, and has them attached.

use std::{fs, io, os::fd::BorrowedFd, path::PathBuf, time::Duration};

use aya::{
    Ebpf, EbpfError, EbpfLoader, Endianness,
    maps::{MapError, Stack},
};
use collector_ebpf::layout::{FIRST_USER_SLOT, UidCounters, UidEvents, UidHoldings, globals, maps};

use super::{
    banks::{Banks, Mapped, Words},
    btf::{Btf, BtfError},
    footprint::release_freed_memory,
    offsets,
    preflight::Lacking,
    programs::{Attached, fd_of, with_causes},
};
use crate::{
    source::{ProbeGroup, Subject},
    units::{Bytes, Nanos},
};

/// The kernel programs, or nothing if this was built without them.
pub(super) static PROGRAMS: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/uidmeter.bpf.o"));

/// Kernel memory that a user slot takes beyond its rows for each CPU: hash entry, free list, owner, last walk, and the rows
/// that all CPUs share.
const SLOT_OVERHEAD: u64 = 128 + (size_of::<UidEvents>() + size_of::<UidHoldings>()) as u64;

/// What the caller decides.
#[derive(Clone, Debug)]
pub struct Options {
    /// File with the kernel's type information.
    pub btf: PathBuf,
    /// Most users with a row of their own.
    pub max_users: u32,
    /// Bound on the memory for rows; lowers `max_users` if need be.
    pub kernel_memory: Bytes,
    /// How often a task that does not switch is drained.
    pub tick: Duration,
    /// Groups of probes that are left out.
    pub without: Vec<ProbeGroup>,
}

/// Why loading failed.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The host or this process lacks something; see the sentence.
    #[error(transparent)]
    Lacking(#[from] Lacking),
    /// A file of the kernel cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The kernel's type information is damaged.
    #[error("the kernel's type information cannot be used: {0}")]
    TypeInformation(String),
    /// Too little memory is allowed.
    #[error(
        "{allowed} bytes of kernel memory are not enough for the rows of one user on {cpus} CPUs, which take {needed}; \
         raise --kernel-memory"
    )]
    Memory {
        /// As configured.
        allowed: u64,
        /// CPUs that this host can have.
        cpus: u32,
        /// The least that works.
        needed: u64,
    },
    /// The kernel refuses a map or program.
    #[error("the kernel refuses {what}: {why}")]
    Refused {
        /// Which.
        what: &'static str,
        /// What it says.
        why: String,
    },
}

/// What loading yields.
pub(super) struct Loaded {
    pub(super) kernel: Attached,
    pub(super) banks: Banks,
    /// What this kernel's fields allow to count.
    pub(super) fields: Vec<Subject>,
}

/// Loads and attaches everything.
pub(super) fn load(options: &Options) -> Result<Loaded, LoadError> {
    let loaded = attach(options);
    release_freed_memory();
    loaded
}

fn attach(options: &Options) -> Result<Loaded, LoadError> {
    let cpus = possible_cpus()?;
    let slots = slots(options, cpus)?;
    let bytes = fs::read(&options.btf).map_err(|source| LoadError::Read { path: options.btf.clone(), source })?;
    let (mut ebpf, fields) = load_object(&bytes, cpus, slots)?;
    let btf = aya::Btf::parse(&bytes, Endianness::default())
        .map_err(|error| LoadError::TypeInformation(error.to_string()))?;
    fill_free_slots(&mut ebpf, slots)?;
    let banks = share(&ebpf, cpus, slots)?;
    let kernel = Attached::attach(ebpf, &btf, options)?;
    Ok(Loaded { kernel, banks, fields })
}

fn share(ebpf: &Ebpf, cpus: u32, slots: u32) -> Result<Banks, LoadError> {
    fn map<T: Words>(ebpf: &Ebpf, name: &'static str, len: u32) -> Result<Mapped<T>, LoadError> {
        Mapped::new(&map_fd(ebpf, name)?, len as usize)
            .map_err(|error| LoadError::Refused { what: "to share its maps", why: format!("{name}: {error}") })
    }
    Ok(Banks {
        rows: map(ebpf, maps::UID_BANKS, cpus * slots)?,
        owners: map(ebpf, maps::SLOT_OWNERS, slots)?,
        events: map(ebpf, maps::UID_EVENTS, slots)?,
        holdings: map(ebpf, maps::UID_HOLDINGS, slots)?,
        seen: map(ebpf, maps::SLOT_SEEN, slots)?,
        health: map(ebpf, maps::HEALTH, cpus)?,
        cpus,
        slots,
    })
}

fn load_object(bytes: &[u8], cpus: u32, slots: u32) -> Result<(Ebpf, Vec<Subject>), LoadError> {
    let damaged = |error: &dyn std::error::Error| LoadError::TypeInformation(error.to_string());
    let (offsets, settings) = {
        let btf = Btf::parse(bytes).map_err(|error| damaged(&error))?;
        let (offsets, _) = offsets::offsets(&btf).map_err(|error| damaged(&error))?;
        let settings = offsets::settings(&btf, slots, cpus).map_err(|error: BtfError| damaged(&error))?;
        (offsets, settings)
    };
    let ebpf = EbpfLoader::new()
        // The programs carry offsets of their own instead of relocations.
        .btf(None)
        // aya has no type for task storage; it need not touch that map either.
        .allow_unsupported_maps()
        .override_global(globals::OFFSETS, &offsets[..], true)
        .override_global(globals::SETTINGS, &settings[..], true)
        .override_global(globals::LOADED_AT, &monotonic_now().0, true)
        .override_global(globals::PER_CPU_OFFSET, &per_cpu_offset(), true)
        .map_max_entries(maps::UID_BANKS, cpus * slots)
        .map_max_entries(maps::SLOT_OWNERS, slots)
        .map_max_entries(maps::UID_SLOTS, slots)
        .map_max_entries(maps::FREE_SLOTS, slots)
        .map_max_entries(maps::UID_EVENTS, slots)
        .map_max_entries(maps::UID_HOLDINGS, slots)
        .map_max_entries(maps::SLOT_SEEN, slots)
        .map_max_entries(maps::HEALTH, cpus)
        .load(PROGRAMS)
        .map_err(|error: EbpfError| LoadError::Refused { what: "to make the maps", why: with_causes(&error) })?;
    Ok((ebpf, offsets::subjects(&offsets, &settings)))
}

/// The table of users as it would be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableSize {
    /// CPUs that this host can have.
    pub possible_cpus: u32,
    /// CPUs that are online.
    pub online_cpus: u32,
    /// Users who can have a row of their own.
    pub users: u32,
    /// Kernel memory for it.
    pub memory: Bytes,
}

/// What `options` would take on this host. Loads nothing.
///
/// # Errors
/// Too little memory is allowed, or the CPUs are not known.
pub fn table_size(options: &Options) -> Result<TableSize, LoadError> {
    let possible_cpus = possible_cpus()?;
    let online = online_cpus().map_err(|source| LoadError::Read { path: ONLINE.into(), source })?;
    let online_cpus = u32::try_from(online.len()).unwrap_or(u32::MAX);
    let slots = slots(options, possible_cpus)?;
    let memory = Bytes(u64::from(slots) * per_slot(possible_cpus));
    Ok(TableSize { possible_cpus, online_cpus, users: slots - FIRST_USER_SLOT, memory })
}

/// Kernel memory for one slot.
fn per_slot(cpus: u32) -> u64 {
    u64::from(cpus) * size_of::<UidCounters>() as u64 + SLOT_OVERHEAD
}

/// Number of slots: as many as wanted, as far as the memory goes.
fn slots(options: &Options, cpus: u32) -> Result<u32, LoadError> {
    let per_slot = per_slot(cpus);
    let affordable = options.kernel_memory.0 / per_slot;
    let wanted = u64::from(options.max_users) + u64::from(FIRST_USER_SLOT);
    let least = u64::from(FIRST_USER_SLOT) + 1;
    if affordable < least {
        return Err(LoadError::Memory { allowed: options.kernel_memory.0, cpus, needed: least * per_slot });
    }
    // The index of the last row must fit the map's 32-bit keys.
    let addressable = u64::from(u32::MAX / cpus);
    Ok(u32::try_from(wanted.min(affordable).min(addressable)).unwrap_or(u32::MAX))
}

fn fill_free_slots(ebpf: &mut Ebpf, slots: u32) -> Result<(), LoadError> {
    let fill = |ebpf: &mut Ebpf| -> Result<(), MapError> {
        let Some(map) = ebpf.map_mut(maps::FREE_SLOTS) else { return Ok(()) };
        let mut free: Stack<_, u32> = Stack::try_from(map)?;
        // The last one pushed is the first one used: low slots first, so that their rows lie together.
        for slot in (FIRST_USER_SLOT..slots).rev() {
            free.push(slot, 0)?;
        }
        Ok(())
    };
    fill(ebpf).map_err(|error| LoadError::Refused { what: "a list of free slots", why: with_causes(&error) })
}

fn map_fd<'a>(ebpf: &'a Ebpf, name: &'static str) -> Result<BorrowedFd<'a>, LoadError> {
    ebpf.map(name)
        .and_then(fd_of)
        .ok_or(LoadError::Refused { what: name, why: "the embedded object has no such map".into() })
}

/// Address of `__per_cpu_offset` (`arch/x86/kernel/setup_percpu.c` and its like), or 0 where the kernel does not tell: without
/// it, what CPUs keep back of resident memory is not counted.
fn per_cpu_offset() -> u64 {
    let symbols = fs::read_to_string("/proc/kallsyms").unwrap_or_default();
    let line = symbols.lines().find(|line| line.ends_with(" __per_cpu_offset"));
    line.and_then(|line| u64::from_str_radix(line.split(' ').next()?, 16).ok()).unwrap_or(0)
}

const POSSIBLE: &str = "/sys/devices/system/cpu/possible";
const ONLINE: &str = "/sys/devices/system/cpu/online";

/// Number of CPUs that this host can have: one more than the greatest number of one.
fn possible_cpus() -> Result<u32, LoadError> {
    let list = fs::read_to_string(POSSIBLE).map_err(|source| LoadError::Read { path: POSSIBLE.into(), source })?;
    Ok(cpu_list(&list).last().map_or(1, |last| last + 1))
}

/// The CPUs that are running now.
pub(super) fn online_cpus() -> io::Result<Vec<u32>> {
    fs::read_to_string(ONLINE).map(|text| cpu_list(&text))
}

/// CPU numbers in a list like `0-3,6`, as the kernel writes them (`cpumap_print_to_pagebuf`).
fn cpu_list(text: &str) -> Vec<u32> {
    let mut cpus = Vec::new();
    for range in text.trim().split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        if let (Ok(first), Ok(last)) = (first.parse(), last.parse::<u32>()) {
            cpus.extend(first..=last);
        }
    }
    cpus
}

/// `CLOCK_MONOTONIC`, as `bpf_ktime_get_ns` and `task_struct.start_time` have it.
pub fn monotonic_now() -> Nanos {
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC).unwrap_or_else(|_| Duration::ZERO.into());
    Nanos::from(Duration::from(now))
}

#[cfg(test)]
mod tests {
    use super::{Bytes, Duration, LoadError, Options, UidCounters, cpu_list, slots, table_size};

    fn options(max_users: u32, kernel_memory: u64) -> Options {
        Options {
            btf: "/".into(),
            max_users,
            kernel_memory: Bytes(kernel_memory),
            tick: Duration::from_millis(100),
            without: Vec::new(),
        }
    }

    #[test]
    fn cpu_lists_are_read_as_the_kernel_writes_them() {
        assert_eq!(cpu_list("0-2,5\n"), [0, 1, 2, 5]);
        assert_eq!(cpu_list("0\n"), [0]);
        assert_eq!(cpu_list("\n"), [0; 0]);
    }

    #[test]
    fn the_table_of_this_host_fits_what_is_allowed() -> Result<(), LoadError> {
        let table = table_size(&options(100, 64 << 20))?;
        assert!(table.online_cpus >= 1 && table.online_cpus <= table.possible_cpus);
        assert!(table.users == 100 && table.memory.0 <= 64 << 20 && table.memory.0 > 0);
        assert!(table_size(&options(1_000_000, 1 << 20))?.users < 1_000_000);
        assert!(matches!(table_size(&options(1, 1)), Err(LoadError::Memory { .. })));
        Ok(())
    }

    #[test]
    fn the_memory_budget_bounds_the_table() -> Result<(), LoadError> {
        assert_eq!(slots(&options(256, 64 << 20), 2)?, 258);
        let tight = slots(&options(1 << 20, 1 << 20), 128)?;
        assert!(u64::from(tight) * 128 * size_of::<UidCounters>() as u64 <= 1 << 20);
        assert!(matches!(slots(&options(1, 1000), 128), Err(LoadError::Memory { .. })));
        Ok(())
    }
}
