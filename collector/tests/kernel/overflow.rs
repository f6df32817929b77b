//! More users than slots: nothing may be lost.

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
    oracle::Cgroup,
    user::{Load, options, read},
};

const USERS: u32 = 10_000;
const SLOTS: u32 = 256;
/// The parent of all; the users follow it.
const FIRST: u32 = 30_000;

pub(crate) fn ten_thousand_users() -> Outcome {
    let mut source = EbpfSource::load(&Options { max_users: SLOTS, ..options() })?;
    if source.user_slots() != SLOTS {
        return Err(format!("{} slots instead of {SLOTS}", source.user_slots()).into());
    }
    let cgroup = Cgroup::new()?;
    let mut running = Load::prepare(FIRST, &cgroup, &["many-users", &USERS.to_string()])?;
    let base_kernel = cgroup.settled_cpu_ns()?;
    let base = sums(&read(&mut source));
    running.go()?;
    running.end()?;
    let kernel = cgroup.settled_cpu_ns()? - base_kernel;
    let snapshot = read(&mut source);
    let now = sums(&snapshot);
    let ours = now.own_rows + now.overflow - base.own_rows - base.overflow;
    eprintln_figures("CPU ns", ours, kernel);
    if ours.abs_diff(kernel) > cgroup.rounding_ns() {
        return Err(format!("charged {ours} ns in all, the kernel says {kernel} ns").into());
    }
    if snapshot.users().count() != SLOTS as usize {
        return Err(format!("{} users have a row, there are {SLOTS} slots", snapshot.users().count()).into());
    }
    let homeless = u64::from(USERS + 1) - u64::from(now.users_of_ours);
    let told = snapshot.unattributed.overflow_users;
    if now.overflow == 0 || told < homeless {
        return Err(format!("{homeless} users had no row, the collector tells of {told}").into());
    }
    Ok(())
}

struct Sums {
    own_rows: u64,
    users_of_ours: u32,
    overflow: u64,
}

fn sums(snapshot: &Snapshot) -> Sums {
    let mut sums = Sums { own_rows: 0, users_of_ours: 0, overflow: 0 };
    for row in &snapshot.rows {
        match row.owner {
            Owner::User(Uid(uid)) if (FIRST..=FIRST + USERS).contains(&uid) => {
                sums.own_rows += row.counters.cpu.0;
                sums.users_of_ours += 1;
            }
            Owner::Overflow => sums.overflow += row.counters.cpu.0,
            Owner::User(_) | Owner::Kernel | Owner::Other => {}
        }
    }
    sums
}
