//! A host that does not exist: users with made-up habits, for load tests, demos and tests that need to know the truth.
//!
//! Every counter is a function of the seed, the user and the time that has passed, and never goes down. Two sources with
//! one seed and one clock yield the same snapshots, however often each is read. No kernel, no I/O.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use collector_ebpf::latency::{BOUNDS_NS, BUCKETS};

use super::{Kept, Probe, Source};
use crate::{
    snapshot::{Census, Counters, Delays, Events, Holdings, Io, Latency, Owner, Row, Snapshot},
    units::{Bytes, Nanos, Uid},
};

/// What to simulate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Simulation {
    /// Users; their UIDs follow each other.
    pub users: u32,
    /// The first one's UID.
    pub first_uid: u32,
    /// Two hosts with different seeds have different users.
    pub seed: u64,
    /// For how long the host has been up when the simulation begins: how large the counters are.
    pub age: Duration,
}

/// A simulated host.
pub struct Simulated {
    habits: Vec<(Owner, Habits)>,
    age: Duration,
    elapsed: Box<dyn FnMut() -> Duration + Send>,
}

/// What a user does each second, in the average.
#[derive(Clone, Copy, Debug)]
struct Habits {
    /// Time on a CPU, in nanoseconds.
    cpu_ns: u64,
    /// Of 256 parts of that, those in user mode.
    user_parts: u64,
    /// Waits for a CPU.
    waits: u64,
    /// The bucket of most waits; fewer lie in those around it.
    usual_bucket: usize,
    migrations: u64,
    minor_faults: u64,
    major_faults: u64,
}

/// Parts of 256 of all waits in the buckets around the usual one, and how far these lie apart.
const SPREAD: [u64; 8] = [6, 20, 48, 84, 54, 26, 12, 6];
const STEP: usize = 2;
const USUAL: usize = 3;
const _: () = {
    let (mut sum, mut i) = (0, 0);
    while i < SPREAD.len() {
        sum += SPREAD[i];
        i += 1;
    }
    assert!(sum == 256);
};

impl Simulated {
    /// A host whose time passes as ours does from now on.
    pub fn new(simulation: &Simulation) -> Self {
        let start = Instant::now();
        Self::with_clock(simulation, move || start.elapsed())
    }

    /// A host whose time is what `elapsed` says. If it goes back, so do the counters.
    pub fn with_clock(simulation: &Simulation, elapsed: impl FnMut() -> Duration + Send + 'static) -> Self {
        let uids = (0..simulation.users).map(|number| simulation.first_uid.saturating_add(number));
        let owners = uids.map(|uid| Owner::User(Uid(uid))).chain([Owner::Kernel]);
        let mut random = Random(simulation.seed);
        let habits = owners.map(|owner| (owner, Habits::random(&mut random))).collect();
        Self { habits, age: simulation.age, elapsed: Box::new(elapsed) }
    }
}

impl Source for Simulated {
    fn read(&mut self, snapshot: &mut Snapshot) {
        let time = Nanos::from(self.age + (self.elapsed)());
        snapshot.taken = time;
        snapshot.rows.clear();
        snapshot
            .rows
            .extend(self.habits.iter().map(|(owner, habits)| Row { owner: *owner, counters: habits.after(time) }));
        let held = |(owner, habits): &(Owner, Habits)| (*owner, habits.holdings());
        snapshot.census = Arc::new(Census { taken: time, rows: self.habits.iter().map(held).collect() });
    }

    fn maintain(&mut self, _: Duration) {}

    fn probes(&self) -> Vec<Probe> {
        Vec::new()
    }

    fn kernel_memory(&self) -> Bytes {
        Bytes(0)
    }

    fn user_slots(&self) -> u32 {
        u32::try_from(self.habits.len()).unwrap_or(u32::MAX)
    }

    fn kept(&self) -> Kept {
        Kept::ALL
    }

    fn forget(&mut self, _: Uid) -> bool {
        // Nobody ever leaves.
        false
    }
}

impl Habits {
    /// Most users do little, few do much.
    fn random(random: &mut Random) -> Self {
        let size = random.below(18);
        Self {
            cpu_ns: 1_000 + (random.below(8_000) << size),
            user_parts: random.below(257),
            waits: 1 + (random.below(8) << (size / 2)),
            usual_bucket: USUAL * STEP + usize::try_from(random.below(60)).unwrap_or(0),
            migrations: random.below(50),
            minor_faults: random.below(5_000),
            major_faults: random.below(3),
        }
    }

    /// All counters after `time` of such a life.
    fn after(&self, time: Nanos) -> Counters {
        let cpu = Nanos(grown(self.cpu_ns, time));
        // At most as steep as the whole, so that the rest does not go down either.
        let user = Nanos(part(cpu.0, self.user_parts));
        let waits = grown(self.waits, time);
        let mut latency = Latency { buckets: [0; BUCKETS] };
        let mut wait = 0_u64;
        for (number, parts) in SPREAD.iter().enumerate() {
            let bucket = self.usual_bucket + number * STEP - USUAL * STEP;
            let count = part(waits, *parts);
            latency.buckets[bucket] = count;
            wait = wait.saturating_add(count.saturating_mul(BOUNDS_NS[bucket]));
        }
        Counters {
            cpu,
            user,
            system: Nanos(cpu.0 - user.0),
            wait: Nanos(wait),
            voluntary_switches: waits - waits / 4,
            involuntary_switches: waits / 4,
            migrations: grown(self.migrations, time),
            minor_faults: grown(self.minor_faults, time),
            major_faults: grown(self.major_faults, time),
            latency,
            // What else a user does goes along with what he uses of CPUs and how often he waits.
            outside: Nanos(part(cpu.0, 16)),
            io: Io {
                read_chars: Bytes(part(cpu.0, 64)),
                written_chars: Bytes(part(cpu.0, 32)),
                read_bytes: Bytes(part(cpu.0, 4)),
                written_bytes: Bytes(part(cpu.0, 8)),
                cancelled_bytes: Bytes(part(cpu.0, 1)),
            },
            delays: Delays {
                block_io: Nanos(part(wait, 32)),
                swap_in: Nanos(part(wait, 2)),
                thrashing: Nanos(part(wait, 1)),
            },
            events: Events {
                direct_reclaims: part(waits, 1),
                direct_reclaim: Nanos(part(wait, 1)),
                group_reclaims: part(waits, 2),
                group_reclaim: Nanos(part(wait, 2)),
                memory_stalls: part(waits, 3),
                memory_stall: Nanos(part(wait, 3)),
                oom_kills: 0,
                oom_kills_slice: 0,
                oom_kills_group: 0,
                oom_kills_host: 0,
                forks: part(waits, 8),
                thread_starts: part(waits, 4),
                execs: part(waits, 6),
                exits: part(waits, 8),
            },
        }
    }

    /// What the user holds; always the same.
    fn holdings(&self) -> Holdings {
        let anon = self.minor_faults * 4096;
        Holdings {
            anon: Bytes(anon),
            file: Bytes(anon / 2),
            shmem: Bytes(anon / 16),
            swap: Bytes(anon / 8),
            processes: 1 + self.migrations / 4,
            threads: 1 + self.migrations / 2,
        }
    }
}

/// What `per_second` has come to.
fn grown(per_second: u64, Nanos(time): Nanos) -> u64 {
    u64::try_from(u128::from(per_second) * u128::from(time) / 1_000_000_000).unwrap_or(u64::MAX)
}

/// So many parts of 256.
fn part(whole: u64, parts: u64) -> u64 {
    whole / 256 * parts + whole % 256 * parts / 256
}

/// Numbers that look random: splitmix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::{
        prelude::{any, prop_assert, prop_assert_eq, proptest},
        test_runner::Config,
    };

    use super::{BOUNDS_NS, Duration, Owner, Simulated, Simulation, Snapshot, Source as _, Uid};

    fn simulation(seed: u64) -> Simulation {
        Simulation { users: 50, first_uid: 20_000, seed, age: Duration::from_hours(24) }
    }

    fn after(seed: u64, elapsed: Duration) -> Snapshot {
        let mut snapshot = Snapshot::default();
        Simulated::with_clock(&simulation(seed), move || elapsed).read(&mut snapshot);
        snapshot
    }

    #[test]
    fn rows_stand_in_order_and_users_differ() {
        let snapshot = after(1, Duration::ZERO);
        assert!(snapshot.rows.is_sorted_by_key(|row| row.owner));
        assert_eq!((snapshot.rows.len(), snapshot.users().count()), (51, 50));
        assert!(snapshot.row(Owner::User(Uid(20_049))).is_some() && snapshot.row(Owner::Kernel).is_some());
        let used: HashSet<_> = snapshot.rows.iter().map(|row| row.counters.cpu.0).collect();
        assert_eq!(used.len(), snapshot.rows.len());
    }

    #[test]
    fn another_seed_is_another_host_and_the_same_seed_the_same() {
        let elapsed = Duration::from_secs(5);
        assert_eq!(after(7, elapsed), after(7, elapsed));
        assert_ne!(after(7, elapsed), after(8, elapsed));
    }

    proptest! {
        #![proptest_config(Config { failure_persistence: None, cases: 64, ..Config::default() })]

        #[test]
        fn nothing_goes_down_and_modes_add_up(seed in any::<u64>(), first in 0_u64..1 << 50, more in 0_u64..1 << 40) {
            let (before, later) =
                (after(seed, Duration::from_nanos(first)), after(seed, Duration::from_nanos(first + more)));
            for (before, later) in before.rows.iter().zip(&later.rows) {
                let (before, later) = (&before.counters, &later.counters);
                prop_assert!(before.cpu <= later.cpu && before.wait <= later.wait);
                prop_assert!(before.user <= later.user && before.system <= later.system);
                prop_assert!(before.voluntary_switches <= later.voluntary_switches);
                prop_assert!(before.involuntary_switches <= later.involuntary_switches);
                prop_assert!(before.minor_faults <= later.minor_faults && before.migrations <= later.migrations);
                prop_assert!(later.latency.since(&before.latency).is_some());
                prop_assert_eq!(later.user.0 + later.system.0, later.cpu.0);
                let longest: u64 = later.latency.buckets.iter().zip(BOUNDS_NS).map(|(count, bound)| count * bound).sum();
                prop_assert_eq!(later.wait.0, longest);
            }
        }
    }
}
