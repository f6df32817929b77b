//! The kernel fields that the programs read: their offsets are looked up by name in the running kernel's BTF,
//! so that one object serves every kernel.

/// Offset of a field that the running kernel does not have.
pub const ABSENT: u32 = u32::MAX;

/// A field, as an index into the table of offsets.
#[repr(usize)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// 0 for the idle task of each CPU.
    Pid,
    /// `PF_*` bits.
    Flags,
    /// The task's own credentials. (`cred` may be borrowed for a moment, as overlayfs and nfsd do.)
    RealCred,
    /// The real UID within `struct cred`, in the initial user namespace.
    CredUid,
    /// `CLOCK_MONOTONIC` at fork.
    StartTime,
    /// Brought up to date by `update_curr` before each switch.
    CpuTime,
    /// Sampled by `account_user_time` at the tick (exact with `CONFIG_VIRT_CPU_ACCOUNTING_GEN`).
    UserTime,
    /// Sampled by `account_system_time`.
    SystemTime,
    /// Grows in `sched_info_arrive` when a wait ends, and in `sched_info_dequeue` when a waiting task is moved.
    RunDelay,
    /// Grows by one in `sched_info_arrive`.
    Timeslices,
    /// Counted in `__schedule` before the tracepoint fires.
    VoluntarySwitches,
    /// As above.
    InvoluntarySwitches,
    /// Counted in `set_task_cpu`.
    Migrations,
    /// Counted in `mm_account_fault`.
    MinorFaults,
    /// As above.
    MajorFaults,
    /// Bytes that `read(2)` and its kind returned, from wherever; counted in `add_rchar`.
    ReadChars,
    /// Bytes that `write(2)` and its kind took; counted in `add_wchar`.
    WrittenChars,
    /// Bytes asked of block devices; counted in `task_io_account_read`.
    ReadBytes,
    /// Bytes of page cache made dirty; counted in `task_io_account_write`.
    WrittenBytes,
    /// Bytes made dirty whose write-back was spared, since the page was dropped before.
    CancelledBytes,
    /// Null unless delay accounting was on when the task was forked.
    Delays,
    /// Time waiting for block I/O; counted in `__delayacct_blkio_end`.
    BlockIoDelay,
    /// Time waiting for pages to come back from swap.
    SwapInDelay,
    /// Time waiting for pages that were evicted too early.
    ThrashingDelay,
    /// The task's place in all cgroup hierarchies.
    CssSet,
    /// Its cgroup in the unified hierarchy (cgroup v2).
    CssDefaultGroup,
    /// Distance of a cgroup from the root.
    GroupLevel,
    /// A cgroup's ancestors from the root on, itself included (Linux 6.1).
    GroupAncestors,
    /// A cgroup's directory.
    GroupNode,
    /// A directory's own name.
    NodeName,
    /// Thread group: the process' number.
    Tgid,
    /// Shared by the threads of a process.
    Signal,
    /// The address space that the OOM killer wants back; set in `mark_oom_victim`.
    SignalOomMemory,
    /// The thread that is replacing all others in `de_thread`.
    SignalExecTask,
    /// The address space; null for kernel threads and for a task that is past `exit_mm`.
    Memory,
    /// The one task that stands for an address space (`mm_update_next_owner`).
    MemoryOwner,
    /// Pages by kind, in one of two shapes: see `Setting::RssStride`.
    MemoryRss,
    /// The memory cgroup whose limit was reached; null if it is the host that has no memory left.
    OomMemoryGroup,
    /// A memory cgroup's cgroup.
    MemoryGroupGroup,
}

/// Where a field is found, and whether the collector can do without it.
#[derive(Clone, Copy, Debug)]
pub struct FieldPath {
    /// The field.
    pub field: Field,
    /// Name of the structure.
    pub root: &'static str,
    /// Members from there on.
    pub members: &'static [&'static str],
    /// Size that the programs load, in bytes, or [`ARRAY`] or [`ANY_SIZE`].
    pub size: u32,
    /// Without it nothing can be attributed.
    pub required: bool,
}

const fn task(name: Field, members: &'static [&'static str]) -> FieldPath {
    field(name, "task_struct", members)
}

const fn field(field: Field, root: &'static str, members: &'static [&'static str]) -> FieldPath {
    FieldPath { field, root, members, size: 8, required: false }
}

/// Every [`Field`], in the order of its numbers.
pub static PATHS: [FieldPath; FIELDS] = [
    FieldPath { size: 4, required: true, ..task(Field::Pid, &["pid"]) },
    FieldPath { size: 4, required: true, ..task(Field::Flags, &["flags"]) },
    FieldPath { required: true, ..task(Field::RealCred, &["real_cred"]) },
    FieldPath { field: Field::CredUid, root: "cred", members: &["uid"], size: 4, required: true },
    FieldPath { required: true, ..task(Field::StartTime, &["start_time"]) },
    FieldPath { required: true, ..task(Field::CpuTime, &["se", "sum_exec_runtime"]) },
    task(Field::UserTime, &["utime"]),
    task(Field::SystemTime, &["stime"]),
    task(Field::RunDelay, &["sched_info", "run_delay"]),
    task(Field::Timeslices, &["sched_info", "pcount"]),
    task(Field::VoluntarySwitches, &["nvcsw"]),
    task(Field::InvoluntarySwitches, &["nivcsw"]),
    task(Field::Migrations, &["se", "nr_migrations"]),
    task(Field::MinorFaults, &["min_flt"]),
    task(Field::MajorFaults, &["maj_flt"]),
    task(Field::ReadChars, &["ioac", "rchar"]),
    task(Field::WrittenChars, &["ioac", "wchar"]),
    task(Field::ReadBytes, &["ioac", "read_bytes"]),
    task(Field::WrittenBytes, &["ioac", "write_bytes"]),
    task(Field::CancelledBytes, &["ioac", "cancelled_write_bytes"]),
    task(Field::Delays, &["delays"]),
    field(Field::BlockIoDelay, "task_delay_info", &["blkio_delay"]),
    field(Field::SwapInDelay, "task_delay_info", &["swapin_delay"]),
    field(Field::ThrashingDelay, "task_delay_info", &["thrashing_delay"]),
    task(Field::CssSet, &["cgroups"]),
    field(Field::CssDefaultGroup, "css_set", &["dfl_cgrp"]),
    FieldPath { size: 4, ..field(Field::GroupLevel, "cgroup", &["level"]) },
    FieldPath { size: ARRAY, ..field(Field::GroupAncestors, "cgroup", &["ancestors"]) },
    field(Field::GroupNode, "cgroup", &["kn"]),
    field(Field::NodeName, "kernfs_node", &["name"]),
    FieldPath { size: 4, ..task(Field::Tgid, &["tgid"]) },
    task(Field::Signal, &["signal"]),
    field(Field::SignalOomMemory, "signal_struct", &["oom_mm"]),
    field(Field::SignalExecTask, "signal_struct", &["group_exec_task"]),
    task(Field::Memory, &["mm"]),
    field(Field::MemoryOwner, "mm_struct", &["owner"]),
    FieldPath { size: ANY_SIZE, ..field(Field::MemoryRss, "mm_struct", &["rss_stat"]) },
    field(Field::OomMemoryGroup, "oom_control", &["memcg"]),
    field(Field::MemoryGroupGroup, "mem_cgroup", &["css", "cgroup"]),
];

/// Number of [`Field`]s.
pub const FIELDS: usize = Field::MemoryGroupGroup as usize + 1;

/// In place of a size: an array, of which only the beginning is looked up.
pub const ARRAY: u32 = 0;
/// In place of a size: more than one shape is understood.
pub const ANY_SIZE: u32 = u32::MAX;

/// `PF_KTHREAD` of include/linux/sched.h: a kernel thread. Workers that act for a process (`io_uring`, vhost)
/// do not have it and are charged to that process' user.
pub const PF_KTHREAD: u32 = 0x0020_0000;

const _: () = {
    let mut i = 0;
    while i < FIELDS {
        assert!(PATHS[i].field as usize == i);
        i += 1;
    }
};
