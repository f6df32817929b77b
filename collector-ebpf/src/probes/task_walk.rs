//! `iter/task`: visits every task. Gives a ledger to one that has none, and counts what its user holds. Read at the start, after
//! `task_newtask` is attached and before `sched_switch` is; then at an interval, and whenever a ledger could not be made in time.

use core::ffi::c_void;

use crate::{holdings, ledger, task::Task};

/// `ctx` is a `struct bpf_iter__task`: the pointer to the iterator's state, then the task (null at the end).
#[unsafe(link_section = "iter/task")]
#[unsafe(no_mangle)]
extern "C" fn task_walk(ctx: *mut c_void) -> i32 {
    // SAFETY: the verifier knows the layout of the context and the type of what it holds.
    let task = unsafe { *ctx.byte_add(8).cast::<*const u8>() };
    if !task.is_null() {
        // SAFETY: not null, and handed over by the kernel.
        let task = unsafe { Task::from_kernel(task) };
        ledger::open(task);
        holdings::count(task);
    }
    0
}
