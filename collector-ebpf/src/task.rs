//! What the programs ask of a task.

use collector_ebpf::{
    fields::{Field, PF_KTHREAD},
    layout::Books,
};

use crate::{object::Object, settings::loaded_at};

/// A `struct task_struct *`, never null.
#[derive(Clone, Copy)]
pub struct Task(Object);

impl Task {
    /// # Safety
    /// `task` is a task pointer that the kernel handed to this program, so that the verifier tracks its type.
    #[inline(always)]
    pub unsafe fn from_kernel(task: *const u8) -> Self {
        // SAFETY: as above.
        Self(unsafe { Object::from_kernel(task) })
    }

    /// The task that runs this program.
    #[inline(always)]
    pub fn current() -> Self {
        // SAFETY: the current task lives while it runs.
        unsafe { Self::from_kernel(aya_ebpf::helpers::bpf_get_current_task_btf() as *const u8) }
    }

    /// The pointer, for helpers.
    #[inline(always)]
    pub fn as_ptr(self) -> *const u8 {
        self.0.as_ptr()
    }

    /// A CPU's idle task: its time is nobody's.
    #[inline(always)]
    pub fn is_idle(self) -> bool {
        self.0.required::<u32>(Field::Pid) == 0
    }

    /// A thread of the kernel itself.
    #[inline(always)]
    pub fn is_kernel_thread(self) -> bool {
        self.0.required::<u32>(Field::Flags) & PF_KTHREAD != 0
    }

    /// The thread that stands for its process. (While another thread executes a program, both of them do for a moment.)
    #[inline(always)]
    pub fn leads_process(self) -> bool {
        self.0.required::<u32>(Field::Pid) == self.0.required::<u32>(Field::Tgid)
    }

    /// The real UID in the initial user namespace.
    #[inline(always)]
    pub fn uid(self) -> u32 {
        // `real_cred` of a task is never null and lives as long as the task (task_uid() in linux/cred.h).
        let cred = self.0.required::<*const u8>(Field::RealCred);
        // SAFETY: a load through the task.
        unsafe { Object::from_kernel(cred) }.required::<u32>(Field::CredUid)
    }

    /// Whether the task was forked after the programs were loaded: its books began at zero since then.
    #[inline(always)]
    pub fn is_newer_than_us(self) -> bool {
        self.0.required::<u64>(Field::StartTime) >= loaded_at()
    }

    /// One of the task's own counters; zero if this kernel does not keep it.
    #[inline(always)]
    pub fn counter(self, field: Field) -> u64 {
        self.0.counter(field)
    }

    /// Its delay accounting; `None` if that was off when it was forked.
    #[inline(always)]
    pub fn delays(self) -> Option<Object> {
        self.0.follow(Field::Delays)
    }

    /// Address of its place in the cgroup hierarchies; changes when it is moved. 0 without cgroups.
    #[inline(always)]
    pub fn css_set_address(self) -> u64 {
        self.0.counter(Field::CssSet)
    }

    /// Its cgroup in the unified hierarchy.
    #[inline(always)]
    pub fn default_group(self) -> Option<Object> {
        self.0.follow(Field::CssSet)?.follow(Field::CssDefaultGroup)
    }

    /// What it shares with the other threads of its process.
    #[inline(always)]
    pub fn signal(self) -> Option<Object> {
        self.0.follow(Field::Signal)
    }

    /// Its address space, if it is the one task that stands for it.
    #[inline(always)]
    pub fn owned_memory(self) -> Option<Object> {
        let memory = self.0.follow(Field::Memory)?;
        match memory.follow(Field::MemoryOwner) {
            Some(owner) if owner.as_ptr() == self.as_ptr() => Some(memory),
            _ => None,
        }
    }

    /// The task's books as they stand now; zero for what this kernel does not keep.
    #[inline(always)]
    pub fn books(self) -> Books {
        let delay = |field| self.delays().map_or(0, |delays| delays.counter(field));
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
            read_chars: self.counter(Field::ReadChars),
            written_chars: self.counter(Field::WrittenChars),
            read_bytes: self.counter(Field::ReadBytes),
            written_bytes: self.counter(Field::WrittenBytes),
            cancelled_bytes: self.counter(Field::CancelledBytes),
            block_io_delay_ns: delay(Field::BlockIoDelay),
            swap_in_delay_ns: delay(Field::SwapInDelay),
            thrashing_delay_ns: delay(Field::ThrashingDelay),
        }
    }
}
