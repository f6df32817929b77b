//! The programs that the kernel calls, one file each. Each is the least that its hook needs; the work is in
//! [`crate::drain`] and [`crate::ledger`].

pub mod sched_switch;
pub mod seed_ledgers;
pub mod task_newtask;
pub mod tick;

use aya_ebpf::programs::BtfTracePointContext;

use crate::task::Task;

/// The task among a tracepoint's arguments at a position that the loader found in BTF. The verifier
/// wants the position as a constant, so each has its own branch; the others are removed.
#[inline(always)]
fn task_argument(ctx: &BtfTracePointContext, position: u32) -> Option<Task> {
    let task: *const u8 = match position {
        0 => ctx.arg(0),
        1 => ctx.arg(1),
        2 => ctx.arg(2),
        _ => return None,
    };
    // SAFETY: the loader found an argument of type `struct task_struct *` there.
    Some(unsafe { Task::from_kernel(task) })
}
