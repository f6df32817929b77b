//! `tp_btf/task_newtask`: every new task gets its ledger and is counted. Fires at the end of `copy_process`, outside the
//! scheduler's locks and before the task first runs, so its books are still zero.

use core::mem::offset_of;

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use collector_ebpf::layout::{Setting, UidEvents};

use super::task_argument;
use crate::{events, ledger, settings::setting};

#[btf_tracepoint(function = "task_newtask")]
fn task_newtask(ctx: BtfTracePointContext) -> i32 {
    if let Some(task) = task_argument::<2>(&ctx, setting(Setting::NewTaskArgument)) {
        ledger::open(task);
        let begun =
            if task.leads_process() { offset_of!(UidEvents, forks) } else { offset_of!(UidEvents, thread_starts) };
        events::count(task, begun);
    }
    #[cfg(feature = "debug-log")]
    aya_log_ebpf::debug!(&ctx, "new task");
    0
}
