//! Rows of the shared maps, slot numbers, and names of maps and programs.

use crate::latency;

/// Slot of everybody for whom no slot was free.
pub const OVERFLOW_SLOT: u32 = 0;
/// Slot of kernel threads, the pseudo-user *kernel*.
pub const KERNEL_SLOT: u32 = 1;
/// First slot that can belong to a UID.
pub const FIRST_USER_SLOT: u32 = 2;

/// Distinct UIDs without a slot that are told apart; more are still charged to [`OVERFLOW_SLOT`].
pub const OVERFLOW_UIDS: u32 = 16_384;

/// The kernel's own books of one task, or sums of them. Every counter only grows.
///
/// The source of each is named in [`crate::fields`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Books {
    /// Time on a CPU, in nanoseconds.
    pub cpu_ns: u64,
    /// CPU time in user mode as sampled at the scheduler tick, in nanoseconds.
    pub user_ns: u64,
    /// CPU time in kernel mode as sampled at the scheduler tick, in nanoseconds.
    pub system_ns: u64,
    /// Time runnable without a CPU, in nanoseconds.
    pub wait_ns: u64,
    /// Times that a wait ended with a CPU: the number of waits in `wait_ns`.
    pub timeslices: u64,
    /// Switches because the task blocked.
    pub voluntary_switches: u64,
    /// Switches because the task was preempted.
    pub involuntary_switches: u64,
    /// Moves to another CPU.
    pub migrations: u64,
    /// Page faults served without I/O.
    pub minor_faults: u64,
    /// Page faults that needed I/O.
    pub major_faults: u64,
    /// Bytes returned by `read(2)` and its kind, from wherever.
    pub read_chars: u64,
    /// Bytes taken by `write(2)` and its kind.
    pub written_chars: u64,
    /// Bytes asked of block devices.
    pub read_bytes: u64,
    /// Bytes of page cache made dirty.
    pub written_bytes: u64,
    /// Bytes made dirty that were never written back.
    pub cancelled_bytes: u64,
    /// Time waiting for block I/O, in nanoseconds; needs delay accounting.
    pub block_io_delay_ns: u64,
    /// Time waiting for pages from swap, in nanoseconds; needs delay accounting.
    pub swap_in_delay_ns: u64,
    /// Time waiting for pages that were evicted too early, in nanoseconds; needs delay accounting.
    pub thrashing_delay_ns: u64,
}

/// One row of the per-CPU banks: what one UID did on one CPU. Its one writer is that CPU, with interrupts off.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug)]
pub struct UidCounters {
    /// Sums over the UID's tasks.
    pub books: Books,
    /// The part of `books.cpu_ns` spent outside the UID's own slice: see [`crate::layout::Ledger::outside`].
    pub outside_ns: u64,
    /// Waits by length; see [`latency::bucket_of`]. Their sum is `books.timeslices`.
    pub latency: [u64; latency::BUCKETS],
}

impl Default for UidCounters {
    fn default() -> Self {
        Self { books: Books::default(), outside_ns: 0, latency: [0; latency::BUCKETS] }
    }
}

/// Rare events of one UID, one row a slot. Written by any CPU, with interrupts on: by atomic additions only.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UidEvents {
    /// Times that a task had to free memory of the host before it got some.
    pub direct_reclaims: u64,
    /// Time in that, in nanoseconds.
    pub direct_reclaim_ns: u64,
    /// Times that a task had to free memory of its cgroup before it got some.
    pub group_reclaims: u64,
    /// Time in that, in nanoseconds.
    pub group_reclaim_ns: u64,
    /// Times that a task began to stall on memory (`psi_memstall_enter`).
    pub memory_stalls: u64,
    /// Time in that, in nanoseconds.
    pub memory_stall_ns: u64,
    /// Processes that ended as victims of the OOM killer.
    pub oom_kills: u64,
    /// Processes that the OOM killer chose because the limit of their user's own slice was reached.
    pub oom_kills_slice: u64,
    /// The same for the limit of any other cgroup.
    pub oom_kills_group: u64,
    /// The same where the host itself had no memory left.
    pub oom_kills_host: u64,
    /// Processes begun.
    pub forks: u64,
    /// Threads begun, the first one of each process not counted.
    pub thread_starts: u64,
    /// Programs begun.
    pub execs: u64,
    /// Processes ended.
    pub exits: u64,
}

/// What one UID holds, as one walk over all tasks found it; one row a slot. Written by the walk, of which there is one at a
/// time.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UidHoldings {
    /// Number of the walk that began this row; that of another walk means that no task was found.
    pub walk: u64,
    /// Resident pages by [`page_kind`]; swap counts entries.
    pub pages: [u64; page_kind::COUNT],
    /// Processes.
    pub processes: u64,
    /// Threads.
    pub threads: u64,
}

/// Indices of [`UidHoldings::pages`]: `MM_FILEPAGES` and so on of `include/linux/mm_types_task.h`.
pub mod page_kind {
    /// Pages of files.
    pub const FILE: usize = 0;
    /// Anonymous pages.
    pub const ANON: usize = 1;
    /// Anonymous pages that are in swap.
    pub const SWAP: usize = 2;
    /// Pages of shared memory and tmpfs.
    pub const SHMEM: usize = 3;
    /// Number of kinds.
    pub const COUNT: usize = 4;
}

/// What could not be attributed on one CPU, and why. Same writer as [`UidCounters`].
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Drains of a task whose ledger was not found: it has none, or (up to Linux 6.1) this CPU was in the middle of looking one
    /// up. The work is charged at the next drain that finds one.
    pub no_ledger: u64,
    /// Drains that went to the overflow row.
    pub overflow: u64,
    /// Distinct UIDs first seen without a slot.
    pub overflow_uids: u64,
    /// Drains in which one of the task's counters had gone down; it was charged nothing.
    pub clamped: u64,
    /// Drains that found no row: a CPU number beyond the table.
    pub no_row: u64,
}

/// What has already been drained from one task, and where it is charged. Lives in the task's own storage.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Ledger {
    /// The task's books at its last drain.
    pub drained: Books,
    /// The UID to which `slot` belongs.
    pub uid: u32,
    /// Cached slot; [`OVERFLOW_SLOT`] means "ask again".
    pub slot: u32,
    /// 1 once `drained` has been set; the kernel makes a ledger with zeros.
    pub is_open: u32,
    /// 1 once the task is on its way out: its slot is asked for anew each time, so that no ledger that a walk can no
    /// longer see keeps a slot that is about to be given away.
    pub is_leaving: u32,
    /// Address of the `css_set` for which `outside` holds.
    pub css_set: u64,
    /// All ones while the task's cgroup is not within its own `user-UID.slice`, else zero: a mask for CPU time.
    pub outside: u64,
    /// When the task entered direct reclaim; 0 while it is not in it.
    pub direct_reclaim_since: u64,
    /// The same for reclaim in its cgroup.
    pub group_reclaim_since: u64,
    /// The same for stalls on memory.
    pub memory_stall_since: u64,
    /// How deeply its stalls are nested.
    pub memory_stall_depth: u64,
}

/// Settings that the loader writes before the programs are loaded; frozen from then on.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    /// Slots in each CPU's bank.
    Slots,
    /// Position of `prev` among the arguments of `sched_switch`.
    SwitchPrevArgument,
    /// Position of the new task among the arguments of `task_newtask`.
    NewTaskArgument,
    /// CPUs that this host can have.
    Cpus,
    /// Bytes from one kind of page to the next in `mm_struct.rss_stat`; 0 if that has no known shape.
    RssStride,
    /// Where each kind's signed 64-bit count begins within its stride.
    RssCount,
    /// Where the pointer to what each CPU keeps back stands within its stride (`percpu_counter.counters`, Linux 6.2);
    /// [`ABSENT`](crate::fields::ABSENT) if `RssCount` is all there is.
    RssPerCpu,
}

/// Number of [`Setting`]s.
pub const SETTINGS: usize = 7;

/// A slot's owner as [`SLOT_OWNERS`](maps::SLOT_OWNERS) holds it: 0 for a free slot.
pub const fn owned_by(uid: u32) -> u64 {
    1 << 32 | uid as u64
}

/// The UID of an owned slot, or `None` for a free one.
#[expect(clippy::cast_possible_truncation, reason = "the UID is the lower half")]
pub const fn owner(entry: u64) -> Option<u32> {
    if entry >> 32 == 1 { Some(entry as u32) } else { None }
}

/// Names of the maps.
pub mod maps {
    /// Task storage of [`Ledger`](super::Ledger).
    pub const TASK_LEDGER: &str = "TASK_LEDGER";
    /// Hash, UID → slot.
    pub const UID_SLOTS: &str = "UID_SLOTS";
    /// Stack of free slots, filled by the loader.
    pub const FREE_SLOTS: &str = "FREE_SLOTS";
    /// Array, slot → owner: the reverse of `UID_SLOTS`, which userspace reads without a system call.
    pub const SLOT_OWNERS: &str = "SLOT_OWNERS";
    /// Array of [`UidCounters`](super::UidCounters) at `cpu * slots + slot`.
    pub const UID_BANKS: &str = "UID_BANKS";
    /// Array of [`Health`](super::Health), one row a CPU.
    pub const HEALTH: &str = "HEALTH";
    /// Hash of the UIDs that were seen without a slot.
    pub const OVERFLOW_UIDS: &str = "OVERFLOW_UIDS";
    /// Array of [`UidEvents`](super::UidEvents), one a slot.
    pub const UID_EVENTS: &str = "UID_EVENTS";
    /// Array of [`UidHoldings`](super::UidHoldings), one a slot.
    pub const UID_HOLDINGS: &str = "UID_HOLDINGS";
    /// Array of `u64`, slot → number of the last walk that met a ledger with it.
    pub const SLOT_SEEN: &str = "SLOT_SEEN";
    /// Array of one `u64`: the number of the walk under way, set by userspace before it.
    pub const WALK: &str = "WALK";
}

/// Names of the frozen globals.
pub mod globals {
    /// `[u32; fields::FIELDS]`: byte offsets, or [`fields::ABSENT`](crate::fields::ABSENT).
    pub const OFFSETS: &str = "OFFSETS";
    /// `[u32; SETTINGS]`.
    pub const SETTINGS: &str = "SETTINGS";
    /// `u64`, `CLOCK_MONOTONIC`: a task that started later has its whole life ahead of the books.
    pub const LOADED_AT: &str = "LOADED_AT";
    /// `u64`: address of the kernel's `__per_cpu_offset`, or 0 if it is not known.
    pub const PER_CPU_OFFSET: &str = "PER_CPU_OFFSET";
}

const _: () = {
    assert!(size_of::<UidCounters>().is_multiple_of(64));
    assert!(size_of::<Health>() == 64);
    assert!(size_of::<Ledger>().is_multiple_of(8));
    assert!(size_of::<UidEvents>() == 128);
    assert!(size_of::<UidHoldings>() == 64);
};
