//! `fentry/out_of_memory` and `fentry/mark_oom_victim`: memory has run out, of a cgroup or of the host, and these processes are chosen
//! to give theirs back. The kernel does one such thing at a time, under `oom_lock`, so there is one place to remember whose
//! limit it was.
//!
//! Not every kernel lets functions be hooked. The tracepoint `mark_victim` is everywhere, but does not tell the limit.

use core::mem::offset_of;

use aya_ebpf::{
    EbpfContext as _,
    macros::{fentry, map},
    maps::Array,
    programs::FEntryContext,
};
use collector_ebpf::{
    fields::{ABSENT, Field},
    layout::{UidEvents, owned_by},
};

use crate::{events, object::Object, settings::offset, slice, task::Task};

/// Whose limit was reached last: [`HOST`], [`GROUP`], or the owner of the slice as [`owned_by`] has it; zero before the first time.
#[map]
static OOM_LIMIT: Array<u64> = Array::with_max_entries(1, 0);

const HOST: u64 = 1;
const GROUP: u64 = 2;

#[fentry(function = "out_of_memory")]
fn out_of_memory(ctx: FEntryContext) -> i32 {
    if offset(Field::OomMemoryGroup) == ABSENT {
        return 0;
    }
    // SAFETY: the argument is a `struct oom_control *`.
    let control = unsafe { Object::from_kernel(first_argument(&ctx)) };
    let limit = match control.follow(Field::OomMemoryGroup) {
        None => HOST,
        Some(memory) => memory.follow(Field::MemoryGroupGroup).and_then(slice::owner).map_or(GROUP, owned_by),
    };
    let _ = OOM_LIMIT.set(0, limit, 0);
    0
}

#[fentry(function = "mark_oom_victim")]
fn mark_oom_victim(ctx: FEntryContext) -> i32 {
    // SAFETY: the argument is a `struct task_struct *`.
    let victim = unsafe { Task::from_kernel(first_argument(&ctx)) };
    // Each thread of a process can be marked; the first one sets this.
    if victim.signal().is_none_or(|signal| signal.follow(Field::SignalOomMemory).is_some()) {
        return 0;
    }
    match OOM_LIMIT.get(0).copied() {
        None | Some(0) => {}
        Some(HOST) => events::count(victim, offset_of!(UidEvents, oom_kills_host)),
        Some(limit) if limit == owned_by(victim.uid()) => {
            events::count(victim, offset_of!(UidEvents, oom_kills_slice));
        }
        Some(_) => events::count(victim, offset_of!(UidEvents, oom_kills_group)),
    }
    0
}

#[inline(always)]
fn first_argument(ctx: &FEntryContext) -> *const u8 {
    // SAFETY: the context of such a program is an array of the function's arguments.
    unsafe { core::ptr::read_volatile(ctx.as_ptr().cast::<*const u8>()) }
}
