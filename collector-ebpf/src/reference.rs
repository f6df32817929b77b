//! Programs for comparison only, never shipped: an empty `sched_switch`, and the classic design that takes time
//! stamps at wakeup and switch and keeps them in a hash by PID.
#![no_std]
#![no_main]
#![expect(
    clippy::needless_pass_by_value,
    clippy::cast_ptr_alignment,
    reason = "aya's macros hand contexts over by value; the verifier checks the alignment of every load"
)]

use aya_ebpf::{
    bindings::BPF_ANY,
    helpers::{bpf_get_current_uid_gid, bpf_ktime_get_ns, bpf_probe_read_kernel},
    macros::{btf_tracepoint, map},
    maps::{HashMap, PerCpuHashMap},
    programs::BtfTracePointContext,
};

/// What the classic design keeps for one UID.
#[repr(C)]
#[derive(Clone, Copy)]
struct Totals {
    run_ns: u64,
    wait_ns: u64,
    switches: u64,
    latency: [u64; 64],
}

/// A static, because a BPF stack holds 512 bytes.
static NO_TOTALS: Totals = Totals { run_ns: 0, wait_ns: 0, switches: 0, latency: [0; 64] };

#[map]
static QUEUED_AT: HashMap<u32, u64> = HashMap::with_max_entries(65_536, 0);
#[map]
static RUNNING_SINCE: HashMap<u32, u64> = HashMap::with_max_entries(65_536, 0);
#[map]
static TOTALS: PerCpuHashMap<u32, Totals> = PerCpuHashMap::with_max_entries(4_096, 0);

/// Byte offset of `task_struct.pid`.
#[unsafe(no_mangle)]
static OFFSET_PID: u32 = 0;
/// Byte offset of `task_struct.__state`, or `state` before Linux 5.14.
#[unsafe(no_mangle)]
static OFFSET_STATE: u32 = 0;

#[btf_tracepoint(function = "sched_switch")]
fn empty_switch(_ctx: BtfTracePointContext) -> i32 {
    0
}

#[btf_tracepoint(function = "sched_wakeup")]
fn classic_wakeup(ctx: BtfTracePointContext) -> i32 {
    queue(ctx.arg(0));
    0
}

#[btf_tracepoint(function = "sched_wakeup_new")]
fn classic_wakeup_new(ctx: BtfTracePointContext) -> i32 {
    queue(ctx.arg(0));
    0
}

#[btf_tracepoint(function = "sched_switch")]
fn classic_switch(ctx: BtfTracePointContext) -> i32 {
    let (prev, next): (*const u8, *const u8) = (ctx.arg(1), ctx.arg(2));
    // SAFETY: no preconditions.
    let now = unsafe { bpf_ktime_get_ns() };
    let (prev_pid, next_pid) = (pid(prev), pid(next));
    if state(prev) == 0 {
        let _ = QUEUED_AT.insert(prev_pid, now, BPF_ANY.into());
    }
    // The current task is still `prev`.
    #[expect(clippy::cast_possible_truncation, reason = "the UID is the lower half")]
    let uid = bpf_get_current_uid_gid() as u32;
    let ran = since(&RUNNING_SINCE, prev_pid, now);
    let _ = RUNNING_SINCE.insert(next_pid, now, BPF_ANY.into());
    let waited = since(&QUEUED_AT, next_pid, now);
    if TOTALS.get_ptr(uid).is_none() {
        #[expect(clippy::needless_borrows_for_generic_args, reason = "by value it would go through the stack")]
        let _ = TOTALS.insert(uid, &NO_TOTALS, BPF_ANY.into());
    }
    if let Some(totals) = TOTALS.get_ptr_mut(uid) {
        // SAFETY: a per-CPU value, written on this CPU only.
        let totals = unsafe { &mut *totals };
        totals.run_ns += ran;
        totals.wait_ns += waited;
        totals.switches += 1;
        let bucket = (waited | 1).ilog2();
        // SAFETY: a local; volatile, so that the compiler keeps the check, which the verifier wants to see.
        let bucket = unsafe { core::ptr::read_volatile(&raw const bucket) };
        if let Some(waits) = totals.latency.get_mut(bucket as usize) {
            *waits += 1;
        }
    }
    0
}

#[inline(always)]
fn queue(task: *const u8) {
    // SAFETY: no preconditions.
    let now = unsafe { bpf_ktime_get_ns() };
    let _ = QUEUED_AT.insert(pid(task), now, BPF_ANY.into());
}

#[inline(always)]
fn since(times: &HashMap<u32, u64>, pid: u32, now: u64) -> u64 {
    // SAFETY: the value is copied before it is removed.
    let Some(then) = (unsafe { times.get(pid) }).copied() else {
        return 0;
    };
    let _ = times.remove(pid);
    now.wrapping_sub(then)
}

#[inline(always)]
fn pid(task: *const u8) -> u32 {
    read(task, &raw const OFFSET_PID)
}

#[inline(always)]
fn state(task: *const u8) -> u32 {
    read(task, &raw const OFFSET_STATE)
}

#[inline(always)]
fn read(task: *const u8, offset: *const u32) -> u32 {
    // SAFETY: the helper checks the address; the offset is a static that the loader filled in.
    unsafe { bpf_probe_read_kernel(task.add(core::ptr::read_volatile(offset) as usize).cast::<u32>()).unwrap_or(0) }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // Never reached: the verifier refuses a program that could loop here.
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
