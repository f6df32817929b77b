//! UID → slot, and the rows that slots stand for.
//!
//! A slot is claimed by whichever CPU first charges a UID. Nothing is evicted here: a table that throws
//! out its oldest entry (LRU) loses counters. When no slot is free, the work goes to the overflow row and is counted.

use aya_ebpf::{
    bindings::{BPF_F_MMAPABLE, BPF_NOEXIST},
    helpers::bpf_get_smp_processor_id,
    macros::map,
    maps::{Array, HashMap, Stack},
};
use collector_ebpf::layout::{
    self, FIRST_USER_SLOT, Health, KERNEL_SLOT, Ledger, OVERFLOW_SLOT, Setting, UidCounters, owned_by,
};

use crate::{settings::setting, slice, task::Task};

// Sizes of 1 stand for what the loader sets from the host's CPUs and the memory budget.
#[map]
static UID_SLOTS: HashMap<u32, u32> = HashMap::with_max_entries(1, 0);
#[map]
static FREE_SLOTS: Stack<u32> = Stack::with_max_entries(1, 0);
#[map]
static SLOT_OWNERS: Array<u64> = Array::with_max_entries(1, BPF_F_MMAPABLE);
#[map]
static UID_BANKS: Array<UidCounters> = Array::with_max_entries(1, BPF_F_MMAPABLE);
#[map]
static HEALTH: Array<Health> = Array::with_max_entries(1, BPF_F_MMAPABLE);
#[map]
static OVERFLOW_UIDS: HashMap<u32, u8> = HashMap::with_max_entries(layout::OVERFLOW_UIDS, 0);

/// This CPU's row for `slot`.
#[inline(always)]
pub fn row<'a>(slot: u32) -> Option<&'a mut UidCounters> {
    // SAFETY: calls a helper that has no preconditions.
    let cpu = unsafe { bpf_get_smp_processor_id() };
    let row = UID_BANKS.get_ptr_mut(cpu * setting(Setting::Slots) + slot)?;
    // SAFETY: a map value that lives as long as the map; only this CPU writes it, with interrupts off.
    Some(unsafe { &mut *row })
}

/// This CPU's counts of what could not be attributed.
#[inline(always)]
fn health<'a>() -> Option<&'a mut Health> {
    // SAFETY: calls a helper that has no preconditions.
    let cpu = unsafe { bpf_get_smp_processor_id() };
    // SAFETY: as in `row`.
    HEALTH.get_ptr_mut(cpu).map(|row| unsafe { &mut *row })
}

// Out of line, since none of these ever happens on a healthy host.

/// A task without a ledger was met.
#[inline(never)]
pub fn count_missing_ledger() {
    if let Some(health) = health() {
        health.no_ledger += 1;
    }
}

/// There is no row for this CPU.
#[inline(never)]
pub fn count_missing_row() {
    if let Some(health) = health() {
        health.no_row += 1;
    }
}

/// A task's counter has gone down.
#[inline(never)]
pub fn count_clamped() {
    if let Some(health) = health() {
        health.clamped += 1;
    }
}

/// The slot to charge for `task`, with interrupts off. Asks the table only when the task's user or cgroup is not the one of
/// its last drain.
#[inline(always)]
pub fn slot_of(task: Task, ledger: &mut Ledger) -> u32 {
    if task.is_kernel_thread() {
        return KERNEL_SLOT;
    }
    let uid = task.uid();
    let css_set = task.css_set_address();
    if ledger.slot >= FIRST_USER_SLOT && ledger.uid == uid && ledger.css_set == css_set {
        return ledger.slot;
    }
    settle(task, ledger, uid, css_set)
}

/// The slot to charge for `task` where interrupts are on, so that the ledger must not be changed.
#[inline(always)]
pub fn slot_for_event(task: Task, ledger: Option<&mut Ledger>) -> u32 {
    if task.is_kernel_thread() {
        return KERNEL_SLOT;
    }
    let uid = task.uid();
    match ledger {
        Some(ledger) if ledger.slot >= FIRST_USER_SLOT && ledger.uid == uid => ledger.slot,
        _ => find_or_claim(uid),
    }
}

/// Out of line, because it runs once a task: the drain stays short.
#[inline(never)]
fn settle(task: Task, ledger: &mut Ledger, uid: u32, css_set: u64) -> u32 {
    if ledger.uid != uid || ledger.css_set != css_set {
        ledger.outside = if slice::is_own(task, uid) { 0 } else { u64::MAX };
        ledger.css_set = css_set;
    }
    let slot = find_or_claim(uid);
    ledger.uid = uid;
    ledger.slot = if ledger.is_leaving == 0 { slot } else { OVERFLOW_SLOT };
    slot
}

/// The slot of `uid`. Out of line for the same reason.
#[inline(never)]
pub fn find_or_claim(uid: u32) -> u32 {
    if let Some(slot) = find(uid) {
        return slot;
    }
    let Ok(Some(slot)) = FREE_SLOTS.pop() else {
        return overflow(uid);
    };
    // The owner is published first, so that whoever finds the slot finds its owner, and no reader meets a count without one.
    let _ = SLOT_OWNERS.set(slot, owned_by(uid), 0);
    if UID_SLOTS.insert(uid, slot, BPF_NOEXIST.into()).is_ok() {
        return slot;
    }
    // Another CPU was first.
    let _ = SLOT_OWNERS.set(slot, 0, 0);
    let _ = FREE_SLOTS.push(slot, 0);
    find(uid).unwrap_or_else(|| overflow(uid))
}

/// The slot that the table has for `uid`. While userspace removes an entry, its memory may already serve another UID: the owner
/// tells.
#[inline(always)]
fn find(uid: u32) -> Option<u32> {
    // SAFETY: a copy of 32 bits, which are never torn.
    let slot = unsafe { UID_SLOTS.get(uid) }.copied()?;
    if SLOT_OWNERS.get(slot).copied() == Some(owned_by(uid)) { Some(slot) } else { None }
}

#[inline(always)]
fn overflow(uid: u32) -> u32 {
    let first_time = OVERFLOW_UIDS.get_ptr(uid).is_none() && OVERFLOW_UIDS.insert(uid, 0, BPF_NOEXIST.into()).is_ok();
    if let Some(health) = health() {
        health.overflow += 1;
        health.overflow_uids += u64::from(first_time);
    }
    OVERFLOW_SLOT
}
