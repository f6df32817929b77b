//! Reads the kernel's books of one task through its BTF pointer: one load a field, no helper call.

use collector_ebpf::{
    fields::{ABSENT, Field, PF_KTHREAD},
    layout::Books,
};

use crate::settings::{loaded_at, offset};

/// A `struct task_struct *` that the verifier knows by its BTF type.
#[derive(Clone, Copy)]
pub struct Task(*const u8);

impl Task {
    /// # Safety
    /// `task` is a task pointer that the kernel handed to this program, so that the verifier tracks its type.
    #[inline(always)]
    pub unsafe fn from_kernel(task: *const u8) -> Self {
        Self(task)
    }

    /// The pointer, for helpers.
    #[inline(always)]
    pub fn as_ptr(self) -> *const u8 {
        self.0
    }

    /// A CPU's idle task: its time is nobody's.
    #[inline(always)]
    pub fn is_idle(self) -> bool {
        self.required::<u32>(Field::Pid) == 0
    }

    /// A thread of the kernel itself.
    #[inline(always)]
    pub fn is_kernel_thread(self) -> bool {
        self.required::<u32>(Field::Flags) & PF_KTHREAD != 0
    }

    /// The real UID in the initial user namespace.
    #[inline(always)]
    pub fn uid(self) -> u32 {
        let cred: *const u8 = self.required(Field::RealCred);
        // SAFETY: `real_cred` of a task is never null and lives as long as the task (task_uid() in linux/cred.h);
        // the verifier checks offset and size.
        unsafe { *cred.add(offset(Field::CredUid) as usize).cast::<u32>() }
    }

    /// Whether the task was forked after the programs were loaded: its books began at zero since then.
    #[inline(always)]
    pub fn is_newer_than_us(self) -> bool {
        self.required::<u64>(Field::StartTime) >= loaded_at()
    }

    /// The task's books as they stand now; zero for what this kernel does not keep.
    #[inline(always)]
    pub fn books(self) -> Books {
        Books {
            cpu_ns: self.counter(Field::CpuTime),
            user_ns: self.counter(Field::UserTime),
            system_ns: self.counter(Field::SystemTime),
            wait_ns: self.counter(Field::RunDelay),
            timeslices: self.counter(Field::Timeslices),
            voluntary_switches: self.counter(Field::VoluntarySwitches),
            involuntary_switches: self.counter(Field::InvoluntarySwitches),
            migrations: self.counter(Field::Migrations),
            minor_faults: self.counter(Field::MinorFaults),
            major_faults: self.counter(Field::MajorFaults),
        }
    }

    /// One of the books' counters; zero if this kernel does not keep it.
    #[inline(always)]
    pub fn counter(self, field: Field) -> u64 {
        match offset(field) {
            ABSENT => 0,
            // SAFETY: as in `required`.
            offset => unsafe { *self.0.add(offset as usize).cast::<u64>() },
        }
    }

    #[inline(always)]
    fn required<T: Copy>(self, field: Field) -> T {
        // SAFETY: the verifier accepts the load only inside the structure and within one member.
        unsafe { *self.0.add(offset(field) as usize).cast::<T>() }
    }
}
