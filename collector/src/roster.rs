//! Who has series of his own. Users come and go, and a host may have more than anybody wants to see: those who are long gone
//! have no series any more, and those who are not among the busiest are told together, as [`Owner::Other`].
//!
//! Pure. Every counter stays monotonic and grows by what was done, never by what has moved: what a user does while he is
//! shown counts as his, what he does while he is not counts as the others', and neither ever goes over to the other side.
//! A series that ends takes its count along; only [`Shown::cpu`] keeps all.

use std::{cmp::Reverse, collections::BTreeMap, ops::Add as _, time::Duration};

use crate::{
    snapshot::{Counters, Holdings, Owner, Row, Snapshot},
    units::{Nanos, Uid, UnixTime},
};

/// What decides about series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Most users that are remembered.
    pub most: usize,
    /// Busiest users with series of their own; 0 means all.
    pub top: usize,
    /// How long a user without tasks or use is remembered; `None` means for ever.
    pub forget_after: Option<Duration>,
}

/// Time in which a user's past use loses half of its weight in the ranking: a burst does not make the ranks dance.
const HALF_LIFE: Duration = Duration::from_secs(30);
/// By how much somebody must be busier to take the place of one who is shown.
const HYSTERESIS: f64 = 1.2;

/// Everybody who is remembered.
#[derive(Debug, Default)]
pub struct Roster {
    users: BTreeMap<Uid, Standing>,
    /// What those who are forgotten did while they were not shown.
    others: Counters,
    /// CPU time of those who are forgotten.
    cpu: Nanos,
    /// Whether everybody is shown since the last update; `None` before the first.
    shows_all: Option<bool>,
    updated: Nanos,
}

#[derive(Debug)]
struct Standing {
    since: UnixTime,
    /// When he last had a task or did anything.
    active: Nanos,
    cpu: Nanos,
    /// CPU time, of which older parts weigh less.
    weight: f64,
    place: Place,
}

/// Where a user's counts go.
#[derive(Debug)]
enum Place {
    /// To himself, but for what he did while he was not shown.
    Shown { others: Option<Box<Counters>> },
    /// To the others, but for what he did while he was shown.
    Hidden { own: Box<Counters> },
}

/// What is shown of a snapshot.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    /// In the order of [`Owner`]; `None` if these are the rows of the snapshot itself.
    pub rows: Option<Vec<Row>>,
    /// When each remembered user's counters began, in the order of their numbers.
    pub since: Vec<(Uid, UnixTime)>,
    /// What those hold who are not shown.
    pub others: Holdings,
    /// CPU time of everybody, of those included who are forgotten.
    pub cpu: Nanos,
}

impl Shown {
    /// When the counters of `owner` began; `None` for one who is not remembered.
    pub fn since(&self, owner: Owner) -> Option<UnixTime> {
        let Owner::User(uid) = owner else { return None };
        self.since.binary_search_by_key(&uid, |(uid, _)| *uid).ok().map(|i| self.since[i].1)
    }
}

impl Roster {
    /// Brings everybody's standing up to date. To be called about once a second.
    pub fn update(&mut self, snapshot: &Snapshot, rules: Rules, wall: UnixTime) {
        let passed = snapshot.taken.since(self.updated).unwrap_or_default();
        self.updated = snapshot.taken;
        let shows_all = rules.top == 0;
        // Somebody new has been treated by the old rules so far.
        let before = self.shows_all.replace(shows_all).unwrap_or(shows_all);
        let fade = (-passed.as_secs_f64() / HALF_LIFE.as_secs_f64()).exp2();
        for row in &snapshot.rows {
            let Owner::User(uid) = row.owner else { continue };
            let counters = &row.counters;
            let standing = self.users.entry(uid).or_insert_with(|| Standing {
                since: wall,
                active: snapshot.taken,
                cpu: counters.cpu,
                weight: 0.0,
                place: Place::first(before),
            });
            let used = counters.cpu.since(standing.cpu).unwrap_or_default();
            if used.0 > 0 || snapshot.census.holdings(row.owner).is_some() {
                standing.active = snapshot.taken;
            }
            standing.weight = standing.weight * fade + used.as_secs_f64();
            standing.cpu = counters.cpu;
        }
        self.choose(snapshot, rules.top);
    }

    /// Shows the `top` busiest and hides the rest.
    fn choose(&mut self, snapshot: &Snapshot, top: usize) {
        let all = top == 0 || self.users.len() <= top;
        if all && self.users.values().all(|standing| matches!(standing.place, Place::Shown { .. })) {
            return;
        }
        let mut ranks: Vec<(f64, Uid)> = self.users.iter().map(|(uid, standing)| (standing.rank(), *uid)).collect();
        ranks.sort_by(|(one, first), (other, second)| other.total_cmp(one).then(first.cmp(second)));
        for (rank, (_, uid)) in ranks.into_iter().enumerate() {
            let show = all || rank < top;
            if let Some(standing) = self.users.get_mut(&uid)
                && let Some(row) = snapshot.row(Owner::User(uid))
            {
                standing.move_to(show, &row.counters);
            }
        }
    }

    /// Users who can be forgotten: first those who have been gone for too long, then, while there are too many, those who have
    /// been gone the longest. Whoever has a task is not among them.
    pub fn forgettable(&self, rules: Rules) -> Vec<Uid> {
        let age = |standing: &Standing| self.updated.since(standing.active).unwrap_or_default();
        let mut gone: Vec<(Reverse<Nanos>, Uid)> = self
            .users
            .iter()
            .filter(|(_, standing)| standing.active < self.updated)
            .map(|(uid, standing)| (Reverse(age(standing)), *uid))
            .collect();
        gone.sort_unstable();
        let too_many = self.users.len().saturating_sub(rules.most);
        let too_old = |age: Nanos| rules.forget_after.is_some_and(|longest| age > longest.into());
        gone.into_iter()
            .enumerate()
            .filter(|(i, (Reverse(age), _))| *i < too_many || too_old(*age))
            .map(|(_, (_, uid))| uid)
            .collect()
    }

    /// Forgets `uid`, whose counters stood as in `snapshot` and will not come back.
    pub fn forget(&mut self, uid: Uid, snapshot: &Snapshot) {
        if let Some(standing) = self.users.remove(&uid)
            && let Some(row) = snapshot.row(Owner::User(uid))
        {
            self.cpu += row.counters.cpu;
            if let (_, Some(others)) = standing.place.split(&row.counters) {
                self.others.add(&others);
            }
        }
    }

    /// What to show of `snapshot`.
    pub fn shown(&self, snapshot: &Snapshot) -> Shown {
        let since = self.users.iter().map(|(uid, standing)| (*uid, standing.since)).collect();
        let hidden = self.users.iter().filter(|(_, standing)| matches!(standing.place, Place::Hidden { .. }));
        let others = hidden.filter_map(|(uid, _)| snapshot.census.holdings(Owner::User(*uid)).copied());
        let others = others.fold(Holdings::default(), Holdings::add);
        let mut cpu = self.cpu;
        for row in &snapshot.rows {
            cpu += row.counters.cpu;
        }
        Shown { rows: self.rows(snapshot), since, others, cpu }
    }

    fn rows(&self, snapshot: &Snapshot) -> Option<Vec<Row>> {
        let plain = |standing: &Standing| matches!(standing.place, Place::Shown { others: None });
        let shows_all = self.shows_all.unwrap_or(true);
        if shows_all && self.others == Counters::default() && self.users.values().all(plain) {
            return None;
        }
        let newcomer = Place::first(shows_all);
        let mut others = self.others.clone();
        let mut rows = Vec::with_capacity(snapshot.rows.len() + 1);
        for row in &snapshot.rows {
            let Owner::User(uid) = row.owner else {
                rows.push(row.clone());
                continue;
            };
            let place = self.users.get(&uid).map_or(&newcomer, |standing| &standing.place);
            let (own, not_shown) = place.split(&row.counters);
            if let Some(not_shown) = not_shown {
                others.add(&not_shown);
            }
            if let Place::Shown { .. } = place {
                rows.push(Row { owner: row.owner, counters: own });
            }
        }
        rows.push(Row { owner: Owner::Other, counters: others });
        Some(rows)
    }
}

impl Place {
    /// Where somebody new begins.
    fn first(shows_all: bool) -> Self {
        if shows_all { Self::Shown { others: None } } else { Self::Hidden { own: Box::default() } }
    }

    /// The user's own part of `all` that he ever did, and the others' part if there is any.
    fn split(&self, all: &Counters) -> (Counters, Option<Counters>) {
        // Parts of something that only grows: there is always a difference.
        let rest = |part: &Counters| all.since(part).unwrap_or_default();
        match self {
            Self::Shown { others: None } => (all.clone(), None),
            Self::Shown { others: Some(others) } => (rest(others), Some(Counters::clone(others))),
            Self::Hidden { own } => (Counters::clone(own), Some(rest(own))),
        }
    }
}

impl Standing {
    fn rank(&self) -> f64 {
        match self.place {
            Place::Shown { .. } => self.weight * HYSTERESIS,
            Place::Hidden { .. } => self.weight,
        }
    }

    /// Shows or hides a user whose counters are `now`, without moving any count.
    fn move_to(&mut self, show: bool, now: &Counters) {
        let (own, others) = self.place.split(now);
        self.place = match (&self.place, show) {
            (Place::Shown { .. }, false) => Place::Hidden { own: Box::new(own) },
            (Place::Hidden { .. }, true) => {
                Place::Shown { others: others.filter(|others| *others != Counters::default()).map(Box::new) }
            }
            _ => return,
        };
    }
}

#[cfg(test)]
mod tests;
