//! What the kernel has counted for each user up to one moment: counters that only grow. Plain data, no I/O.

pub mod counters;
pub mod latency;

use std::{ops::Add, sync::Arc};

pub use self::{
    counters::{Counters, Delays, Events, Io},
    latency::Latency,
};
use crate::units::{Bytes, Nanos, Uid};

/// Whose row this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Owner {
    /// A user.
    User(Uid),
    /// Kernel threads.
    Kernel,
    /// Users for whom the table had no slot, together.
    Overflow,
    /// Users who are no longer, or not yet, told one by one, together.
    Other,
}

/// One user's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Whose.
    pub owner: Owner,
    /// What.
    pub counters: Counters,
}

/// What one user holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holdings {
    /// Resident anonymous memory.
    pub anon: Bytes,
    /// Resident memory that is mapped from files.
    pub file: Bytes,
    /// Resident shared memory and tmpfs.
    pub shmem: Bytes,
    /// Anonymous memory in swap.
    pub swap: Bytes,
    /// Processes.
    pub processes: u64,
    /// Threads, the first one of each process included.
    pub threads: u64,
}

impl Holdings {
    /// Resident memory of every kind.
    pub fn resident(&self) -> Bytes {
        Bytes(self.anon.0.saturating_add(self.file.0).saturating_add(self.shmem.0))
    }
}

impl Add for Holdings {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let sum = |one: Bytes, other: Bytes| Bytes(one.0.saturating_add(other.0));
        Self {
            anon: sum(self.anon, other.anon),
            file: sum(self.file, other.file),
            shmem: sum(self.shmem, other.shmem),
            swap: sum(self.swap, other.swap),
            processes: self.processes.saturating_add(other.processes),
            threads: self.threads.saturating_add(other.threads),
        }
    }
}

/// What everybody held when all tasks were last visited.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// When, on the monotonic clock; zero before the first visit.
    pub taken: Nanos,
    /// One entry for each owner with a task, in the order of [`Owner`].
    pub rows: Vec<(Owner, Holdings)>,
}

impl Census {
    /// What `owner` held; `None` if he had no task.
    pub fn holdings(&self, owner: Owner) -> Option<&Holdings> {
        self.rows.binary_search_by_key(&owner, |(owner, _)| *owner).ok().map(|i| &self.rows[i].1)
    }
}

/// What could not be attributed, host-wide, since the collector started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unattributed {
    /// Drains of a task whose ledger was not found; a later drain charges the work.
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
    /// What they hold, as of the last visit to all tasks.
    pub census: Arc<Census>,
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
            Owner::Kernel | Owner::Overflow | Owner::Other => None,
        })
    }
}
