//! Globals that the loader fills in before loading: the kernel freezes them, so the verifier knows their values and
//! removes the branches for what this kernel lacks.

use collector_ebpf::{
    fields::{ABSENT, FIELDS, Field},
    layout::{SETTINGS as SETTING_COUNT, Setting},
};

#[unsafe(no_mangle)]
static OFFSETS: [u32; FIELDS] = [ABSENT; FIELDS];
#[unsafe(no_mangle)]
static SETTINGS: [u32; SETTING_COUNT] = [0; SETTING_COUNT];
#[unsafe(no_mangle)]
static LOADED_AT: u64 = 0;
#[unsafe(no_mangle)]
static PER_CPU_OFFSET: u64 = 0;

/// Byte offset of `field` in its structure.
#[inline(always)]
pub fn offset(field: Field) -> u32 {
    // SAFETY: a static; volatile, because the loader has changed what the compiler sees.
    unsafe { core::ptr::read_volatile(&raw const OFFSETS[field as usize]) }
}

/// Value of `setting`.
#[inline(always)]
pub fn setting(setting: Setting) -> u32 {
    // SAFETY: as in `offset`.
    unsafe { core::ptr::read_volatile(&raw const SETTINGS[setting as usize]) }
}

/// `CLOCK_MONOTONIC` just before the programs were loaded, in nanoseconds.
#[inline(always)]
pub fn loaded_at() -> u64 {
    // SAFETY: as in `offset`.
    unsafe { core::ptr::read_volatile(&raw const LOADED_AT) }
}

/// Address of `__per_cpu_offset`, or 0.
#[inline(always)]
pub fn per_cpu_offset() -> u64 {
    // SAFETY: as in `offset`.
    unsafe { core::ptr::read_volatile(&raw const PER_CPU_OFFSET) }
}
