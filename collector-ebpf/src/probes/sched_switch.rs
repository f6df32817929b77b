//! `tp_btf/sched_switch`: the outgoing task is drained. Fires in `__schedule` with the run queue locked and interrupts
//! off, after `update_curr` and the switch counters, before the next task's wait ends.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use collector_ebpf::layout::Setting;

use super::task_argument;
use crate::{drain::drain, settings::setting};

#[btf_tracepoint(function = "sched_switch")]
fn sched_switch(ctx: BtfTracePointContext) -> i32 {
    if let Some(prev) = task_argument::<3>(&ctx, setting(Setting::SwitchPrevArgument)) {
        drain(prev);
    }
    0
}
