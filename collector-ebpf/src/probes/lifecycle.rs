//! `tp_btf/sched_process_exec` and `sched_process_exit`: programs and processes come and go. Both fire in the task's own context,
//! with interrupts on; the exit early in `do_exit`, while the task can still be found.

use core::mem::offset_of;

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use collector_ebpf::{
    fields::Field,
    layout::{OVERFLOW_SLOT, UidEvents},
};

use crate::{events, ledger, task::Task};

#[btf_tracepoint(function = "sched_process_exec")]
fn sched_process_exec(_ctx: BtfTracePointContext) -> i32 {
    events::count(Task::current(), offset_of!(UidEvents, execs));
    0
}

#[btf_tracepoint(function = "sched_process_exit")]
fn sched_process_exit(_ctx: BtfTracePointContext) -> i32 {
    let task = Task::current();
    if ends_process(task) {
        events::count(task, offset_of!(UidEvents, exits));
        if task.signal().is_some_and(|signal| signal.follow(Field::SignalOomMemory).is_some()) {
            events::count(task, offset_of!(UidEvents, oom_kills));
        }
    }
    if let Some(ledger) = ledger::find(task) {
        // In this order: a switch in between sees the mark before it sees a slot to ask for.
        ledger.is_leaving = 1;
        ledger.slot = OVERFLOW_SLOT;
    }
    0
}

/// Whether the process ends with this thread: it leads, and has not lost its place to a thread that executes a program.
#[inline(always)]
fn ends_process(task: Task) -> bool {
    let replaced = task.signal().and_then(|signal| signal.follow(Field::SignalExecTask));
    task.leads_process() && replaced.is_none()
}
