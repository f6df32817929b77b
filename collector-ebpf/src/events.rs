//! Rare events, counted where they happen: in the task's own context, with interrupts on. Any CPU may count for a user at any time,
//! so every count is one atomic addition.

use core::intrinsics::{AtomicOrdering, atomic_xadd};

use aya_ebpf::{bindings::BPF_F_MMAPABLE, helpers::bpf_ktime_get_ns, macros::map, maps::Array};
use collector_ebpf::layout::{Ledger, UidEvents};

use crate::{ledger, slots, task::Task};

#[map]
static UID_EVENTS: Array<UidEvents> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Adds one to a counter of `task`'s user, named by its offset in [`UidEvents`].
#[inline(always)]
pub fn count(task: Task, counter: usize) {
    if let Some(events) = of(task) {
        add(events, counter, 1);
    }
}

/// The counters of `task`'s user.
#[inline(always)]
fn of(task: Task) -> Option<*mut UidEvents> {
    UID_EVENTS.get_ptr_mut(slots::slot_for_event(task, ledger::find(task)))
}

#[inline(always)]
fn add(events: *mut UidEvents, counter: usize, amount: u64) {
    // SAFETY: a counter within a map value, valid and aligned. The result is unused: an addition that returns one needs newer
    // instructions.
    let _ = unsafe { atomic_xadd::<u64, u64, { AtomicOrdering::Relaxed }>(events.byte_add(counter).cast(), amount) };
}

/// The current task enters something that takes time.
#[inline(always)]
pub fn enter(since: fn(&mut Ledger) -> &mut u64) {
    if let Some(ledger) = ledger::find(Task::current()) {
        // SAFETY: calls a helper that has no preconditions.
        *since(ledger) = unsafe { bpf_ktime_get_ns() };
    }
}

/// The current task leaves it: counted with its duration. What was entered before the programs were loaded is not.
#[inline(always)]
pub fn leave(since: fn(&mut Ledger) -> &mut u64, times: usize, duration: usize) {
    let task = Task::current();
    let Some(ledger) = ledger::find(task) else {
        return;
    };
    let entered = core::mem::take(since(ledger));
    if entered == 0 {
        return;
    }
    // SAFETY: calls a helper that has no preconditions.
    let took = unsafe { bpf_ktime_get_ns() }.saturating_sub(entered);
    if let Some(events) = of(task) {
        add(events, times, 1);
        add(events, duration, took);
    }
}
