//! What has already been drained from each task, in task storage: it follows the task from CPU to CPU and dies with it.
//!
//! A base kept per CPU instead would lose part of the wait of tasks that the load balancer moves.

use core::ffi::c_void;

use aya_ebpf::{bindings::BPF_LOCAL_STORAGE_GET_F_CREATE, helpers::bpf_task_storage_get};
use collector_ebpf::layout::{Books, Ledger};

use crate::task::Task;

/// Map definition in the form that BTF-defined maps have: numbers are lengths of arrays behind pointers.
/// aya-ebpf has none for task storage.
#[repr(C)]
struct TaskStorage<T> {
    r#type: *const [i32; BPF_MAP_TYPE_TASK_STORAGE],
    key: *const i32,
    value: *const T,
    max_entries: *const [i32; 0],
    map_flags: *const [i32; BPF_F_NO_PREALLOC],
}

const BPF_MAP_TYPE_TASK_STORAGE: usize = aya_ebpf::bindings::bpf_map_type::BPF_MAP_TYPE_TASK_STORAGE as usize;
const BPF_F_NO_PREALLOC: usize = aya_ebpf::bindings::BPF_F_NO_PREALLOC as usize;

// SAFETY: never dereferenced; only its address is handed to the kernel.
unsafe impl<T> Sync for TaskStorage<T> {}

#[unsafe(link_section = ".maps")]
#[unsafe(export_name = "TASK_LEDGER")]
static TASK_LEDGER: TaskStorage<Ledger> = TaskStorage {
    r#type: core::ptr::null(),
    key: core::ptr::null(),
    value: core::ptr::null(),
    max_entries: core::ptr::null(),
    map_flags: core::ptr::null(),
};

/// The task's ledger, or `None` if it has none. Safe under the run-queue lock: it never allocates.
#[inline(always)]
pub fn find<'a>(task: Task) -> Option<&'a mut Ledger> {
    get(task, 0)
}

/// Gives the task a ledger if it has none, based so that only what it does from now on is charged; a task younger
/// than the programs is charged from its birth. Allocates: never call it with the run queue locked.
#[inline(always)]
pub fn open(task: Task) {
    // Not asked by `find` before: on older kernels that fails when the storage is in use on this CPU, although there is one.
    let Some(ledger) = get(task, BPF_LOCAL_STORAGE_GET_F_CREATE.into()) else {
        return;
    };
    if ledger.is_open == 0 {
        ledger.drained = if task.is_newer_than_us() { Books::default() } else { task.books() };
        ledger.is_open = 1;
    }
}

#[inline(always)]
fn get<'a>(task: Task, flags: u64) -> Option<&'a mut Ledger> {
    // SAFETY: `Task` is tracked by the verifier, and so is what the helper returns: null or a whole `Ledger`, which
    // only the CPU that runs the task writes to.
    unsafe {
        bpf_task_storage_get(
            (&raw const TASK_LEDGER).cast_mut().cast::<c_void>(),
            task.as_ptr().cast_mut().cast(),
            core::ptr::null_mut(),
            flags,
        )
        .cast::<Ledger>()
        .as_mut()
    }
}
