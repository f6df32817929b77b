//! Giving back: only where the current value is still ours.

use super::{Deed, Entry, Keeper, Outcome, Property, Taken, Uid, Value};
use crate::{
    enforce::{driver::Fault, event::Change},
    limits::Cause,
};

/// The parts that are still ours, with the text that was found before us; and the parts that are somebody else's.
pub(super) fn to_put_back(current: &Value, taken: &Taken) -> (Value, Value) {
    let mut back = Value::default();
    let mut theirs = Value::default();
    for (part, text) in current.iter() {
        let Some(old) = taken.old.get(part) else { continue };
        if text == old {
            continue;
        }
        if taken.new.iter().any(|ours| ours.get(part) == Some(text)) {
            back = back.and(part, old);
        } else {
            theirs = theirs.and(part, text);
        }
    }
    (back, theirs)
}

impl Keeper {
    /// Gives back everything of a user, and tells.
    pub(super) fn end(&mut self, uid: Uid, deed: Deed, cause: Option<&Cause>) -> Outcome {
        if !self.held.contains_key(&uid) {
            return Outcome::Cleared { changed: false };
        }
        let (changes, outcome) = match self.give_back(uid) {
            Ok(changes) => {
                let outcome = Outcome::Cleared { changed: !changes.is_empty() };
                (changes, outcome)
            }
            Err(fault) => (Vec::new(), Outcome::Failed { why: fault.to_string() }),
        };
        let news = match (&outcome, self.held.get_mut(&uid)) {
            (Outcome::Failed { why }, Some(held)) => held.told.replace(why.clone()).as_ref() != Some(why),
            _ => true,
        };
        if news {
            self.tell(uid, deed, changes, cause.cloned(), outcome.clone());
        }
        self.finish();
        outcome
    }

    /// Gives back everything of a user; what fails stays owed.
    pub(super) fn give_back(&mut self, uid: Uid) -> Result<Vec<Change>, Fault> {
        let Some(held) = self.held.get_mut(&uid) else {
            return Ok(Vec::new());
        };
        held.owed = true;
        let group = held.group.clone();
        let taken: Vec<(Property, Taken)> =
            held.taken.iter().rev().map(|(property, taken)| (*property, taken.clone())).collect();
        let mut changes = Vec::new();
        let mut failed = None;
        for (property, taken) in taken {
            let Some(group) = &group else { break };
            let result = self.driver.read(group, property).and_then(|current| {
                let (parts, _) = to_put_back(&current, &taken);
                if !parts.is_empty() {
                    self.write(group, property, &parts)?;
                    changes.push(Change { property, old: current, new: taken.old });
                }
                Ok(())
            });
            match result {
                Err(fault) if !fault.is_vanished() => failed = Some(fault),
                _ => {
                    if let Some(held) = self.held.get_mut(&uid) {
                        held.taken.remove(&property);
                    }
                }
            }
        }
        if let Some(fault) = failed {
            return Err(fault);
        }
        self.driver.disband(uid, &mut self.journal)?;
        self.held.remove(&uid);
        // Without this record the next start finds that there is nothing to do.
        let _ = self.journal.append(&[Entry::Done { uid }]);
        Ok(changes)
    }

    /// Lets go of a user whose values somebody else has changed; tells what was found.
    pub(super) fn abandon(&mut self, uid: Uid) -> String {
        let mut found = String::new();
        if let Some((Some(group), taken)) = self.held.get(&uid).map(|held| (held.group.clone(), held.taken.clone())) {
            for (property, taken) in taken {
                let Ok(current) = self.driver.read(&group, property) else { continue };
                let ours = taken.new.last().cloned().unwrap_or_default();
                let differs = ours.changed_from(&current);
                if !differs.is_empty() {
                    found = format!("{} of {} was set to {ours} and is now {current}", property.name(), group.place);
                }
            }
        }
        let why = format!("somebody else has changed the limit, so it is left alone until it is cleared: {found}");
        self.abandoned.insert(uid, why.clone());
        let changes = self.give_back(uid).unwrap_or_default();
        self.tell(uid, Deed::Abandon, changes, None, Outcome::Abandoned { why: why.clone() });
        self.finish();
        why
    }

    /// Once nobody is limited, nothing is left to undo.
    pub(super) fn finish(&mut self) {
        if !self.held.is_empty() || !self.unfinished {
            return;
        }
        // What fails here limits nobody; it is tried again after the next limit, and at the next start.
        if self.driver.finish(&mut self.journal).is_ok() && self.journal.replace(&[]).is_ok() {
            self.unfinished = false;
        }
    }
}
