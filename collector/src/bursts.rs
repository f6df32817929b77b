//! What each user did tick by tick, kept so that a scrape every half minute still shows it: a histogram of CPUs kept busy, and the
//! greatest values of a while. Pure: fed with the usage of each tick.

use std::{array, collections::BTreeMap, sync::LazyLock};

use collector_ebpf::latency::BUCKETS_PER_OCTAVE;

use crate::{
    rates::Usage,
    rolling::RollingMax,
    snapshot::{Census, Owner},
    units::{Bytes, Cores, Nanos},
};

/// log2 of the zero threshold: a tick with at most 2⁻⁷ CPUs (0.008) is in bucket 0.
pub const LOWEST_EXPONENT: i32 = -7;
/// log2 of the largest bound: a thousand CPUs.
pub const HIGHEST_EXPONENT: i32 = 10;
const BOUNDS: usize = HIGHEST_EXPONENT.abs_diff(LOWEST_EXPONENT) as usize * BUCKETS_PER_OCTAVE + 1;
/// Buckets: one up to each bound, and one beyond the last.
pub const BUCKETS: usize = BOUNDS + 1;

/// 2^(i/4 - 7), as a native histogram of schema 2 has its bounds.
#[expect(clippy::cast_precision_loss, reason = "there are 69 of them")]
static BOUNDS_CORES: LazyLock<[f64; BOUNDS]> =
    LazyLock::new(|| array::from_fn(|i| (i as f64 / BUCKETS_PER_OCTAVE as f64 + f64::from(LOWEST_EXPONENT)).exp2()));

/// One user's ticks.
#[derive(Clone, Debug, PartialEq)]
pub struct Bursts {
    /// Ticks by CPUs kept busy, not cumulated; idle ones are in bucket 0.
    pub buckets: [u64; BUCKETS],
    /// CPUs kept busy, summed over ticks.
    pub sum: Cores,
    /// The busiest tick of a while.
    busiest: RollingMax,
    /// The most resident memory of a while, in bytes.
    largest: RollingMax,
}

impl Default for Bursts {
    fn default() -> Self {
        Self {
            buckets: [0; BUCKETS],
            sum: Cores::default(),
            busiest: RollingMax::default(),
            largest: RollingMax::default(),
        }
    }
}

impl Bursts {
    fn note(&mut self, cpu: Cores) {
        self.buckets[BOUNDS_CORES.partition_point(|bound| *bound < cpu.0)] += 1;
        self.sum.0 += cpu.0;
    }
}

/// The greatest values of a while.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Peaks {
    /// CPUs kept busy in one tick.
    pub cpu: Cores,
    /// Resident memory.
    pub resident: Bytes,
}

/// Everybody's ticks.
#[derive(Clone, Debug, Default)]
pub struct BurstBook {
    owners: BTreeMap<Owner, Bursts>,
    /// When the last tick was.
    now: Nanos,
    window: Nanos,
}

impl BurstBook {
    /// Takes note of a tick that ended `now`. Owners that it does not name have not been idle but are gone, and are forgotten.
    pub fn note(&mut self, usage: &Usage, now: Nanos, window: Nanos) {
        (self.now, self.window) = (now, window);
        if self.owners.len() > usage.rows.len() {
            let named = |owner: &Owner| usage.rows.binary_search_by_key(owner, |row| row.owner).is_ok();
            self.owners.retain(|owner, _| named(owner));
        }
        for row in &usage.rows {
            let bursts = self.owners.entry(row.owner).or_default();
            bursts.note(row.cpu);
            bursts.busiest.note(row.cpu.0, now, window);
        }
    }

    /// Takes note of what everybody holds.
    #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53 bytes")]
    pub fn note_holdings(&mut self, census: &Census) {
        for (owner, holdings) in &census.rows {
            if let Some(bursts) = self.owners.get_mut(owner) {
                bursts.largest.note(holdings.resident().0 as f64, self.now, self.window);
            }
        }
    }

    /// What is known of `owner`.
    pub fn get(&self, owner: Owner) -> Option<&Bursts> {
        self.owners.get(&owner)
    }

    /// The greatest values of `owner`.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "what was noted is a number of bytes")]
    pub fn peaks(&self, owner: Owner) -> Option<Peaks> {
        let bursts = self.owners.get(&owner)?;
        Some(Peaks {
            cpu: Cores(bursts.busiest.get(self.now, self.window)),
            resident: Bytes(bursts.largest.get(self.now, self.window) as u64),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{BOUNDS_CORES, BUCKETS, BurstBook, Bytes, Census, Cores, Nanos, Owner, Usage};
    use crate::{
        rates::UserUsage,
        snapshot::{Holdings, Latency},
        units::Uid,
    };

    const OWNER: Owner = Owner::User(Uid(7));
    const WINDOW: Nanos = Nanos(60_000_000_000);

    fn tick(cpu: f64) -> Usage {
        let row = UserUsage {
            owner: OWNER,
            cpu: Cores(cpu),
            waiting: Cores(0.0),
            latency: Latency::default(),
            switches_per_second: 0.0,
        };
        Usage { interval: Nanos(100_000_000), rows: vec![row] }
    }

    fn bucket_of(cpu: f64) -> usize {
        let mut book = BurstBook::default();
        book.note(&tick(cpu), Nanos(1), WINDOW);
        book.get(OWNER).and_then(|bursts| bursts.buckets.iter().position(|ticks| *ticks == 1)).unwrap_or(usize::MAX)
    }

    #[test]
    fn a_tick_lies_between_the_bounds_of_its_bucket() {
        for (i, bound) in BOUNDS_CORES.iter().enumerate() {
            assert_eq!(bucket_of(*bound), i, "bounds belong to the bucket below them");
            assert_eq!(bucket_of(bound * 1.01), i + 1);
        }
        assert_eq!(bucket_of(0.0), 0);
        assert_eq!(bucket_of(1e9), BUCKETS - 1);
    }

    #[test]
    fn one_busy_tick_among_idle_ones_stays_visible() {
        let mut book = BurstBook::default();
        for i in 0..100 {
            book.note(&tick(if i == 50 { 2.0 } else { 0.0 }), Nanos(i * 100_000_000), WINDOW);
        }
        let Some(bursts) = book.get(OWNER) else { panic!("the owner is not known") };
        assert_eq!((bursts.buckets[0], bursts.buckets[bucket_of(2.0)]), (99, 1));
        assert_eq!(bursts.sum, Cores(2.0));
        assert_eq!(book.peaks(OWNER).map(|peaks| peaks.cpu), Some(Cores(2.0)));
    }

    #[test]
    fn what_was_held_at_most_is_told_until_the_window_has_passed() {
        let mut book = BurstBook::default();
        let census = |anon| Census {
            rows: vec![(OWNER, Holdings { anon: Bytes(anon), ..Holdings::default() })],
            taken: Nanos(1),
        };
        book.note(&tick(0.0), Nanos(0), WINDOW);
        book.note_holdings(&census(500));
        book.note(&tick(0.0), Nanos(WINDOW.0 / 2), WINDOW);
        book.note_holdings(&census(100));
        assert_eq!(book.peaks(OWNER).map(|peaks| peaks.resident), Some(Bytes(500)));
        book.note(&tick(0.0), Nanos(WINDOW.0 + WINDOW.0 / 4), WINDOW);
        assert_eq!(book.peaks(OWNER).map(|peaks| peaks.resident), Some(Bytes(100)));
    }

    #[test]
    fn who_is_gone_is_forgotten() {
        let mut book = BurstBook::default();
        book.note(&tick(1.0), Nanos(1), WINDOW);
        book.note(&Usage::default(), Nanos(2), WINDOW);
        assert!(book.get(OWNER).is_none());
    }
}
