//! The programs that the kernel calls, one file a subject. Each is the least that its hook needs; the work is in
//! [`crate::drain`], [`crate::ledger`], [`crate::events`] and [`crate::holdings`].

pub mod lifecycle;
pub mod memstall;
pub mod oom;
pub mod reclaim;
pub mod sched_switch;
pub mod task_newtask;
pub mod task_walk;
pub mod tick;

use aya_ebpf::{EbpfContext as _, programs::BtfTracePointContext};

use crate::task::Task;

/// The task among the first `N` arguments of a tracepoint, at the position that the loader found in BTF. All are loaded,
/// each at its own constant offset, since the verifier takes no computed one.
#[inline(always)]
fn task_argument<const N: usize>(ctx: &BtfTracePointContext, position: u32) -> Option<Task> {
    let mut found = core::ptr::null();
    let mut i = 0;
    while i < N {
        // SAFETY: the context of a BTF tracepoint is an array of its arguments, of which there are at least `N`.
        // Volatile, so that the compiler does not merge the loads into one with a computed offset.
        let argument = unsafe { core::ptr::read_volatile(ctx.as_ptr().cast::<*const u8>().add(i)) };
        if position as usize == i {
            found = argument;
        }
        i += 1;
    }
    if position as usize >= N {
        return None;
    }
    // SAFETY: the loader found an argument of type `struct task_struct *` there.
    Some(unsafe { Task::from_kernel(found) })
}
