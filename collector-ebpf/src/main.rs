//! uidmeter's kernel programs.
//!
//! The kernel keeps exact books for every task; these programs add their growth to the row of the task's UID at
//! each switch-out and at each sampling tick. They take no time stamps and look at no wakeups.
//! Start with [`probes::sched_switch`], then [`drain`].
#![no_std]
#![no_main]
// One atomic addition: core's own atomics do not compile for this target.
#![feature(core_intrinsics)]
#![expect(internal_features, reason = "as above")]
#![expect(
    clippy::needless_pass_by_value,
    clippy::cast_ptr_alignment,
    reason = "aya's macros hand contexts over by value; the verifier checks the alignment of every load"
)]

mod drain;
mod events;
mod holdings;
mod ledger;
mod object;
mod probes;
mod settings;
mod slice;
mod slots;
mod task;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // Never reached: the verifier refuses a program that could loop here.
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
