//! What the sampler remembers between ticks beyond the last snapshot: who has series of his own, and everybody's bursts.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use crate::{
    bursts::BurstBook,
    config::Config,
    rates::Usage,
    roster::{Roster, Rules, Shown},
    snapshot::Snapshot,
    source::Source,
    units::{Nanos, UnixTime},
};

/// The sampler's memory.
#[derive(Debug, Default)]
pub(super) struct Books {
    roster: Roster,
    /// Copied when it changes while somebody reads it: at the first tick after a scrape, not during one.
    bursts: Arc<BurstBook>,
}

impl Books {
    /// Takes note of a tick that ended at `now`.
    pub(super) fn note(&mut self, usage: &Usage, now: Nanos, window: Duration) {
        Arc::make_mut(&mut self.bursts).note(usage, now, window.into());
    }

    /// Decides who is shown, and has `source` drop those who are forgotten. `snapshot` is the newest one of `source`.
    pub(super) fn settle(&mut self, snapshot: &Snapshot, config: &Config, source: &mut dyn Source) {
        Arc::make_mut(&mut self.bursts).note_holdings(&snapshot.census);
        let rules = Rules {
            most: config.observe.max_users as usize,
            top: config.users.top as usize,
            forget_after: config.users.forget_after,
        };
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.roster.update(snapshot, rules, UnixTime(wall.into()));
        for uid in self.roster.forgettable(rules) {
            if source.forget(uid) {
                self.roster.forget(uid, snapshot);
            }
        }
    }

    /// What to show of `snapshot`.
    pub(super) fn shown(&self, snapshot: &Snapshot) -> (Arc<Shown>, Arc<BurstBook>) {
        (Arc::new(self.roster.shown(snapshot)), Arc::clone(&self.bursts))
    }
}
