//! `fentry/psi_memstall_enter` and `_leave`: the current task begins and ends to stall on memory, in whatever way the kernel's own
//! pressure accounting (PSI) counts: reclaim, compaction, refaults, swap. Stalls may be nested; the outermost one counts.
//!
//! Not every kernel lets functions be hooked.

use core::mem::offset_of;

use aya_ebpf::{macros::fentry, programs::FEntryContext};
use collector_ebpf::layout::UidEvents;

use crate::{events, ledger, task::Task};

#[fentry(function = "psi_memstall_enter")]
fn memory_stall_begin(_ctx: FEntryContext) -> i32 {
    if let Some(ledger) = ledger::find(Task::current()) {
        ledger.memory_stall_depth += 1;
        if ledger.memory_stall_depth == 1 {
            events::enter(|ledger| &mut ledger.memory_stall_since);
        }
    }
    0
}

#[fentry(function = "psi_memstall_leave")]
fn memory_stall_end(_ctx: FEntryContext) -> i32 {
    if let Some(ledger) = ledger::find(Task::current()) {
        // Zero for a stall that began before the programs were loaded.
        ledger.memory_stall_depth = ledger.memory_stall_depth.saturating_sub(1);
        if ledger.memory_stall_depth == 0 {
            events::leave(
                |ledger| &mut ledger.memory_stall_since,
                offset_of!(UidEvents, memory_stalls),
                offset_of!(UidEvents, memory_stall_ns),
            );
        }
    }
    0
}
