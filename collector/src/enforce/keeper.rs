//! Who is limited, since when and until when: takes properties of groups, and gives back what it found.
//!
//! Owns the driver and the journal. Every change is journalled before it is made; what somebody else has changed meanwhile is
//! left as it is. Has no clock: whoever calls says what time it is.

mod release;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use super::{
    driver::{Driver, Fault, Group},
    event::{Change, Deed, Event},
    journal::{Entry, Journal, Legacy, Taken},
    outcome::Outcome,
    value::Value,
};
use crate::{
    limits::{Cause, Limits, Order, Property},
    units::Uid,
};

/// Between two attempts to give back what could not be given back.
const RETRY: Duration = Duration::from_secs(1);

/// A user whose group is not as it was found.
#[derive(Clone)]
struct Held {
    group: Option<Group>,
    taken: BTreeMap<Property, Taken>,
    /// What the kernel said after the last order.
    in_force: Limits,
    /// When the lease ends; then everything is given back, again and again until it works.
    until: Instant,
    /// It is being given back.
    owed: bool,
    /// Why it could not be given back, as told last: told once.
    told: Option<String>,
}

/// Holds all limits of this host.
pub struct Keeper {
    driver: Box<dyn Driver>,
    journal: Journal,
    lease: Duration,
    held: BTreeMap<Uid, Held>,
    /// Users whose values somebody else has changed, and what was found: they are left alone until they are cleared.
    abandoned: BTreeMap<Uid, String>,
    /// Whether there is anything to undo that concerns all users.
    unfinished: bool,
    events: Vec<Event>,
}

impl Keeper {
    /// Takes over what an earlier enforcer left, as limits whose lease has ended: the next [`Self::tick`] gives them back.
    pub fn new(mut driver: Box<dyn Driver>, journal: Journal, legacy: Legacy, lease: Duration, now: Instant) -> Self {
        let unfinished = !journal.is_empty();
        for note in legacy.notes {
            driver.recall(note);
        }
        let owed = |left: super::journal::Left| Held {
            group: left.group,
            taken: left.taken,
            in_force: Limits::default(),
            until: now,
            owed: true,
            told: None,
        };
        let held = legacy.users.into_iter().map(|(uid, left)| (uid, owed(left))).collect();
        Self { driver, journal, lease, held, abandoned: BTreeMap::new(), unfinished, events: Vec::new() }
    }

    /// Makes the state of a user what the order says, or leaves it as it was before the order.
    pub fn set(&mut self, order: &Order, now: Instant) -> Outcome {
        if order.limits.is_none() {
            return self.clear(order.uid, Some(&order.cause));
        }
        if let Some(why) = self.abandoned.get(&order.uid) {
            return Outcome::Abandoned { why: why.clone() };
        }
        if self.held.get(&order.uid).is_some_and(|held| held.owed)
            && let Err(fault) = self.give_back(order.uid)
        {
            return Outcome::Failed { why: format!("an earlier limit cannot be taken back: {fault}") };
        }
        let before = self.held.get(&order.uid).cloned();
        let mut changes = Vec::new();
        let outcome = match self.apply(order, now, &mut changes) {
            Ok(Some(outcome)) => outcome,
            Ok(None) => Outcome::Abandoned { why: self.abandon(order.uid) },
            Err(fault) => {
                self.undo(order.uid, before, &changes, now);
                Outcome::Failed { why: fault.to_string() }
            }
        };
        if !changes.is_empty() || matches!(outcome, Outcome::Failed { .. }) {
            self.tell(order.uid, Deed::Set, changes, Some(order.cause.clone()), outcome.clone());
        }
        self.compact();
        outcome
    }

    /// Extends the leases of these users, or of all, and sees to it that their limits still hold. Tells of those for whom they
    /// do not, with the reason.
    pub fn renew(&mut self, users: Option<&[Uid]>, now: Instant) -> Vec<(Uid, Outcome)> {
        let users: BTreeSet<Uid> = match users {
            Some(users) => users.iter().copied().collect(),
            None => self.held.iter().filter(|(_, held)| !held.owed).map(|(uid, _)| *uid).collect(),
        };
        let mut lost = Vec::new();
        let mut groups = Vec::new();
        for uid in users {
            match self.held.get_mut(&uid) {
                Some(held) if !held.owed => held.until = now + self.lease,
                _ => {
                    let why = "nothing is limited for this user: the lease ended, or it was never set".to_owned();
                    let why = self
                        .abandoned
                        .get(&uid)
                        .map_or(Outcome::Failed { why }, |why| Outcome::Abandoned { why: why.clone() });
                    lost.push((uid, why));
                    continue;
                }
            }
            let group = self.driver.prepare(uid, &mut self.journal);
            match group.and_then(|group| Ok((self.hold(uid, &group)?, group))) {
                Ok((true, group)) => groups.push((uid, group)),
                Ok((false, _)) => lost.push((uid, Outcome::Abandoned { why: self.abandon(uid) })),
                Err(fault) => lost.push((uid, Outcome::Failed { why: fault.to_string() })),
            }
        }
        for (uid, fault) in self.driver.gather(&groups, &mut self.journal) {
            lost.push((uid, Outcome::Failed { why: fault.to_string() }));
        }
        self.compact();
        lost
    }

    /// Begins the leases of these users, or of all, now: carrying out an order or a renewal may itself have taken its time.
    pub fn begin_leases(&mut self, users: Option<&[Uid]>, now: Instant) {
        for (uid, held) in &mut self.held {
            if !held.owed && users.is_none_or(|users| users.contains(uid)) {
                held.until = now + self.lease;
            }
        }
    }

    /// Gives back everything of a user.
    pub fn clear(&mut self, uid: Uid, cause: Option<&Cause>) -> Outcome {
        self.abandoned.remove(&uid);
        self.end(uid, Deed::Clear, cause)
    }

    /// Gives back everything of everybody; tells of those for whom that failed.
    pub fn clear_all(&mut self, deed: Deed) -> Vec<(Uid, Outcome)> {
        self.abandoned.clear();
        let users: Vec<Uid> = self.held.keys().copied().collect();
        let outcomes = users.into_iter().map(|uid| (uid, self.end(uid, deed, None)));
        let failed = outcomes.filter(|(_, outcome)| matches!(outcome, Outcome::Failed { .. })).collect();
        self.finish();
        failed
    }

    /// Gives back what is due. Called whenever [`Self::next_due`] has come, or more often.
    pub fn tick(&mut self, now: Instant) {
        let due: Vec<(Uid, bool)> =
            self.held.iter().filter(|(_, held)| held.until <= now).map(|(uid, held)| (*uid, held.owed)).collect();
        for (uid, owed) in due {
            self.end(uid, if owed { Deed::Restore } else { Deed::Expire }, None);
            // What could not be given back is due again soon.
            if let Some(held) = self.held.get_mut(&uid) {
                held.until = now + RETRY;
            }
        }
        self.finish();
    }

    /// When there is something to do next.
    pub fn next_due(&self) -> Option<Instant> {
        self.held.values().map(|held| held.until).min()
    }

    /// Who is limited, and how according to the kernel.
    pub fn limited(&self) -> impl Iterator<Item = (Uid, Limits)> {
        self.held.iter().filter(|(_, held)| !held.owed).map(|(uid, held)| (*uid, held.in_force))
    }

    /// Who is left alone, and why.
    pub fn abandoned(&self) -> impl Iterator<Item = (Uid, &str)> {
        self.abandoned.iter().map(|(uid, why)| (*uid, why.as_str()))
    }

    /// Whose values could not be given back yet.
    pub fn owed(&self) -> impl Iterator<Item = Uid> {
        self.held.iter().filter(|(_, held)| held.owed).map(|(uid, _)| *uid)
    }

    /// For a keeper with another driver, once nothing is held.
    pub(super) fn into_journal(self) -> Journal {
        self.journal
    }

    /// What has happened since the last call.
    pub fn events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// `None` if somebody else has changed what is held.
    fn apply(&mut self, order: &Order, now: Instant, changes: &mut Vec<Change>) -> Result<Option<Outcome>, Fault> {
        let uid = order.uid;
        self.unfinished = true;
        let group = self.driver.prepare(uid, &mut self.journal)?;
        if !self.hold(uid, &group)? {
            return Ok(None);
        }
        let held = self.held.entry(uid).or_insert_with(|| Held {
            group: None,
            taken: BTreeMap::new(),
            in_force: Limits::default(),
            until: now,
            owed: false,
            told: None,
        });
        held.group = Some(group.clone());
        held.until = now + self.lease;
        for property in Property::ALL {
            match order.limits.get(property) {
                Some(amount) => self.take(uid, &group, property, amount, changes)?,
                None => self.give(uid, &group, property, changes)?,
            }
        }
        if let Some((_, fault)) = self.driver.gather(&[(uid, group.clone())], &mut self.journal).pop() {
            return Err(fault);
        }
        let in_force = self.driver.in_force(&group)?;
        for (property, amount) in order.limits.iter() {
            let found = in_force.get(property);
            if found.is_none_or(|found| found > amount) {
                let found = found.map_or_else(|| "not limited".to_owned(), |found| found.to_string());
                let (group, wanted) = (group.place, amount.to_string());
                return Err(Fault::NotShown { group, property, wanted, found });
            }
        }
        let cgroup = self.driver.cgroup(&group)?;
        self.forget_given(uid, order.limits);
        if let Some(held) = self.held.get_mut(&uid) {
            held.in_force = in_force;
        }
        Ok(Some(Outcome::Applied { group: cgroup, in_force, changed: !changes.is_empty() }))
    }

    /// What the order does not mention has been given back, and is not ours any more.
    fn forget_given(&mut self, uid: Uid, limits: Limits) {
        let Some(held) = self.held.get_mut(&uid) else { return };
        let given: Vec<Property> =
            held.taken.keys().copied().filter(|property| limits.get(*property).is_none()).collect();
        for property in &given {
            held.taken.remove(property);
        }
        let entries: Vec<Entry> = given.into_iter().map(|property| Entry::Gave { uid, property }).collect();
        if !entries.is_empty() {
            // Without these records the next start would find that nothing of it is left to undo.
            let _ = self.journal.append(&entries);
        }
    }

    /// Writes one property, if it is not so already.
    fn take(
        &mut self,
        uid: Uid,
        group: &Group,
        property: Property,
        amount: u64,
        changes: &mut Vec<Change>,
    ) -> Result<(), Fault> {
        let current = self.driver.read(group, property)?;
        let wanted = self.driver.express(group, property, amount)?;
        let held = self.held.get(&uid).and_then(|held| held.taken.get(&property));
        let old = held.map_or(&current, |taken| &taken.old).clone();
        let target = Value::strictest(property, &old, &wanted);
        let parts = target.changed_from(&current);
        if parts.is_empty() {
            return Ok(());
        }
        let entry = Entry::Take { uid, group: group.clone(), property, old: old.clone(), new: target.clone() };
        self.journal.append(&[entry])?;
        changes.push(Change { property, old: current, new: target.clone() });
        if let Some(held) = self.held.get_mut(&uid) {
            held.taken.entry(property).or_insert(Taken { old, new: Vec::new() }).new.push(target);
        }
        self.write(group, property, &parts)?;
        // From here on nothing older can be there.
        if let Some(taken) = self.held.get_mut(&uid).and_then(|held| held.taken.get_mut(&property)) {
            taken.new = taken.new.pop().into_iter().collect();
        }
        Ok(())
    }

    /// Gives back one property that the order does not mention any more.
    fn give(&mut self, uid: Uid, group: &Group, property: Property, changes: &mut Vec<Change>) -> Result<(), Fault> {
        let Some(taken) = self.held.get(&uid).and_then(|held| held.taken.get(&property)).cloned() else {
            return Ok(());
        };
        let current = self.driver.read(group, property)?;
        let (parts, _) = release::to_put_back(&current, &taken);
        if !parts.is_empty() {
            changes.push(Change { property, old: current, new: taken.old });
            self.write(group, property, &parts)?;
        }
        Ok(())
    }

    /// Writes, and makes sure that it is there.
    fn write(&mut self, group: &Group, property: Property, parts: &Value) -> Result<(), Fault> {
        self.driver.write(group, property, parts)?;
        let found = self.driver.read(group, property)?;
        let missing = parts.changed_from(&found);
        if missing.is_empty() {
            return Ok(());
        }
        let (group, wanted, found) = (group.place.clone(), parts.to_string(), found.to_string());
        Err(Fault::NotShown { group, property, wanted, found })
    }

    /// After a failed order: everything becomes what it was before, or, if that does not work, is given back.
    fn undo(&mut self, uid: Uid, before: Option<Held>, changes: &[Change], now: Instant) {
        let Some(held) = self.held.get_mut(&uid) else {
            // The group may have been made already.
            let _ = self.driver.disband(uid, &mut self.journal);
            self.finish();
            return;
        };
        let group = held.group.clone();
        let mut works = before.is_some();
        for change in changes.iter().rev() {
            let Some(group) = &group else { break };
            let undone = self.driver.read(group, change.property).and_then(|current| {
                let parts = change.old.changed_from(&current);
                if parts.is_empty() { Ok(()) } else { self.write(group, change.property, &parts) }
            });
            works &= undone.is_ok();
        }
        match before {
            Some(before) if works => {
                self.held.insert(uid, before);
            }
            _ => {
                let _ = self.give_back(uid);
                if let Some(held) = self.held.get_mut(&uid) {
                    held.until = now + RETRY;
                }
                self.finish();
            }
        }
    }

    /// Makes sure that a limit is still there; puts it back into a group that has been made anew. `false` if somebody else has
    /// changed it.
    fn hold(&mut self, uid: Uid, group: &Group) -> Result<bool, Fault> {
        let Some(held) = self.held.get(&uid) else {
            return Ok(true);
        };
        let (before, wanted, taken) = (held.group.clone(), held.in_force, held.taken.clone());
        let is_new = before.as_ref().is_some_and(|before| before != group);
        if !is_new && self.driver.in_force(group)? == wanted {
            return Ok(true);
        }
        let mut changes = Vec::new();
        for (property, taken) in taken {
            let current = self.driver.read(group, property)?;
            let Some(ours) = taken.new.last() else { continue };
            if ours.changed_from(&current).is_empty() {
                continue;
            }
            if !is_new {
                return Ok(false);
            }
            // What a new group has from its birth is what it shall have one day again.
            let target = Value::strictest(property, &current, ours);
            let parts = target.changed_from(&current);
            let entry = Entry::Take { uid, group: group.clone(), property, old: current.clone(), new: target.clone() };
            self.journal.append(&[entry])?;
            if let Some(held) = self.held.get_mut(&uid) {
                held.taken.insert(property, Taken { old: current.clone(), new: vec![target.clone()] });
            }
            if !parts.is_empty() {
                self.write(group, property, &parts)?;
                changes.push(Change { property, old: current, new: target });
            }
        }
        let in_force = self.driver.in_force(group)?;
        let cgroup = self.driver.cgroup(group)?;
        if let Some(held) = self.held.get_mut(&uid) {
            held.group = Some(group.clone());
            held.in_force = in_force;
        }
        if is_new {
            let outcome = Outcome::Applied { group: cgroup, in_force, changed: !changes.is_empty() };
            self.tell(uid, Deed::Reapply, changes, None, outcome);
        }
        Ok(true)
    }

    fn tell(&mut self, uid: Uid, deed: Deed, changes: Vec<Change>, cause: Option<Cause>, outcome: Outcome) {
        self.events.push(Event { uid, deed, changes, cause, outcome });
    }

    /// Keeps the journal short.
    fn compact(&mut self) {
        if !self.journal.is_long() {
            return;
        }
        let entries = self.entries();
        // If there is no room for a second file, the first one grows on.
        let _ = self.journal.replace(&entries);
    }

    /// All that would have to be undone if this process died now.
    fn entries(&self) -> Vec<Entry> {
        let mut entries: Vec<Entry> = self.driver.notes().into_iter().map(Entry::Note).collect();
        for (uid, held) in &self.held {
            let Some(group) = &held.group else { continue };
            for (property, taken) in &held.taken {
                entries.extend(taken.new.iter().map(|new| Entry::Take {
                    uid: *uid,
                    group: group.clone(),
                    property: *property,
                    old: taken.old.clone(),
                    new: new.clone(),
                }));
            }
        }
        entries
    }
}
