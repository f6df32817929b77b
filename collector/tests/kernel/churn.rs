//! More users than slots, most of whom are gone at once: nothing may be lost, whether they get a slot or not, and when they are
//! forgotten.

use std::time::{Duration, Instant};

use collector::{
    snapshot::{Owner, Snapshot},
    source::{
        Source as _,
        ebpf::{EbpfSource, Options},
    },
    units::Uid,
};

use crate::{
    Outcome,
    exact::eprintln_figures,
    machine,
    oracle::Cgroup,
    user::{Load, options, read},
};

const SLOTS: u32 = 256;
/// The parent of all; the users follow it.
const FIRST: u32 = 30_000;
/// Time between two rounds of maintenance, much shorter than the daemon's: slots come free as fast as they can.
const ROUND: Duration = Duration::from_millis(100);

/// Emulated processors take a hundred times as long for a process.
fn users() -> u32 {
    if machine::is_ours() { 1_000 } else { 100_000 }
}

/// What our users did, as told by rows that are gone and rows that are there.
#[derive(Default)]
struct Sums {
    /// By users who were forgotten.
    forgotten: u64,
    /// By users with a row.
    rows: u64,
    overflow: u64,
}

impl Sums {
    fn of_rows(forgotten: u64, snapshot: &Snapshot) -> Self {
        let mut sums = Self { forgotten, ..Self::default() };
        for row in &snapshot.rows {
            match row.owner {
                Owner::User(Uid(uid)) if is_ours(uid) => sums.rows += row.counters.cpu.0,
                Owner::Overflow => sums.overflow += row.counters.cpu.0,
                Owner::User(_) | Owner::Kernel | Owner::Other => {}
            }
        }
        sums
    }

    fn all(&self) -> u64 {
        self.forgotten + self.rows + self.overflow
    }
}

fn is_ours(uid: u32) -> bool {
    (FIRST..=FIRST + users()).contains(&uid)
}

/// Forgets all of our users whom the source can forget; gives what they did and how many they were.
fn forget(source: &mut EbpfSource) -> (u64, u32) {
    let snapshot = read(source);
    let (mut sum, mut number) = (0, 0);
    for row in &snapshot.rows {
        if let Owner::User(uid) = row.owner
            && is_ours(uid.0)
            && source.forget(uid)
        {
            sum += row.counters.cpu.0;
            number += 1;
        }
    }
    (sum, number)
}

pub(crate) fn all_are_counted() -> Outcome {
    let mut source = EbpfSource::load(&Options { max_users: SLOTS, ..options() })?;
    if source.user_slots() != SLOTS {
        return Err(format!("{} slots instead of {SLOTS}", source.user_slots()).into());
    }
    let cgroup = Cgroup::new()?;
    let mut running = Load::prepare(FIRST, &cgroup, &["many-users", &users().to_string()])?;
    let base_kernel = cgroup.settled_cpu_ns()?;
    let base = Sums::of_rows(0, &read(&mut source)).all();
    let (mut forgotten, mut had_rows) = (0, 0);
    running.go()?;
    let deadline = Instant::now() + Duration::from_mins(8);
    while !running.has_ended_within(ROUND)? {
        source.maintain(ROUND);
        let (sum, number) = forget(&mut source);
        forgotten += sum;
        had_rows += number;
        if Instant::now() > deadline {
            return Err("the load does not end".into());
        }
    }
    let kernel = cgroup.settled_cpu_ns()? - base_kernel;
    let snapshot = read(&mut source);
    let sums = Sums::of_rows(forgotten, &snapshot);
    eprintln_figures("CPU ns", sums.all() - base, kernel);
    eprintln_figures("users with a row at some time", had_rows.into(), users().into());
    if (sums.all() - base).abs_diff(kernel) > cgroup.rounding_ns() {
        return Err(format!("charged {} ns in all, the kernel says {kernel} ns", sums.all() - base).into());
    }
    if had_rows <= SLOTS {
        return Err(format!("only {had_rows} users were given a row: slots are not taken back").into());
    }
    // So many come so quickly that not everybody gets a slot.
    if !machine::is_ours() && (sums.overflow == 0 || snapshot.unattributed.overflow_users == 0) {
        return Err(format!("nobody overflowed: {:?}", snapshot.unattributed).into());
    }
    Ok(())
}
