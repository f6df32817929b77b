//! UID → name. Names are looked up by a thread of their own, since a directory server may take its time: nobody who
//! needs a name ever waits for the name service, at worst the number stands in for the name.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use nix::unistd::User;

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

/// Asks the system for a user's name: `None` if there is no such user.
pub type Lookup = dyn Fn(Uid) -> Option<Arc<str>> + Send;

/// The cache of names and the thread behind it.
#[derive(Debug)]
pub struct Users {
    names: Arc<ArcSwap<HashMap<Uid, Arc<str>>>>,
    asked: HashMap<Uid, Instant>,
    pending: Arc<Mutex<HashSet<Uid>>>,
    questions: mpsc::Sender<Uid>,
}

/// How long an answer is believed, so that a renamed or new user is noticed.
const BELIEVED: Duration = Duration::from_mins(10);

impl Users {
    /// Names from the system's name service (`getpwuid_r(3)`).
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn from_system() -> std::io::Result<Self> {
        Self::with_lookup(Box::new(|uid| {
            let user = User::from_uid(nix::unistd::Uid::from_raw(uid.0)).ok().flatten()?;
            Some(user.name.into())
        }))
    }

    /// Names from `lookup`, which may block.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn with_lookup(lookup: Box<Lookup>) -> std::io::Result<Self> {
        let (questions, inbox) = mpsc::channel::<Uid>();
        let names = Arc::new(ArcSwap::default());
        let pending = Arc::new(Mutex::new(HashSet::new()));
        let users = Self { names: Arc::clone(&names), asked: HashMap::new(), pending: Arc::clone(&pending), questions };
        thread::Builder::new().name("user-names".into()).spawn(move || {
            for uid in inbox {
                answer(&names, uid, lookup(uid));
                pending.lock().unwrap_or_else(PoisonError::into_inner).remove(&uid);
            }
        })?;
        Ok(users)
    }

    /// The names known now. Asks in the background for those of `uids` that are unknown or old.
    pub fn names(&mut self, uids: impl Iterator<Item = Uid>, now: Instant) -> Names {
        for uid in uids {
            let fresh = self.asked.get(&uid).is_some_and(|asked| now.duration_since(*asked) < BELIEVED);
            if !fresh && self.pending.lock().unwrap_or_else(PoisonError::into_inner).insert(uid) {
                self.asked.insert(uid, now);
                // A closed channel means that the thread has died: numbers then stand in for names.
                let _ = self.questions.send(uid);
            }
        }
        Names(self.names.load_full())
    }

    /// Like [`Users::names`], but first gives answers that are under way some time to come in.
    pub fn names_within(&mut self, uids: impl Iterator<Item = Uid>, now: Instant, patience: Duration) -> Names {
        self.names(uids, now);
        while self.is_waiting() && now.elapsed() < patience {
            thread::sleep(Duration::from_millis(1));
        }
        Names(self.names.load_full())
    }

    /// Whether an answer is still awaited.
    pub fn is_waiting(&self) -> bool {
        !self.pending.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
}

fn answer(names: &ArcSwap<HashMap<Uid, Arc<str>>>, uid: Uid, name: Option<Arc<str>>) {
    if names.load().get(&uid) == name.as_ref() {
        return;
    }
    let mut changed = HashMap::clone(&names.load());
    match name {
        Some(name) => changed.insert(uid, name),
        None => changed.remove(&uid),
    };
    names.store(Arc::new(changed));
}

#[cfg(test)]
mod tests {
    use super::{BELIEVED, Duration, Instant, Uid, Users, mpsc, thread};

    fn settle(users: &Users) {
        while users.is_waiting() {
            thread::yield_now();
        }
    }

    #[test]
    fn a_name_service_that_hangs_stops_nobody() -> std::io::Result<()> {
        let (release, hang) = mpsc::channel::<()>();
        let mut users = Users::with_lookup(Box::new(move |_| {
            let _ = hang.recv();
            Some("late".into())
        }))?;
        let now = Instant::now();
        assert!(users.names([Uid(1)].into_iter(), now).get(Uid(1)).is_none());
        assert!(users.is_waiting());
        drop(release);
        settle(&users);
        assert_eq!(users.names([Uid(1)].into_iter(), now).get(Uid(1)).map(AsRef::as_ref), Some("late"));
        Ok(())
    }

    #[test]
    fn a_renamed_user_is_noticed_once_the_answer_is_old() -> std::io::Result<()> {
        let (names, answers) = mpsc::channel::<&'static str>();
        let mut users = Users::with_lookup(Box::new(move |_| answers.recv().ok().map(Into::into)))?;
        let now = Instant::now();
        for (name, at) in [("ann", now), ("anna", now + BELIEVED + Duration::from_secs(1))] {
            let _ = names.send(name);
            users.names([Uid(1)].into_iter(), at);
            settle(&users);
            assert_eq!(users.names([Uid(1)].into_iter(), at).get(Uid(1)).map(AsRef::as_ref), Some(name));
        }
        Ok(())
    }
}
