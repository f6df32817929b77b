//! What users hold right now: filled in by the one walk over all tasks that is under way, row by row.

use aya_ebpf::{bindings::BPF_F_MMAPABLE, helpers::bpf_probe_read_kernel, macros::map, maps::Array};
use collector_ebpf::{
    fields::{ABSENT, Field},
    layout::{FIRST_USER_SLOT, KERNEL_SLOT, Setting, UidHoldings, page_kind},
};

use crate::{
    ledger,
    object::Object,
    settings::{offset, per_cpu_offset, setting},
    slots,
    task::Task,
};

// Sizes of 1 stand for the number of slots.
#[map]
static UID_HOLDINGS: Array<UidHoldings> = Array::with_max_entries(1, BPF_F_MMAPABLE);
#[map]
static SLOT_SEEN: Array<u64> = Array::with_max_entries(1, BPF_F_MMAPABLE);
#[map]
static WALK: Array<u64> = Array::with_max_entries(1, 0);

/// CPUs beyond this keep back at most some pages each that are not counted: what the verifier checks must end.
const MOST_CPUS: u32 = 1024;

/// Adds `task` to what its user holds, and marks its slots as in use.
#[inline(always)]
pub fn count(task: Task) {
    let Some(walk) = WALK.get(0).copied() else {
        return;
    };
    let slot = slot_of(task, walk);
    let Some(row) = UID_HOLDINGS.get_ptr_mut(slot) else {
        return;
    };
    // SAFETY: a map value; only the one walk that is under way writes it.
    let row = unsafe { &mut *row };
    if row.walk != walk {
        *row = UidHoldings { walk, ..UidHoldings::default() };
    }
    row.threads += 1;
    row.processes += u64::from(task.leads_process());
    if slot != KERNEL_SLOT
        && let Some(memory) = task.owned_memory()
    {
        row.pages[page_kind::FILE] += pages(memory, page_kind::FILE);
        row.pages[page_kind::ANON] += pages(memory, page_kind::ANON);
        row.pages[page_kind::SWAP] += pages(memory, page_kind::SWAP);
        row.pages[page_kind::SHMEM] += pages(memory, page_kind::SHMEM);
    }
}

/// The slot of `task`'s user, claimed if need be: one who only sleeps holds memory, too. The ledger may still have the slot of a
/// former user.
#[inline(always)]
fn slot_of(task: Task, walk: u64) -> u32 {
    if task.is_kernel_thread() {
        return KERNEL_SLOT;
    }
    if let Some(ledger) = ledger::find(task)
        && ledger.slot >= FIRST_USER_SLOT
    {
        let _ = SLOT_SEEN.set(ledger.slot, walk, 0);
    }
    let slot = slots::find_or_claim(task.uid());
    let _ = SLOT_SEEN.set(slot, walk, 0);
    slot
}

/// Pages of one kind. Out of line, since it is called four times.
#[inline(never)]
fn pages(memory: Object, kind: usize) -> u64 {
    let stride = setting(Setting::RssStride);
    if offset(Field::MemoryRss) == ABSENT || stride == 0 {
        return 0;
    }
    let start = memory.as_ptr().wrapping_add(offset(Field::MemoryRss) as usize + kind * stride as usize);
    let Some(mut sum) = read::<i64>(start, setting(Setting::RssCount)) else {
        return 0;
    };
    // What each CPU keeps back (percpu_counter_sum, lib/percpu_counter.c): up to 32 pages a CPU, more on large hosts.
    let kept_back = setting(Setting::RssPerCpu);
    if kept_back != ABSENT && per_cpu_offset() != 0 {
        let shares = read::<u64>(start, kept_back).unwrap_or(0);
        let mut cpu = 0;
        while cpu < MOST_CPUS {
            if cpu >= setting(Setting::Cpus) || shares == 0 {
                break;
            }
            let base = read::<u64>(per_cpu_offset() as *const u8, cpu * 8).unwrap_or(0);
            sum += i64::from(read::<i32>(shares.wrapping_add(base) as *const u8, 0).unwrap_or(0));
            cpu += 1;
        }
    }
    // Sums of parts that change meanwhile can be negative for a moment.
    sum.max(0).cast_unsigned()
}

#[inline(always)]
fn read<T>(base: *const u8, offset: u32) -> Option<T> {
    // SAFETY: the helper checks the address; any bits are a number.
    unsafe { bpf_probe_read_kernel(base.wrapping_add(offset as usize).cast::<T>()) }.ok()
}
