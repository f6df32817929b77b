//! Everybody who is connected: how many, from where, and who has to leave for somebody new.
//!
//! A flood of connections must neither use up memory nor keep out those who mean well, and nobody can tell them apart
//! before they have asked something. So while there are places everybody may stay until a deadline; once there are none,
//! newcomers still get in, and somebody else leaves:
//!
//! - Who has not yet asked anything that he may ask is *unproven*. The origin with the most unproven connections loses
//!   the oldest of them: one origin cannot use up the places of others, and who needs longest has had the most time.
//! - If there are none, the longest idle connection leaves; if none is idle, the newcomer waits.
//! - Beyond a number of bytes kept for clients, the one that has not taken any for the longest time leaves.
//!
//! There is no smaller bound for each origin: whoever is thrown out early comes back early, and each coming back costs
//! more than a silent connection does.
//!
//! An origin is an IPv4 address, a /64 of IPv6 (what one host can easily own), or a local user.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{
    sync::Notify,
    task::AbortHandle,
    time::{Duration, timeout},
};

use super::track::{Standing, Track};

/// How often somebody who waits for a place looks for one.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// From where a connection comes, as far as fairness goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Origin {
    V4([u8; 4]),
    /// The first half of the address.
    V6(u64),
    User(Option<u32>),
}

impl From<IpAddr> for Origin {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.octets()),
            IpAddr::V6(address) => Self::V6((address.to_bits() >> 64) as u64),
        }
    }
}

/// How many places there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Places {
    /// Connections at once.
    pub connections: usize,
    /// Bytes of answers that wait for their clients.
    pub kept: usize,
}

/// Everybody who is connected.
#[derive(Debug)]
pub(super) struct Crowd {
    places: Places,
    members: Mutex<Members>,
    left: Notify,
}

#[derive(Debug, Default)]
struct Members {
    /// Grows with every member, so that a lower number is an older member.
    next: u64,
    present: HashMap<u64, Member>,
}

#[derive(Debug)]
struct Member {
    origin: Origin,
    track: Arc<Track>,
    /// Ends the connection's task; `None` until that runs.
    task: Option<AbortHandle>,
}

/// A place in the crowd, given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    crowd: Arc<Crowd>,
    number: u64,
}

impl Crowd {
    pub(super) fn new(places: Places) -> Arc<Self> {
        Arc::new(Self { places, members: Mutex::default(), left: Notify::new() })
    }

    /// Waits until somebody can get in.
    pub(super) async fn has_room(&self) {
        loop {
            let left = self.left.notified();
            if self.make_room() {
                return;
            }
            // Somebody leaves, or becomes idle, which is told to nobody.
            let _ = timeout(LOOK_AGAIN, left).await;
        }
    }

    /// Whether there is a free place; sends somebody away for it.
    fn make_room(&self) -> bool {
        let mut members = self.members();
        if members.present.len() < self.places.connections {
            return true;
        }
        match members.worst() {
            Some(number) => {
                members.send_away(number, "all places are taken");
                true
            }
            None => false,
        }
    }

    /// A place for a connection from `origin`.
    pub(super) fn enter(self: &Arc<Self>, origin: Origin, track: Arc<Track>) -> Place {
        let mut members = self.members();
        let number = members.next;
        members.next += 1;
        members.present.insert(number, Member { origin, track, task: None });
        drop(members);
        Place { crowd: Arc::clone(self), number }
    }

    /// Keeps the sum of bytes that wait for their clients within bounds, now that there are `more`.
    pub(super) fn keep(&self, more: usize) {
        let mut members = self.members();
        let mut standings: Vec<(u64, Standing)> =
            members.present.iter().map(|(number, member)| (*number, member.track.standing())).collect();
        standings.retain(|(_, standing)| standing.kept > 0);
        standings.sort_unstable_by_key(|(_, standing)| standing.progress);
        let mut kept = standings.iter().map(|(_, standing)| standing.kept).sum::<usize>().saturating_add(more);
        for (number, standing) in standings {
            if kept <= self.places.kept {
                break;
            }
            kept -= standing.kept;
            members.send_away(number, "it reads too slowly while others wait");
        }
    }

    pub(super) fn len(&self) -> usize {
        self.members().present.len()
    }

    fn members(&self) -> MutexGuard<'_, Members> {
        // Each change is complete in itself, so a panic elsewhere leaves nothing half done.
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Members {
    fn unproven(&self) -> impl Iterator<Item = (u64, &Member)> {
        self.present
            .iter()
            .filter(|(_, member)| !member.track.standing().proven)
            .map(|(number, member)| (*number, member))
    }

    /// Who has to leave if somebody has to.
    fn worst(&self) -> Option<u64> {
        let mut origins: HashMap<Origin, (usize, u64)> = HashMap::new();
        for (number, member) in self.unproven() {
            let (count, oldest) = origins.entry(member.origin).or_insert((0, number));
            *count += 1;
            *oldest = number.min(*oldest);
        }
        let crowded = origins.into_values().max_by_key(|(count, oldest)| (*count, std::cmp::Reverse(*oldest)));
        crowded.map(|(_, oldest)| oldest).or_else(|| {
            let idle =
                self.present.iter().filter_map(|(number, member)| Some((member.track.standing().idle?, *number)));
            idle.min().map(|(_, number)| number)
        })
    }

    fn send_away(&mut self, number: u64, why: &'static str) {
        if let Some(member) = self.present.remove(&number) {
            tracing::debug!(origin = ?member.origin, why, "sends a connection away");
            if let Some(task) = member.task {
                task.abort();
            }
        }
    }
}

impl Place {
    /// From now on, whoever loses the place loses `task`.
    pub(super) fn occupied_by(number: u64, crowd: &Crowd, task: AbortHandle) {
        match crowd.members().present.get_mut(&number) {
            Some(member) => member.task = Some(task),
            // Ended, or sent away before it began.
            None => task.abort(),
        }
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.crowd.members().present.remove(&self.number);
        self.crowd.left.notify_waiters();
    }
}

#[cfg(test)]
mod tests;
