//! `tp_btf/mm_vmscan_*_reclaim_*`: a task that wants memory has to free some first, of the host (`direct`) or of its cgroup.
//! All four fire in the context of that task.

use core::mem::offset_of;

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use collector_ebpf::layout::UidEvents;

use crate::events;

#[btf_tracepoint(function = "mm_vmscan_direct_reclaim_begin")]
fn direct_reclaim_begin(_ctx: BtfTracePointContext) -> i32 {
    events::enter(|ledger| &mut ledger.direct_reclaim_since);
    0
}

#[btf_tracepoint(function = "mm_vmscan_direct_reclaim_end")]
fn direct_reclaim_end(_ctx: BtfTracePointContext) -> i32 {
    events::leave(
        |ledger| &mut ledger.direct_reclaim_since,
        offset_of!(UidEvents, direct_reclaims),
        offset_of!(UidEvents, direct_reclaim_ns),
    );
    0
}

#[btf_tracepoint(function = "mm_vmscan_memcg_reclaim_begin")]
fn group_reclaim_begin(_ctx: BtfTracePointContext) -> i32 {
    events::enter(|ledger| &mut ledger.group_reclaim_since);
    0
}

#[btf_tracepoint(function = "mm_vmscan_memcg_reclaim_end")]
fn group_reclaim_end(_ctx: BtfTracePointContext) -> i32 {
    events::leave(
        |ledger| &mut ledger.group_reclaim_since,
        offset_of!(UidEvents, group_reclaims),
        offset_of!(UidEvents, group_reclaim_ns),
    );
    0
}
