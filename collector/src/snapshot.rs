//! What the kernel has counted for each user up to one moment: counters that only grow. Plain data, no I/O.

use collector_ebpf::latency::{BOUNDS_NS, BUCKETS};

use crate::units::{Nanos, Uid};

/// Whose row this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Owner {
    /// A user.
    User(Uid),
    /// Kernel threads.
    Kernel,
    /// Users for whom the table had no slot, together.
    Overflow,
}

/// One user's counters since the collector started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Time on a CPU.
    pub cpu: Nanos,
    /// The part of `cpu` in user mode.
    pub user: Nanos,
    /// The part of `cpu` in kernel mode; `user + system = cpu`.
    pub system: Nanos,
    /// Time runnable without a CPU.
    pub wait: Nanos,
    /// Waits by length.
    pub latency: Latency,
    /// Switches because a task blocked.
    pub voluntary_switches: u64,
    /// Switches because a task was preempted.
    pub involuntary_switches: u64,
    /// Moves of a task to another CPU.
    pub migrations: u64,
    /// Page faults served without I/O.
    pub minor_faults: u64,
    /// Page faults that needed I/O.
    pub major_faults: u64,
}

/// A histogram of waits in the buckets of [`collector_ebpf::latency`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Latency {
    /// Waits in each bucket, not cumulated.
    pub buckets: [u64; BUCKETS],
}

impl Default for Latency {
    fn default() -> Self {
        Self { buckets: [0; BUCKETS] }
    }
}

impl Latency {
    /// All waits.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// An upper estimate of the `q`-quantile (`0.0..=1.0`): the upper bound of the bucket that it falls into, at most
    /// 19 % above the true value. `None` without waits. Waits beyond the last bound count as that bound.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rank among waits: its rounding is far below a bucket's width, and it is not negative"
    )]
    pub fn quantile(&self, q: f64) -> Option<Nanos> {
        let count = self.count();
        if count == 0 {
            return None;
        }
        let rank = ((q * count as f64).ceil() as u64).clamp(1, count);
        let mut seen = 0;
        let bucket = self.buckets.iter().position(|waits| {
            seen += waits;
            seen >= rank
        })?;
        Some(Nanos(BOUNDS_NS[bucket.min(BOUNDS_NS.len() - 1)]))
    }

    /// The waits since `earlier`, or `None` if a bucket has shrunk.
    pub fn since(&self, earlier: &Self) -> Option<Self> {
        let mut buckets = [0; BUCKETS];
        for (i, bucket) in buckets.iter_mut().enumerate() {
            *bucket = self.buckets[i].checked_sub(earlier.buckets[i])?;
        }
        Some(Self { buckets })
    }
}

/// One user's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Whose.
    pub owner: Owner,
    /// What.
    pub counters: Counters,
}

/// What could not be attributed, host-wide, since the collector started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unattributed {
    /// Drains of a task without a ledger.
    pub no_ledger: u64,
    /// Drains that were charged to [`Owner::Overflow`].
    pub overflow: u64,
    /// Distinct users first seen when no slot was free.
    pub overflow_users: u64,
    /// Drains in which a task's counter had gone down.
    pub clamped: u64,
    /// Drains on a CPU beyond the table.
    pub no_row: u64,
}

/// All rows at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// When, on the monotonic clock.
    pub taken: Nanos,
    /// One row per owner, in the order of [`Owner`].
    pub rows: Vec<Row>,
    /// What the rows lack.
    pub unattributed: Unattributed,
}

impl Snapshot {
    /// The row of `owner`, if it has ever been charged.
    pub fn row(&self, owner: Owner) -> Option<&Row> {
        self.rows.binary_search_by_key(&owner, |row| row.owner).ok().map(|i| &self.rows[i])
    }

    /// The users with a row of their own.
    pub fn users(&self) -> impl Iterator<Item = Uid> + '_ {
        self.rows.iter().filter_map(|row| match row.owner {
            Owner::User(uid) => Some(uid),
            Owner::Kernel | Owner::Overflow => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{BOUNDS_NS, Latency, Nanos};

    #[test]
    fn a_quantile_is_the_bound_of_the_bucket_that_holds_its_rank() {
        let mut latency = Latency::default();
        assert_eq!(latency.quantile(0.5), None);
        latency.buckets[10] = 99;
        latency.buckets[40] = 1;
        assert_eq!(latency.quantile(0.5), Some(Nanos(BOUNDS_NS[10])));
        assert_eq!(latency.quantile(0.99), Some(Nanos(BOUNDS_NS[10])));
        assert_eq!(latency.quantile(1.0), Some(Nanos(BOUNDS_NS[40])));
    }

    #[test]
    fn a_wait_beyond_the_last_bound_counts_as_that_bound() {
        let mut latency = Latency::default();
        latency.buckets[super::BUCKETS - 1] = 1;
        assert_eq!(latency.quantile(0.5), Some(Nanos(BOUNDS_NS[BOUNDS_NS.len() - 1])));
    }

    #[test]
    fn a_bucket_that_shrank_yields_no_difference() {
        let mut before = Latency::default();
        before.buckets[3] = 2;
        assert_eq!(Latency::default().since(&before), None);
    }
}
