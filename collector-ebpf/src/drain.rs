//! The heart: charges what a task has done since its last drain to the row of its UID.
//!
//! Called with interrupts off and on the CPU that runs the task, so neither the ledger nor the row has a second
//! writer. Draining twice adds nothing twice.

use collector_ebpf::{
    fields::Field,
    latency::{BUCKETS, bucket_of},
    layout::{Ledger, UidCounters},
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
    if charge_all(task, ledger, row) {
        slots::count_clamped();
    }
}

/// Charges every counter; tells whether one had gone down.
///
/// One counter after the other, each read, compared and added at once: then three pointers are all that must be kept, and
/// the nine registers of BPF suffice.
#[inline(always)]
fn charge_all(task: Task, ledger: &mut Ledger, row: &mut UidCounters) -> bool {
    let (drained, books) = (&mut ledger.drained, &mut row.books);
    let mut fell = 0;
    let mut charge =
        |field, drained: &mut u64, sum: &mut u64| charge_growth(task.counter(field), drained, sum, &mut fell);
    let ran = charge(Field::CpuTime, &mut drained.cpu_ns, &mut books.cpu_ns);
    row.outside_ns += ran & ledger.outside;
    charge(Field::UserTime, &mut drained.user_ns, &mut books.user_ns);
    charge(Field::SystemTime, &mut drained.system_ns, &mut books.system_ns);
    charge(Field::VoluntarySwitches, &mut drained.voluntary_switches, &mut books.voluntary_switches);
    charge(Field::InvoluntarySwitches, &mut drained.involuntary_switches, &mut books.involuntary_switches);
    charge(Field::Migrations, &mut drained.migrations, &mut books.migrations);
    charge(Field::MinorFaults, &mut drained.minor_faults, &mut books.minor_faults);
    charge(Field::MajorFaults, &mut drained.major_faults, &mut books.major_faults);
    charge(Field::ReadChars, &mut drained.read_chars, &mut books.read_chars);
    charge(Field::WrittenChars, &mut drained.written_chars, &mut books.written_chars);
    charge(Field::ReadBytes, &mut drained.read_bytes, &mut books.read_bytes);
    charge(Field::WrittenBytes, &mut drained.written_bytes, &mut books.written_bytes);
    charge(Field::CancelledBytes, &mut drained.cancelled_bytes, &mut books.cancelled_bytes);
    let waits = charge(Field::Timeslices, &mut drained.timeslices, &mut books.timeslices);
    if waits > 0 {
        // A wait is over when the task gets a CPU, so between two switch-outs lies one wait. The tick finds it first if
        // the task is still running then; several in one delta (a drain was missed) count at their mean.
        let waited = charge(Field::RunDelay, &mut drained.wait_ns, &mut books.wait_ns);
        let bucket = bucket_of(if waits == 1 { waited } else { waited / waits });
        if bucket < BUCKETS {
            row.latency[bucket] += waits;
        }
    }
    if let Some(delays) = task.delays() {
        let mut charge =
            |field, drained: &mut u64, sum: &mut u64| charge_growth(delays.counter(field), drained, sum, &mut fell);
        charge(Field::BlockIoDelay, &mut drained.block_io_delay_ns, &mut books.block_io_delay_ns);
        charge(Field::SwapInDelay, &mut drained.swap_in_delay_ns, &mut books.swap_in_delay_ns);
        charge(Field::ThrashingDelay, &mut drained.thrashing_delay_ns, &mut books.thrashing_delay_ns);
    }
    fell >> 63 == 1
}

/// Adds the growth of one counter, which stands at `now`, since the last drain to `sum`, and gives it. A counter that went down (a negative
/// difference has the top bit) is charged nothing and leaves its mark in `fell`.
#[inline(always)]
fn charge_growth(now: u64, drained: &mut u64, sum: &mut u64, fell: &mut u64) -> u64 {
    let growth = now.wrapping_sub(*drained);
    // Most counters do not grow between two switches.
    if growth == 0 {
        return 0;
    }
    *drained = now;
    *fell |= growth;
    if growth >> 63 == 1 {
        return 0;
    }
    *sum += growth;
    growth
}
