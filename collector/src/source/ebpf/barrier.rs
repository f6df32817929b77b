//! Waits until no kernel program runs that was running before.

/// Returns once every kernel program that was under way at the call has ended: `MEMBARRIER_CMD_GLOBAL` is an RCU grace period
/// (kernel/sched/membarrier.c), and kernel programs run within RCU's read side. `false` where the kernel does not offer it, as
/// with CPUs that run without a tick (`nohz_full`).
pub(super) fn wait_for_running_programs() -> bool {
    // SAFETY: takes three integers and touches no memory of ours (membarrier(2)).
    unsafe { libc::syscall(libc::SYS_membarrier, libc::MEMBARRIER_CMD_GLOBAL, 0, 0) == 0 }
}
