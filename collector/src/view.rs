//! What is published after each reading, behind one atomic pointer: readers never lock and never wait for a tick.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::{
    bursts::{BurstBook, Bursts, Peaks},
    host::Host,
    limits::standing::Standing,
    rates::Usage,
    roster::Shown,
    snapshot::{Counters, Holdings, Owner, Snapshot},
    source::{Kept, Probe, Subject},
    units::{Bytes, Nanos, Uid, UnixTime},
    users::Names,
};

/// Everything that can be told of one moment.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// Grows by one with each view; two views of one generation are the same.
    pub generation: u64,
    /// Counters of everybody.
    pub snapshot: Arc<Snapshot>,
    /// What is counted at all.
    pub kept: Kept,
    /// What is shown of `snapshot`, as of the last scrape.
    pub shown: Arc<Shown>,
    /// Everybody's ticks, as of the last scrape.
    pub bursts: Arc<BurstBook>,
    /// Use over the last tick.
    pub usage: Arc<Usage>,
    /// Names of the users in `snapshot`.
    pub names: Names,
    /// The whole host, at most a second before; empty if it is not wanted.
    pub host: Arc<Host>,
    /// The kernel programs.
    pub probes: Arc<[Probe]>,
    /// Kernel memory held by maps and programs.
    pub kernel_memory: Bytes,
    /// Most users that can have a row of their own.
    pub user_slots: u32,
    /// Who is limited.
    pub limits: Arc<Standing>,
}

/// What a view knows of one owner. `None` means that it is not known, or that this kernel does not keep it.
#[derive(Clone, Copy, Debug)]
pub struct RowView<'a> {
    /// Whose.
    pub owner: Owner,
    /// What the owner's tasks have done.
    pub counters: &'a Counters,
    /// What of that is counted at all.
    pub kept: Kept,
    /// What the owner held when that was last looked at; nothing for one without tasks.
    pub holdings: Option<Holdings>,
    /// The owner's ticks.
    pub bursts: Option<&'a Bursts>,
    /// The greatest values of a while.
    pub peaks: Option<Peaks>,
    /// When the counters began at zero.
    pub since: Option<UnixTime>,
}

impl View {
    /// One row per owner, in the order of [`Owner`].
    pub fn rows(&self) -> impl ExactSizeIterator<Item = RowView<'_>> {
        let rows = self.shown.rows.as_ref().unwrap_or(&self.snapshot.rows);
        rows.iter().map(|row| RowView {
            owner: row.owner,
            counters: &row.counters,
            kept: self.kept,
            holdings: self.holdings(row.owner),
            bursts: self.bursts.get(row.owner),
            peaks: self.bursts.peaks(row.owner),
            since: self.shown.since(row.owner),
        })
    }

    /// How old the census is, if there has been one.
    pub fn census_age(&self) -> Option<Nanos> {
        let taken = Some(self.snapshot.census.taken).filter(|taken| taken.0 > 0)?;
        self.snapshot.taken.since(taken)
    }

    fn holdings(&self, owner: Owner) -> Option<Holdings> {
        self.kept.has(Subject::Census).then(|| match owner {
            Owner::Other => self.shown.others,
            _ => self.snapshot.census.holdings(owner).copied().unwrap_or_default(),
        })
    }

    /// Value of the `uid` label. Pseudo-users have a word where users have a number.
    pub fn uid_label(owner: Owner) -> String {
        match owner {
            Owner::User(Uid(uid)) => uid.to_string(),
            Owner::Kernel => "kernel".into(),
            Owner::Overflow => "overflow".into(),
            Owner::Other => "other".into(),
        }
    }

    /// Value of the `user` label: the name, or the number while no name is known. Pseudo-users stand in brackets, as
    /// `ps` shows kernel threads.
    pub fn user_label(&self, owner: Owner) -> String {
        match owner {
            Owner::User(uid) => self.names.get(uid).map_or_else(|| uid.to_string(), ToString::to_string),
            Owner::Kernel => "[kernel]".into(),
            Owner::Overflow => "[overflow]".into(),
            Owner::Other => "[other]".into(),
        }
    }
}

/// The place where the newest view is found.
#[derive(Debug, Default)]
pub struct Published {
    view: ArcSwap<View>,
    limits: ArcSwap<Standing>,
}

impl Published {
    /// The newest view.
    pub fn load(&self) -> Arc<View> {
        self.view.load_full()
    }

    /// Replaces the view. Only the sampler does.
    pub fn store(&self, view: Arc<View>) {
        self.view.store(view);
    }

    /// How limiting stands now.
    pub fn limits(&self) -> Arc<Standing> {
        self.limits.load_full()
    }

    /// Replaces that. Only the limiter does.
    pub fn store_limits(&self, standing: Arc<Standing>) {
        self.limits.store(standing);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::{Arc, BurstBook, Holdings, Kept, Nanos, Snapshot, View};
    use crate::{rates::usage, snapshot::Census};

    /// `view` with everything that can be known of its rows: so that each family has samples.
    pub(crate) fn complete(view: View) -> View {
        let taken = Nanos(2_000_000_000);
        let holdings = Holdings { processes: 3, threads: 4, ..Holdings::default() };
        let rows = view.snapshot.rows.iter().map(|row| (row.owner, holdings)).collect();
        let census = Census { taken: Nanos(500_000_000), rows };
        let mut bursts = BurstBook::default();
        bursts.note(
            &usage(&Snapshot::default(), &Snapshot { taken, ..Snapshot::clone(&view.snapshot) }).unwrap_or_default(),
            taken,
            taken,
        );
        bursts.note_holdings(&census);
        let snapshot = Snapshot { taken, census: Arc::new(census), ..Snapshot::clone(&view.snapshot) };
        let limits = Arc::new(crate::limits::standing::tests::example());
        View { snapshot: Arc::new(snapshot), kept: Kept::ALL, bursts: Arc::new(bursts), limits, ..view }
    }
}
