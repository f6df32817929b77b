//! What the kernel programs and the collector must agree on: map rows, slot numbers, histogram
//! boundaries, and which kernel fields are read.
//!
//! Plain data without I/O. Both sides compile this crate, so each fact stands here once: only `u32` and `u64`
//! cross the border, never `bool`, `usize` or `Option`.
#![no_std]

pub mod fields;
pub mod latency;
pub mod layout;
