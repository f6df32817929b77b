//! UID → name. Names are looked up by threads of their own, since a directory server may take its time: nobody who
//! needs a name ever waits for the name service, at worst the number stands in for the name.
//!
//! Bounded whatever the host does: users who are gone are forgotten, threads that hang are few, and names have a length.

mod desk;
mod name;

use std::{
    collections::HashMap,
    ffi::OsString,
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use nix::unistd::User;

use self::desk::Desk;
use crate::units::Uid;

/// Names known at one moment. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Names(Arc<HashMap<Uid, Arc<str>>>);

impl Names {
    /// The user's name, if it is known by now.
    pub fn get(&self, uid: Uid) -> Option<&Arc<str>> {
        self.0.get(&uid)
    }
}

impl FromIterator<(Uid, Arc<str>)> for Names {
    fn from_iter<T: IntoIterator<Item = (Uid, Arc<str>)>>(names: T) -> Self {
        Self(Arc::new(names.into_iter().collect()))
    }
}

/// Asks the system for a user's name: `None` if there is no such user. May block, for ever if need be.
pub type Lookup = dyn Fn(Uid) -> Option<OsString> + Send + Sync;

/// How long an answer is believed, so that a renamed user is noticed.
const BELIEVED: Duration = Duration::from_mins(10);
/// The same while there is no name: a user may be about to be created.
const DOUBTED: Duration = Duration::from_mins(1);
/// Users who have not been seen for so long are forgotten.
const REMEMBERED: Duration = Duration::from_mins(1);
/// How many users beyond those of now may be remembered in spite of a churn.
const SPARE: usize = 1024;
/// Longest time for one look-up unless [`Users::configure`] says otherwise.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The cache of names and the threads behind it.
#[derive(Debug)]
pub struct Users {
    known: HashMap<Uid, Known>,
    /// Of everybody in `known` who has one.
    names: Names,
    desk: Desk,
    /// Those of the last round, and when it was.
    round: (Vec<Uid>, Option<Instant>),
    timeout: Duration,
    wanted: bool,
}

/// What is known of a user.
#[derive(Debug)]
struct Known {
    name: Option<Arc<str>>,
    /// When this was last asked for; an answer is awaited if `pending`.
    asked: Option<Instant>,
    pending: bool,
    seen: Instant,
}

impl Users {
    /// Names from the system's name service (`getpwuid_r(3)`).
    ///
    /// # Errors
    /// The threads cannot be started.
    pub fn from_system() -> io::Result<Self> {
        Self::with_lookup(Box::new(|uid| {
            // An error is no answer; the question comes again.
            let user = User::from_uid(nix::unistd::Uid::from_raw(uid.0)).ok().flatten()?;
            if user.name.contains(char::REPLACEMENT_CHARACTER) {
                // What is not UTF-8 is lost there.
                return uzers::get_user_by_uid(uid.0).map(|user| user.name().to_owned());
            }
            Some(user.name.into())
        }))
    }

    /// Names from `lookup`, which may block.
    ///
    /// # Errors
    /// The threads cannot be started.
    pub fn with_lookup(lookup: Box<Lookup>) -> io::Result<Self> {
        Ok(Self {
            known: HashMap::new(),
            names: Names::default(),
            desk: Desk::start(lookup.into())?,
            round: (Vec::new(), None),
            timeout: TIMEOUT,
            wanted: true,
        })
    }

    /// Whether names are `wanted`, and the longest time for one look-up: after it, another thread sees to the others.
    pub fn configure(&mut self, wanted: bool, timeout: Duration) {
        self.timeout = timeout;
        self.wanted = wanted;
        if !wanted && !self.known.is_empty() {
            self.known.clear();
            self.desk.forget(|_| true);
            self.names = Names::default();
            self.round = (Vec::new(), None);
        }
    }

    /// The names known now. Asks in the background for those of `uids` that are unknown or old.
    pub fn names(&mut self, uids: impl Iterator<Item = Uid>, now: Instant) -> Names {
        if !self.wanted {
            return Names::default();
        }
        self.take_answers();
        let (last, at) = &mut self.round;
        let before = last.len();
        let same = {
            // Compares and replaces in one go: this runs at every tick, and mostly nothing has changed.
            let mut same = true;
            let mut count = 0;
            for uid in uids {
                match last.get_mut(count) {
                    Some(known) => {
                        same &= *known == uid;
                        *known = uid;
                    }
                    None => last.push(uid),
                }
                count += 1;
            }
            last.truncate(count);
            same && count == before
        };
        let due = at.is_none_or(|at| now.duration_since(at) >= Duration::from_secs(1));
        if due || !same {
            *at = Some(now);
            self.see(now);
            self.forget(now);
        }
        self.desk.replace_hung(now, self.timeout);
        self.names.clone()
    }

    /// Like [`Users::names`], but first gives answers that have just been asked for some time to come in.
    pub fn names_within(&mut self, uids: impl Iterator<Item = Uid>, now: Instant, patience: Duration) -> Names {
        self.names(uids, now);
        if self.desk.wait(patience) {
            self.take_answers();
        }
        self.names.clone()
    }

    /// Whether an answer is still awaited.
    pub fn is_waiting(&self) -> bool {
        self.desk.is_waiting()
    }

    fn take_answers(&mut self) {
        let mut changed = false;
        for (uid, name) in self.desk.answers() {
            let Some(known) = self.known.get_mut(&uid) else { continue };
            known.pending = false;
            // No answer leaves a known name in force: the user may have been deleted or the directory be down, and a
            // series that changed its labels would begin anew.
            if name.is_some() && known.name != name {
                known.name = name;
                changed = true;
            }
        }
        if changed {
            self.rebuild();
        }
    }

    /// Notes that the users of this round are here, and asks for what is not known of them.
    fn see(&mut self, now: Instant) {
        let mut questions = Vec::new();
        for uid in &self.round.0 {
            let known = self.known.entry(*uid).or_insert(Known { name: None, asked: None, pending: false, seen: now });
            known.seen = now;
            let believed = if known.name.is_some() { BELIEVED } else { DOUBTED };
            if !known.pending && known.asked.is_none_or(|asked| now.duration_since(asked) >= believed) {
                (known.asked, known.pending) = (Some(now), true);
                questions.push(*uid);
            }
        }
        self.desk.ask(questions);
    }

    fn forget(&mut self, now: Instant) {
        let crowded = self.known.len() > 2 * self.round.0.len() + SPARE;
        let before = self.known.len();
        let gone = |known: &Known| {
            let unseen = now.duration_since(known.seen);
            unseen >= REMEMBERED || (crowded && !unseen.is_zero())
        };
        self.known.retain(|_, known| !gone(known));
        if self.known.len() < before {
            self.desk.forget(|uid| !self.known.contains_key(&uid));
            self.rebuild();
        }
    }

    fn rebuild(&mut self) {
        self.names = self.known.iter().filter_map(|(uid, known)| Some((*uid, known.name.clone()?))).collect();
    }
}

#[cfg(test)]
mod tests;
