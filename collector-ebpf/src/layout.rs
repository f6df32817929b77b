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
}

/// One row of the per-CPU banks: what one UID did on one CPU. Its one writer is that CPU, with interrupts off.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug)]
pub struct UidCounters {
    /// Sums over the UID's tasks.
    pub books: Books,
    /// Waits by length; see [`latency::bucket_of`]. Their sum is `books.timeslices`.
    pub latency: [u64; latency::BUCKETS],
}

/// What could not be attributed on one CPU, and why. Same writer as [`UidCounters`].
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Drains of a task that has no ledger; its work is charged once it has one.
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
    pub is_open: u64,
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
}

/// Number of [`Setting`]s.
pub const SETTINGS: usize = 3;

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
}

/// Names of the frozen globals.
pub mod globals {
    /// `[u32; fields::FIELDS]`: byte offsets, or [`fields::ABSENT`](crate::fields::ABSENT).
    pub const OFFSETS: &str = "OFFSETS";
    /// `[u32; SETTINGS]`.
    pub const SETTINGS: &str = "SETTINGS";
    /// `u64`, `CLOCK_MONOTONIC`: a task that started later has its whole life ahead of the books.
    pub const LOADED_AT: &str = "LOADED_AT";
}

const _: () = {
    assert!(size_of::<UidCounters>().is_multiple_of(64));
    assert!(size_of::<Health>() == 64);
    assert!(size_of::<Ledger>().is_multiple_of(8));
};
