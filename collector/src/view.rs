//! What is published after each reading, behind one atomic pointer: readers never lock and never wait for a tick.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::{
    host::Host,
    rates::Usage,
    snapshot::{Counters, Owner, Snapshot},
    source::Probe,
    units::{Bytes, Uid, UnixTime},
    users::Names,
};

/// Everything that can be told of one moment.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// Grows by one with each view; two views of one generation are the same.
    pub generation: u64,
    /// Counters.
    pub snapshot: Arc<Snapshot>,
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
}

/// What a view knows of one owner. `None` means that it is not known, or that this kernel does not keep it.
#[derive(Clone, Copy, Debug)]
pub struct RowView<'a> {
    /// Whose.
    pub owner: Owner,
    /// What the owner's tasks have done.
    pub counters: &'a Counters,
    /// When the counters began at zero.
    pub since: Option<UnixTime>,
}

impl View {
    /// One row per owner, in the order of [`Owner`].
    pub fn rows(&self) -> impl ExactSizeIterator<Item = RowView<'_>> {
        self.snapshot.rows.iter().map(|row| RowView { owner: row.owner, counters: &row.counters, since: None })
    }

    /// Value of the `uid` label. Pseudo-users have a word where users have a number.
    pub fn uid_label(owner: Owner) -> String {
        match owner {
            Owner::User(Uid(uid)) => uid.to_string(),
            Owner::Kernel => "kernel".into(),
            Owner::Overflow => "overflow".into(),
        }
    }

    /// Value of the `user` label: the name, or the number while no name is known. Pseudo-users stand in brackets, as
    /// `ps` shows kernel threads.
    pub fn user_label(&self, owner: Owner) -> String {
        match owner {
            Owner::User(uid) => self.names.get(uid).map_or_else(|| uid.to_string(), ToString::to_string),
            Owner::Kernel => "[kernel]".into(),
            Owner::Overflow => "[overflow]".into(),
        }
    }
}

/// The place where the newest view is found.
#[derive(Debug, Default)]
pub struct Published(ArcSwap<View>);

impl Published {
    /// The newest view.
    pub fn load(&self) -> Arc<View> {
        self.0.load_full()
    }

    /// Replaces the view. Only the sampler does.
    pub fn store(&self, view: Arc<View>) {
        self.0.store(view);
    }
}
