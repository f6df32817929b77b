//! The heart: charges what a task has done since its last drain to the row of its UID.
//!
//! Called with interrupts off and on the CPU that runs the task, so neither the ledger nor the row has a second
//! writer. Draining twice adds nothing twice.

use collector_ebpf::{
    latency::{BUCKETS, bucket_of},
    layout::{Books, UidCounters},
};

use crate::{ledger, slots, task::Task};

/// Drains `task`, unless it is an idle task.
#[inline(always)]
pub fn drain(task: Task) {
    if task.is_idle() {
        return;
    }
    let Some(ledger) = ledger::find(task) else {
        return slots::count_missing_ledger();
    };
    let Some(row) = slots::row(slots::slot_of(task, ledger)) else {
        return slots::count_missing_row();
    };
    let books = task.books();
    let mut delta = growth(&books, &ledger.drained);
    if (often(&delta) | seldom(&delta)) >> 63 == 1 {
        // A counter went down. It never does, so one test serves for all: a negative difference has the top bit.
        clamp(&mut delta);
        slots::count_clamped();
    }
    ledger.drained.cpu_ns = books.cpu_ns;
    ledger.drained.wait_ns = books.wait_ns;
    ledger.drained.timeslices = books.timeslices;
    ledger.drained.voluntary_switches = books.voluntary_switches;
    ledger.drained.involuntary_switches = books.involuntary_switches;
    row.books.cpu_ns += delta.cpu_ns;
    row.books.voluntary_switches += delta.voluntary_switches;
    row.books.involuntary_switches += delta.involuntary_switches;
    if delta.timeslices > 0 {
        charge_waits(row, &delta);
    }
    if seldom(&delta) > 0 {
        ledger.drained = books;
        row.books.user_ns += delta.user_ns;
        row.books.system_ns += delta.system_ns;
        row.books.migrations += delta.migrations;
        row.books.minor_faults += delta.minor_faults;
        row.books.major_faults += delta.major_faults;
    }
}

/// A wait is over when the task gets a CPU, so between two switch-outs lies one wait. The tick finds it first if the
/// task is still running then; several in one delta (a drain was missed) count at their mean.
#[inline(always)]
fn charge_waits(row: &mut UidCounters, delta: &Books) {
    row.books.wait_ns += delta.wait_ns;
    row.books.timeslices += delta.timeslices;
    let wait = if delta.timeslices == 1 { delta.wait_ns } else { delta.wait_ns / delta.timeslices };
    let bucket = bucket_of(wait);
    if bucket < BUCKETS {
        row.latency[bucket] += delta.timeslices;
    }
}

#[inline(always)]
fn growth(now: &Books, base: &Books) -> Books {
    Books {
        cpu_ns: now.cpu_ns.wrapping_sub(base.cpu_ns),
        user_ns: now.user_ns.wrapping_sub(base.user_ns),
        system_ns: now.system_ns.wrapping_sub(base.system_ns),
        wait_ns: now.wait_ns.wrapping_sub(base.wait_ns),
        timeslices: now.timeslices.wrapping_sub(base.timeslices),
        voluntary_switches: now.voluntary_switches.wrapping_sub(base.voluntary_switches),
        involuntary_switches: now.involuntary_switches.wrapping_sub(base.involuntary_switches),
        migrations: now.migrations.wrapping_sub(base.migrations),
        minor_faults: now.minor_faults.wrapping_sub(base.minor_faults),
        major_faults: now.major_faults.wrapping_sub(base.major_faults),
    }
}

/// Bits of the counters that grow at nearly every switch.
#[inline(always)]
fn often(delta: &Books) -> u64 {
    delta.cpu_ns | delta.wait_ns | delta.timeslices | delta.voluntary_switches | delta.involuntary_switches
}

/// Bits of the counters that rarely grow between two switches: zero means that there is nothing to charge to them.
#[inline(always)]
fn seldom(delta: &Books) -> u64 {
    delta.user_ns | delta.system_ns | delta.migrations | delta.minor_faults | delta.major_faults
}

#[inline(never)]
fn clamp(delta: &mut Books) {
    for counter in [
        &mut delta.cpu_ns,
        &mut delta.user_ns,
        &mut delta.system_ns,
        &mut delta.wait_ns,
        &mut delta.timeslices,
        &mut delta.voluntary_switches,
        &mut delta.involuntary_switches,
        &mut delta.migrations,
        &mut delta.minor_faults,
        &mut delta.major_faults,
    ] {
        if *counter >> 63 == 1 {
            *counter = 0;
        }
    }
}
