//! UID → name. Names are looked up by threads of their own, since a directory server may take its time: nobody who
//! needs a name ever waits for the name service, at worst the number stands in for the name.
//!
//! Bounded whatever the host does: users who are gone are forgotten, threads that hang are few, and names have a length.

mod desk;
mod name;

use std::{
    collections::HashMap,
    ffi::{CString, OsString},
    io,
    os::unix::ffi::OsStrExt as _,
    sync::Arc,
    time::{Duration, Instant},
};

use nix::unistd::{Gid, User, getgrouplist};

use self::desk::Desk;
use crate::units::Uid;

/// Names known at one moment. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Names(Arc<HashMap<Uid, Known>>);

/// What the name service says of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    name: Arc<str>,
    groups: Arc<[u32]>,
}

impl Names {
    /// The user's name, if it is known by now.
    pub fn get(&self, uid: Uid) -> Option<&Arc<str>> {
        self.0.get(&uid).map(|known| &known.name)
    }

    /// Numbers of all groups that the user belongs to, if the user is known by now.
    pub fn groups(&self, uid: Uid) -> Option<&Arc<[u32]>> {
        self.0.get(&uid).map(|known| &known.groups)
    }
}

impl FromIterator<(Uid, Arc<str>)> for Names {
    /// Of users without groups.
    fn from_iter<T: IntoIterator<Item = (Uid, Arc<str>)>>(names: T) -> Self {
        let known = |(uid, name)| (uid, Known { name, groups: [].into() });
        Self(Arc::new(names.into_iter().map(known).collect()))
    }
}

/// Asks the system for a user: `None` if there is no such user. May block, for ever if need be.
pub type Lookup = dyn Fn(Uid) -> Option<Entry> + Send + Sync;

/// What the system says of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Name, in any bytes.
    pub name: OsString,
    /// Numbers of all groups, the main one among them.
    pub groups: Vec<u32>,
}

impl<T: Into<OsString>> From<T> for Entry {
    /// A user without groups.
    fn from(name: T) -> Self {
        Self { name: name.into(), groups: Vec::new() }
    }
}

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
    seen: HashMap<Uid, Seen>,
    /// Of everybody in `seen` who has one.
    names: Names,
    desk: Desk,
    /// Those of the last round, and when it was.
    round: (Vec<Uid>, Option<Instant>),
    timeout: Duration,
    wanted: bool,
}

/// A user who is here, or was a moment ago.
#[derive(Debug)]
struct Seen {
    known: Option<Known>,
    /// When this was last asked for; an answer is awaited if `pending`.
    asked: Option<Instant>,
    pending: bool,
    last: Instant,
}

impl Users {
    /// Names and groups from the system's name service (`getpwuid_r(3)`, `getgrouplist(3)`).
    ///
    /// # Errors
    /// The threads cannot be started.
    pub fn from_system() -> io::Result<Self> {
        Self::with_lookup(Box::new(|uid| {
            // An error is no answer; the question comes again.
            let user = User::from_uid(nix::unistd::Uid::from_raw(uid.0)).ok().flatten()?;
            let name = if user.name.contains(char::REPLACEMENT_CHARACTER) {
                // What is not UTF-8 is lost there.
                uzers::get_user_by_uid(uid.0)?.name().to_owned()
            } else {
                user.name.into()
            };
            let groups = CString::new(name.as_bytes()).ok().and_then(|name| getgrouplist(&name, user.gid).ok())?;
            Some(Entry { name, groups: groups.into_iter().map(Gid::as_raw).collect() })
        }))
    }

    /// Names from `lookup`, which may block.
    ///
    /// # Errors
    /// The threads cannot be started.
    pub fn with_lookup(lookup: Box<Lookup>) -> io::Result<Self> {
        Ok(Self::at_desk(Desk::start(lookup.into())?))
    }

    /// Names from `lookup`, asked without a thread in between: it must never block. For hosts that are simulated.
    pub fn at_once(lookup: Box<Lookup>) -> Self {
        Self::at_desk(Desk::at_once(lookup.into()))
    }

    fn at_desk(desk: Desk) -> Self {
        Self {
            seen: HashMap::new(),
            names: Names::default(),
            desk,
            round: (Vec::new(), None),
            timeout: TIMEOUT,
            wanted: true,
        }
    }

    /// Whether names are `wanted`, and the longest time for one look-up: after it, another thread sees to the others.
    pub fn configure(&mut self, wanted: bool, timeout: Duration) {
        self.timeout = timeout;
        self.wanted = wanted;
        if !wanted && !self.seen.is_empty() {
            self.seen.clear();
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
        for (uid, known) in self.desk.answers() {
            let Some(seen) = self.seen.get_mut(&uid) else { continue };
            seen.pending = false;
            // No answer leaves a known name in force: the user may have been deleted or the directory be down, and a
            // series that changed its labels would begin anew.
            if known.is_some() && seen.known != known {
                seen.known = known;
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
            let seen = self.seen.entry(*uid).or_insert(Seen { known: None, asked: None, pending: false, last: now });
            seen.last = now;
            let believed = if seen.known.is_some() { BELIEVED } else { DOUBTED };
            if !seen.pending && seen.asked.is_none_or(|asked| now.duration_since(asked) >= believed) {
                (seen.asked, seen.pending) = (Some(now), true);
                questions.push(*uid);
            }
        }
        self.desk.ask(questions);
    }

    fn forget(&mut self, now: Instant) {
        let crowded = self.seen.len() > 2 * self.round.0.len() + SPARE;
        let before = self.seen.len();
        let gone = |seen: &Seen| {
            let unseen = now.duration_since(seen.last);
            unseen >= REMEMBERED || (crowded && !unseen.is_zero())
        };
        self.seen.retain(|_, seen| !gone(seen));
        if self.seen.len() < before {
            self.desk.forget(|uid| !self.seen.contains_key(&uid));
            self.rebuild();
        }
    }

    fn rebuild(&mut self) {
        self.names =
            Names(Arc::new(self.seen.iter().filter_map(|(uid, seen)| Some((*uid, seen.known.clone()?))).collect()));
    }
}

#[cfg(test)]
mod tests;
