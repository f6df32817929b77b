//! `perf_event` on each CPU's software clock: the running task is drained at the sampling rate, so that one which never
//! switches is still seen at every tick. Runs in a hard interrupt, so it cannot meet `sched_switch` half-way.

use aya_ebpf::{macros::perf_event, programs::PerfEventContext};

use crate::{drain::drain, task::Task};

#[perf_event]
fn tick(_ctx: PerfEventContext) -> u32 {
    drain(Task::current());
    0
}
