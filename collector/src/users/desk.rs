//! The threads that ask the name service. Questions wait in a line; each is answered by one of a few threads. One that
//! hangs is given up after a while and another takes its place, so that one dead entry does not stop the others; when too
//! many hang, the line waits until one comes back.

use std::{
    collections::{HashMap, VecDeque},
    fmt, io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use super::{Entry, Known, Lookup, name::shown};
use crate::units::Uid;

/// Threads that answer.
const WORKERS: usize = 2;
/// Threads altogether, those included that hang.
const MOST_THREADS: usize = 8;

/// What is known of a user, or that there is none.
type Answer = (Uid, Option<Known>);

/// Takes questions, gives answers.
pub(super) struct Desk {
    shared: Arc<Shared>,
    lookup: Arc<Lookup>,
    /// Threads that should be at work. Without any, whoever asks is answered at once.
    workers: usize,
}

struct Shared {
    state: Mutex<State>,
    /// There are questions, or the end has come.
    work: Condvar,
    /// There are answers.
    done: Condvar,
}

#[derive(Default)]
struct State {
    line: VecDeque<Uid>,
    answers: Vec<Answer>,
    threads: HashMap<usize, Thread>,
    /// Number of the next thread.
    next: usize,
    ended: bool,
}

/// One thread and what it does.
#[derive(Default)]
struct Thread {
    /// What it asks for, and since when.
    asking: Option<(Uid, Instant)>,
    /// Whether it has been given up: it ends when its answer comes.
    given_up: bool,
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.shared.lock();
        f.debug_struct("Desk")
            .field("line", &state.line.len())
            .field("threads", &state.threads.len())
            .finish_non_exhaustive()
    }
}

impl Desk {
    /// Starts the threads.
    pub(super) fn start(lookup: Arc<Lookup>) -> io::Result<Self> {
        let desk = Self::new(lookup, WORKERS);
        for _ in 0..WORKERS {
            desk.hire(&mut desk.shared.lock())?;
        }
        Ok(desk)
    }

    /// Without threads: `lookup` is asked by whoever asks, and must not block.
    pub(super) fn at_once(lookup: Arc<Lookup>) -> Self {
        Self::new(lookup, 0)
    }

    fn new(lookup: Arc<Lookup>, workers: usize) -> Self {
        let shared = Shared { state: Mutex::default(), work: Condvar::new(), done: Condvar::new() };
        Self { shared: Arc::new(shared), lookup, workers }
    }

    /// Puts questions into the line.
    pub(super) fn ask(&self, questions: Vec<Uid>) {
        if self.workers == 0 {
            let answers = questions.into_iter().map(|uid| answer(uid, &self.lookup));
            self.shared.lock().answers.extend(answers);
        } else if !questions.is_empty() {
            self.shared.lock().line.extend(questions);
            self.shared.work.notify_all();
        }
    }

    /// What has been answered since the last time.
    pub(super) fn answers(&self) -> Vec<Answer> {
        std::mem::take(&mut self.shared.lock().answers)
    }

    /// Takes questions out of the line that nobody asks any more.
    pub(super) fn forget(&self, gone: impl Fn(Uid) -> bool) {
        self.shared.lock().line.retain(|uid| !gone(*uid));
    }

    /// Whether there are questions without an answer, or answers that nobody has taken.
    pub(super) fn is_waiting(&self) -> bool {
        let state = self.shared.lock();
        !state.line.is_empty()
            || !state.answers.is_empty()
            || state.threads.values().any(|thread| thread.asking.is_some())
    }

    /// Waits until all questions are answered, but no longer than `patience`, and not at all while the name service takes
    /// longer than that. Tells whether there are answers.
    pub(super) fn wait(&self, patience: Duration) -> bool {
        let slow = |state: &State| state.asking().any(|(_, since)| since.elapsed() > patience);
        let unanswered =
            |state: &mut State| (!state.line.is_empty() || state.asking().next().is_some()) && !slow(state);
        let state = self.shared.lock();
        let waited = self.shared.done.wait_timeout_while(state, patience, unanswered);
        !waited.unwrap_or_else(PoisonError::into_inner).0.answers.is_empty()
    }

    /// Gives up threads that have been asking for longer than `timeout`, and has others take their places.
    pub(super) fn replace_hung(&self, now: Instant, timeout: Duration) {
        let mut state = self.shared.lock();
        for thread in state.threads.values_mut() {
            let hangs = |(_, since): (Uid, Instant)| now.saturating_duration_since(since) >= timeout;
            if !thread.given_up && thread.asking.is_some_and(hangs) {
                thread.given_up = true;
            }
        }
        while state.at_work() < self.workers && state.threads.len() < MOST_THREADS {
            if let Err(error) = self.hire(&mut state) {
                tracing::warn!(%error, "cannot start another thread that looks up names");
                return;
            }
        }
    }

    fn hire(&self, state: &mut State) -> io::Result<()> {
        let (shared, lookup, number) = (Arc::clone(&self.shared), Arc::clone(&self.lookup), state.next);
        let builder = thread::Builder::new().name("user-names".into());
        builder.spawn(move || shared.work(number, &lookup))?;
        state.next += 1;
        state.threads.insert(number, Thread::default());
        Ok(())
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        // Threads that hang are not waited for.
        self.shared.lock().ended = true;
        self.shared.work.notify_all();
    }
}

impl State {
    fn at_work(&self) -> usize {
        self.threads.values().filter(|thread| !thread.given_up).count()
    }

    fn asking(&self) -> impl Iterator<Item = (Uid, Instant)> {
        self.threads.values().filter_map(|thread| thread.asking)
    }
}

fn answer(uid: Uid, lookup: &Arc<Lookup>) -> Answer {
    let known =
        lookup(uid).and_then(|Entry { name, groups }| Some(Known { name: shown(&name)?, groups: groups.into() }));
    (uid, known)
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The life of thread `number`.
    fn work(&self, number: usize, lookup: &Arc<Lookup>) {
        while let Some(uid) = self.next_question(number) {
            let answer = answer(uid, lookup);
            let mut state = self.lock();
            state.answers.push(answer);
            let given_up = state.threads.get_mut(&number).is_none_or(|thread| {
                thread.asking = None;
                thread.given_up
            });
            // It may have been replaced; if it was not, because too many hung, it goes on.
            let leaves = given_up && state.at_work() >= WORKERS;
            if leaves {
                state.threads.remove(&number);
            } else if let Some(thread) = state.threads.get_mut(&number) {
                thread.given_up = false;
            }
            drop(state);
            self.done.notify_all();
            if leaves {
                return;
            }
        }
    }

    /// Waits for a question and takes it; `None` at the end.
    fn next_question(&self, number: usize) -> Option<Uid> {
        let idle = |state: &mut State| state.line.is_empty() && !state.ended;
        let mut state = self.work.wait_while(self.lock(), idle).unwrap_or_else(PoisonError::into_inner);
        if state.ended {
            return None;
        }
        let uid = state.line.pop_front()?;
        if let Some(thread) = state.threads.get_mut(&number) {
            thread.asking = Some((uid, Instant::now()));
        }
        Some(uid)
    }
}
