//! The one thread that reads the source: at every tick, and whenever a scrape asks for figures of this very moment.
//!
//! A tick publishes counters and rates; a scrape in between publishes newer counters beside the rates of the last tick.

mod books;
mod host;
mod stepped;

use std::{
    future::Future,
    io,
    ops::ControlFlow,
    pin::Pin,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

pub use self::stepped::SteppedSampler;
use self::{
    books::Books,
    host::{HostContext, MOST_AGE},
};
use super::Settings;
use crate::{
    export::{Gather, OwnMetrics},
    limits::standing::Standing,
    rates::usage,
    snapshot::Snapshot,
    source::Source,
    users::Users,
    view::{Published, View},
};

/// How long a scrape waits for the sampler. It answers within microseconds unless the machine is in great trouble.
const ANSWER: Duration = Duration::from_secs(2);
/// How long a scrape waits for names that are being looked up, so that a new user rarely shows up as a number first.
const NAMES: Duration = Duration::from_millis(20);
/// Time between two rounds of [`Source::maintain`].
const MAINTENANCE: Duration = Duration::from_secs(1);

/// What a scrape sends to the sampler: where to put the view.
type Request = oneshot::Sender<Arc<View>>;

/// The running sampler.
#[derive(Debug)]
pub struct Sampler {
    thread: JoinHandle<()>,
    requests: Sender<Message>,
    published: Arc<Published>,
}

#[derive(Debug)]
enum Message {
    Fresh(Request),
    Settings,
    Stop,
}

impl Sampler {
    /// Publishes a first view, then goes on in a thread.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(
        source: Box<dyn Source>,
        users: Users,
        own: Arc<OwnMetrics>,
        settings: Arc<Settings>,
    ) -> io::Result<Self> {
        let (requests, inbox) = channel();
        let published = Arc::default();
        let mut state = State::new(source, users, own, settings, &published);
        let thread = thread::Builder::new().name("sampler".into()).spawn(move || state.run(&inbox))?;
        Ok(Self { thread, requests, published })
    }

    /// What the exporter asks for views.
    pub fn gatherer(&self) -> Gatherer {
        Gatherer { requests: self.requests.clone(), published: Arc::clone(&self.published) }
    }

    /// Ends the thread and drops the source.
    pub fn stop(self) {
        // Fails only if the thread has ended already.
        let _ = self.requests.send(Message::Stop);
        let _ = self.thread.join();
    }
}

/// Asks a [`Sampler`] for views.
#[derive(Clone, Debug)]
pub struct Gatherer {
    requests: Sender<Message>,
    published: Arc<Published>,
}

impl Gatherer {
    /// Tells the sampler that the settings have changed.
    pub fn settings_changed(&self) {
        // Fails only if the sampler has ended, and then nothing is to be done.
        let _ = self.requests.send(Message::Settings);
    }

    /// Publishes how limiting stands: the next view has it.
    pub fn tell_limits(&self, standing: Arc<Standing>) {
        self.published.store_limits(standing);
    }

    /// What was last told.
    pub fn limits(&self) -> Arc<Standing> {
        self.published.limits()
    }
}

impl Gather for Gatherer {
    fn fresh(&self) -> Pin<Box<dyn Future<Output = Option<Arc<View>>> + Send + '_>> {
        let (answer, view) = oneshot::channel();
        let sent = self.requests.send(Message::Fresh(answer));
        Box::pin(async move {
            sent.ok()?;
            tokio::time::timeout(ANSWER, view).await.ok()?.ok()
        })
    }

    fn published(&self) -> Arc<View> {
        self.published.load()
    }
}

struct State {
    source: Box<dyn Source>,
    users: Users,
    own: Arc<OwnMetrics>,
    published: Arc<Published>,
    at_last_tick: Arc<Snapshot>,
    /// A snapshot that nobody reads any more, for its memory.
    spare: Option<Snapshot>,
    generation: u64,
    settings: Arc<Settings>,
    host: HostContext,
    books: Books,
}

impl State {
    /// Publishes a first view.
    fn new(
        source: Box<dyn Source>,
        users: Users,
        own: Arc<OwnMetrics>,
        settings: Arc<Settings>,
        published: &Arc<Published>,
    ) -> Self {
        published.store(Arc::new(View {
            probes: source.probes().into(),
            kernel_memory: source.kernel_memory(),
            user_slots: source.user_slots(),
            ..View::default()
        }));
        let mut state = Self {
            source,
            users,
            own,
            published: Arc::clone(published),
            at_last_tick: Arc::default(),
            spare: None,
            generation: 0,
            settings,
            host: HostContext::default(),
            books: Books::default(),
        };
        state.tick(false);
        state.maintain();
        state
    }

    fn run(&mut self, inbox: &Receiver<Message>) {
        let mut due = Instant::now() + self.interval();
        let mut maintained = Instant::now();
        loop {
            // A tick that is due comes first: scrapes, however many, do not put it off.
            let wait = due.saturating_duration_since(Instant::now());
            if wait.is_zero() {
                let interval = self.interval();
                self.tick(due.elapsed() > interval / 2);
                if maintained.elapsed() >= MAINTENANCE {
                    self.maintain();
                    maintained = Instant::now();
                }
                // The cadence stays; ticks that were missed altogether are not made up for.
                due += interval;
                let now = Instant::now();
                if due < now {
                    // Not at once: rates over hardly any time would be noise.
                    due = now + interval;
                }
                continue;
            }
            match inbox.recv_timeout(wait) {
                Ok(Message::Fresh(request)) => {
                    if self.answer(request, inbox).is_break() {
                        return;
                    }
                }
                // What was due after a long interval is due after the new one now.
                Ok(Message::Settings) => due = due.min(Instant::now() + self.interval()),
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    fn interval(&self) -> Duration {
        self.settings.load().observe.sample_interval
    }

    /// Takes one reading for everybody who has asked by now.
    fn answer(&mut self, first: Request, inbox: &Receiver<Message>) -> ControlFlow<()> {
        let mut requests = vec![first];
        let mut flow = ControlFlow::Continue(());
        for message in inbox.try_iter() {
            match message {
                Message::Fresh(request) => requests.push(request),
                Message::Settings => {}
                Message::Stop => flow = ControlFlow::Break(()),
            }
        }
        let view = self.reading_for_scrape();
        for request in requests {
            // A scraper that has gone away meanwhile needs no answer.
            let _ = request.send(Arc::clone(&view));
        }
        flow
    }

    fn tick(&mut self, late: bool) {
        let started = Instant::now();
        let snapshot = self.read();
        let usage = usage(&self.at_last_tick, &snapshot).unwrap_or_default();
        let settings = self.settings.load();
        self.users.configure(settings.users.names, settings.users.name_timeout);
        let names = self.users.names(snapshot.users(), started);
        let before = std::mem::replace(&mut self.at_last_tick, Arc::clone(&snapshot));
        let host = self.host.younger_than(MOST_AGE, settings.host, started);
        self.books.note(&usage, snapshot.taken, settings.bursts.peak_window);
        self.publish(View { snapshot, usage: Arc::new(usage), names, host, ..self.last() });
        self.spare = Arc::try_unwrap(before).ok();
        self.own.tick(started.elapsed(), late);
    }

    fn reading_for_scrape(&mut self) -> Arc<View> {
        let snapshot = self.read();
        // Never so long that the next tick is late for it.
        let patience = NAMES.min(self.interval() / 4);
        let names = self.users.names_within(snapshot.users(), Instant::now(), patience);
        let probes = self.source.probes().into();
        let kernel_memory = self.source.kernel_memory();
        let host = self.host.younger_than(Duration::ZERO, self.settings.load().host, Instant::now());
        let kept = self.source.kept();
        let (shown, bursts) = self.books.shown(&snapshot);
        self.publish(View { snapshot, kept, shown, bursts, names, host, probes, kernel_memory, ..self.last() })
    }

    /// What was last published, for what stays as it was.
    fn last(&self) -> View {
        View::clone(&self.published.load())
    }

    /// What is looked after between two ticks, about once a second.
    fn maintain(&mut self) {
        let settings = self.settings.load();
        // Before the source gives away what belongs to nobody any more: the snapshot still tells all of it.
        self.books.settle(&self.at_last_tick, &settings, self.source.as_mut());
        self.source.maintain(settings.memory.interval);
    }

    fn read(&mut self) -> Arc<Snapshot> {
        let mut snapshot = self.spare.take().unwrap_or_default();
        self.source.read(&mut snapshot);
        Arc::new(snapshot)
    }

    fn publish(&mut self, view: View) -> Arc<View> {
        self.generation += 1;
        let view = Arc::new(View { generation: self.generation, limits: self.published.limits(), ..view });
        self.published.store(Arc::clone(&view));
        view
    }
}

#[cfg(test)]
pub(super) mod tests;
