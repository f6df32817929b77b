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
    /// Size that the programs load, in bytes.
    pub size: u32,
    /// Without it nothing can be attributed.
    pub required: bool,
}

const fn task(field: Field, members: &'static [&'static str]) -> FieldPath {
    FieldPath { field, root: "task_struct", members, size: 8, required: false }
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
];

/// Number of [`Field`]s.
pub const FIELDS: usize = Field::MajorFaults as usize + 1;

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
