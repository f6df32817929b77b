//! From views to limits: a thread that evaluates the policy, has the enforcer carry out what follows, and publishes how it stands.
//!
//! Leases are renewed only while the sampler delivers: a daemon that sees nothing any more limits nobody.
//!
//! | module | owns |
//! |---|---|
//! | `files` | policy, directory of users, and what the enforcer is told |
//! | `observe` | two views → what the policy is told |
//! | `hands` | what is wanted → requests to the enforcer, and what came of them |
//! | `control` | the socket of `uidmeter limits` |
//! | `notify` | hook and webhook |

mod control;
mod files;
mod hands;
mod notify;
mod observe;

use std::{
    collections::BTreeMap,
    io,
    os::unix::net::UnixListener,
    path::Path,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime},
};

pub use self::files::{SystemDirectory, enforcer_settings, guard, policy};
use self::{
    hands::Hands,
    notify::{Notice, Notifier},
    observe::Observer,
};
use super::{Settings, sampler::Gatherer};
use crate::{
    config::{Config, LimitOptions, Mode},
    enforce::client::{Client, ClientError, Spawn},
    export::Gather as _,
    limits::{
        Limits,
        ask::Question,
        standing::{Change, Standing, UserStanding},
    },
    policy::{
        Clock, Decision, Engine, Observation, PolicyErrors, UserLoad,
        engine::{State, StateKind, UserState},
    },
    source::ebpf::monotonic_now,
    units::{Nanos, Uid, UnixTime},
};

/// How long the enforcer may take to start: it may have to undo what a dead one left.
const START: Duration = Duration::from_secs(30);
/// How long an answer of the enforcer may take.
const ANSWER: Duration = Duration::from_secs(10);
/// How long giving everything back may take at the end.
const END: Duration = Duration::from_secs(8);
/// Above the limit by this much is within it: a quota is kept per period of 100 ms, and use is measured over another span.
const TOLERANCE: f64 = 1.05;

/// Why limits cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum LimitsError {
    /// The policy has mistakes.
    #[error(transparent)]
    Policy(#[from] PolicyErrors),
    /// The enforcer.
    #[error("{0}; set limits.mode to dry-run to go on without")]
    Enforcer(#[from] ClientError),
    /// The socket of `uidmeter limits`.
    #[error("cannot listen on {path} (limits.control_socket): {source}")]
    Socket {
        /// Where.
        path: String,
        /// Why.
        source: io::Error,
    },
}

/// What came of a question.
type Reply = Sender<Result<Arc<Standing>, String>>;

/// What the thread is told.
#[derive(Debug)]
pub(super) enum Message {
    Asked(Question, Reply),
    /// The settings have changed, and the policy may have.
    Reload,
    Stop,
}

/// What must be had while the process is still privileged.
#[derive(Debug)]
pub(super) struct Prepared {
    engine: Option<Engine>,
    rules: Option<usize>,
    client: Option<Client>,
    control: Option<UnixListener>,
}

/// Reads the policy, starts the enforcer if one is needed, and binds the control socket. `arguments` are those with which this
/// configuration is read again.
///
/// # Errors
/// Something of it does not work; nothing is limited.
pub(super) fn prepare(options: &LimitOptions, arguments: Vec<std::ffi::OsString>) -> Result<Prepared, LimitsError> {
    let policy = options.policy_file.as_deref().map(policy).transpose()?;
    let rules = policy.as_ref().map(|policy| policy.rules().len());
    let engine = policy.map(|policy| Engine::new(Arc::new(policy)));
    let client = if engine.is_some() && options.mode == Mode::Enforce {
        let arguments = [vec!["enforcer".into()], arguments].concat();
        let spawn = Spawn { program: "/proc/self/exe".into(), arguments, patience: START, deadline: ANSWER };
        Some(Client::spawn(&spawn)?)
    } else {
        None
    };
    let control = match &options.control_socket {
        // Without a policy there is nothing to ask about.
        Some(path) if engine.is_some() => Some(bind(path)?),
        _ => None,
    };
    Ok(Prepared { engine, rules, client, control })
}

fn bind(path: &Path) -> Result<UnixListener, LimitsError> {
    control::bind(path).map_err(|source| LimitsError::Socket { path: path.display().to_string(), source })
}

/// The running thread.
#[derive(Debug)]
pub(super) struct Limiter {
    thread: JoinHandle<()>,
    messages: Sender<Message>,
}

impl Limiter {
    /// Starts the thread; `None` if there is no policy. `lost` is called when the enforcer has ended by itself.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub(super) fn start(
        prepared: Prepared,
        settings: Arc<Settings>,
        views: Gatherer,
        lost: Box<dyn Fn() + Send>,
    ) -> io::Result<Option<Self>> {
        let Prepared { engine: Some(engine), rules, client, control } = prepared else { return Ok(None) };
        let (messages, inbox) = channel();
        let lease = settings.load().limits.lease;
        let mut state = Thread {
            engine,
            rules,
            hands: client.map(|client| Hands::new(client, lease)),
            settings,
            views,
            lost,
            observer: Observer::new(),
            notifier: Notifier::start()?,
            host: nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
            changes: BTreeMap::new(),
            loads: BTreeMap::new(),
            seen: None,
            unable: None,
        };
        if let Some(unable) = state.hands.as_ref().and_then(Hands::unable) {
            tracing::warn!("nobody can be limited on this host: {unable}");
        }
        state.publish();
        if let Some(listener) = control {
            control::serve(listener, messages.clone())?;
        }
        let thread = thread::Builder::new().name("limits".into()).spawn(move || state.run(&inbox))?;
        Ok(Some(Self { thread, messages }))
    }

    /// Whom to tell that settings or policy have changed.
    pub(super) fn messages(&self) -> Sender<Message> {
        self.messages.clone()
    }

    /// Gives everything back and ends the thread.
    pub(super) fn stop(self) {
        // Fails only if the thread has ended already.
        let _ = self.messages.send(Message::Stop);
        let _ = self.thread.join();
    }
}

struct Thread {
    engine: Engine,
    rules: Option<usize>,
    hands: Option<Hands>,
    settings: Arc<Settings>,
    views: Gatherer,
    lost: Box<dyn Fn() + Send>,
    observer: Observer,
    notifier: Notifier,
    host: String,
    changes: BTreeMap<Change, u64>,
    /// As of the last evaluation.
    loads: BTreeMap<Uid, UserLoad>,
    /// When the sampler last delivered something new.
    seen: Option<Instant>,
    /// Why there is no enforcer although there should be.
    unable: Option<String>,
}

impl Thread {
    fn run(mut self, inbox: &Receiver<Message>) {
        let mut due = Instant::now();
        loop {
            let config = self.settings.load();
            // An evaluation that is due comes first: questions, however many, do not put it off.
            let wait = due.saturating_duration_since(Instant::now());
            if wait.is_zero() {
                self.tick(&config);
                due += config.limits.interval;
                let now = Instant::now();
                if due < now {
                    // Not at once: rates over hardly any time would be noise.
                    due = now + config.limits.interval;
                }
                continue;
            }
            match inbox.recv_timeout(wait) {
                Ok(Message::Asked(question, reply)) => {
                    let answer = self.answer(question);
                    // Whoever has gone away meanwhile needs no answer.
                    let _ = reply.send(answer);
                }
                Ok(Message::Reload) => self.reload(&config),
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
        if let Some(hands) = self.hands.take()
            && !hands.close(END)
        {
            tracing::error!("the enforcer takes long to give limits back; it goes on by itself");
        }
    }

    fn tick(&mut self, config: &Config) {
        let view = self.views.published();
        let now = Instant::now();
        // A driver that makes groups of its own moves all of a user's processes there.
        let slices = self.hands.as_ref().is_none_or(Hands::limits_slices);
        if let Some(observation) = self.observer.observe(&view, slices) {
            self.seen = Some(now);
            self.evaluate(&observation, config);
        }
        let blind = self.seen.is_none_or(|seen| now.duration_since(seen) > config.limits.lease);
        if !blind {
            self.keep(now);
        }
        self.publish();
    }

    fn evaluate(&mut self, observation: &Observation, config: &Config) {
        self.engine.set_mode(config.limits.mode);
        let clock = Clock { monotonic: monotonic_now(), wall: unix_time(SystemTime::now()) };
        let evaluation = self.engine.evaluate(observation, &clock);
        self.loads = observation.users.iter().map(|load| (load.person.uid, load.clone())).collect();
        for decision in evaluation.decisions {
            self.carry_out(&decision, config);
        }
    }

    fn carry_out(&mut self, decision: &Decision, config: &Config) {
        let Decision { order, action, mode } = decision;
        let outcome = match (mode, &mut self.hands) {
            (Mode::Enforce, Some(hands)) => match hands.carry_out(order, Instant::now()) {
                Ok(outcome) => outcome,
                Err(error) => {
                    self.lose(&error);
                    "failed"
                }
            },
            (Mode::Enforce, None) => "refused",
            (Mode::Off | Mode::DryRun, _) => "dry-run",
        };
        let (action, uid, limits) = (action.name(), order.uid, &order.limits);
        tracing::info!(%uid, rule = order.cause.rule, action, outcome, %limits, "{}", order.cause.reason);
        *self.changes.entry(Change { action: action.into(), outcome: outcome.into() }).or_default() += 1;
        let user = self.loads.get(&uid).and_then(|load| load.person.name.as_deref().map(str::to_owned));
        let notice = Notice {
            time: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            host: self.host.clone(),
            uid,
            user: user.unwrap_or_else(|| uid.to_string()),
            action,
            outcome: outcome.into(),
            limits: *limits,
            rule: order.cause.rule.clone(),
            reason: order.cause.reason.clone(),
        };
        self.notifier.tell(notice, &config.limits);
    }

    fn keep(&mut self, now: Instant) {
        if let Some(hands) = &mut self.hands
            && let Err(error) = hands.keep(now)
        {
            self.lose(&error);
        }
    }

    /// The enforcer does not answer. One that has ended cannot be replaced by a process without privileges; one that is late may
    /// come round, and its leases run out meanwhile.
    fn lose(&mut self, error: &ClientError) {
        tracing::error!("limits: {error}");
        if !matches!(error, ClientError::Late(_)) {
            self.unable = Some(error.to_string());
            self.hands = None;
            (self.lost)();
        }
    }

    fn answer(&mut self, question: Question) -> Result<Arc<Standing>, String> {
        match question {
            Question::List => {}
            Question::Hold(uid) => {
                let limited = self
                    .engine
                    .states()
                    .into_iter()
                    .any(|user| user.uid == uid && matches!(user.state, State::Limited(_)));
                if !limited {
                    return Err(format!("user {uid} is not limited, so there is nothing to hold"));
                }
                tracing::info!(%uid, "an administrator holds the user's limits as they are");
                self.engine.hold(uid);
            }
            Question::Release { uid, seconds } => {
                if !self.engine.states().iter().any(|user| user.uid == uid) {
                    return Err(format!("user {uid} is not limited, and could not be"));
                }
                tracing::info!(%uid, seconds, "an administrator releases the user");
                // Carried out with the next evaluation.
                self.engine.release(uid, Duration::from_secs(seconds));
            }
        }
        self.publish();
        Ok(self.views.limits())
    }

    /// Reads the policy again; one with mistakes changes nothing.
    fn reload(&mut self, config: &Config) {
        if config.limits.mode == Mode::Enforce && self.hands.is_none() && self.unable.is_none() {
            tracing::warn!("limits.mode is enforce now, but no enforcer was started with the daemon: restart it");
        }
        let Some(file) = config.limits.policy_file.as_deref() else { return };
        match policy(file) {
            Ok(policy) => {
                self.rules = Some(policy.rules().len());
                self.engine.set_policy(Arc::new(policy));
                tracing::info!("the policy was read again from {}", file.display());
            }
            Err(errors) => {
                for problem in &errors.0 {
                    tracing::error!("{problem}");
                }
                tracing::error!("the policy stays as it was: it has mistakes");
            }
        }
        self.publish();
    }

    fn publish(&mut self) {
        let config = self.settings.load();
        let hands = self.hands.as_ref();
        let unable = hands.and_then(|hands| hands.unable().map(str::to_owned)).or_else(|| self.unable.clone());
        let times = self.engine.times();
        let told = |user: &UserState| {
            user.state.kind() != StateKind::Watched || !user.wanted.is_none() || !user.would_be.is_none()
        };
        let users = self.engine.states().into_iter().filter(told).map(|user| self.user(&user)).collect();
        self.views.tell_limits(Arc::new(Standing {
            mode: config.limits.mode.word().into(),
            rules: self.rules,
            driver: hands.map(|hands| hands.driver().to_owned()),
            unable,
            users,
            changes: self.changes.clone(),
            evaluations: self.engine.evaluations(),
            time_in_states: StateKind::ALL
                .into_iter()
                .map(|kind| (kind.name().to_owned(), Nanos::from(times.get(kind))))
                .collect(),
        }));
    }

    fn user(&self, user: &UserState) -> UserStanding {
        let now = monotonic_now();
        let between = |early: Nanos, late: Nanos| late.since(early).map(Nanos::as_secs_f64);
        let (seconds, rule, step, reason) = match &user.state {
            State::Watched | State::Held => (None, None, None, None),
            State::Pending { rule, since } => (between(*since, now), Some(rule.clone()), None, None),
            State::Limited(limited) => (
                between(limited.since, now),
                Some(limited.rule.clone()),
                Some((limited.step, limited.steps)),
                Some(limited.reason.clone()),
            ),
            State::Grace { until } | State::Released { until } => (between(now, *until), None, None, None),
        };
        let held = self.hands.as_ref().and_then(|hands| hands.held(user.uid));
        let load = self.loads.get(&user.uid);
        let in_force = held.map(|held| held.in_force).unwrap_or_default();
        UserStanding {
            uid: user.uid,
            name: user.name.as_deref().map(str::to_owned),
            state: user.state.kind().name().into(),
            seconds,
            rule,
            step,
            reason,
            dry_run: user.wanted.is_none() && !user.would_be.is_none(),
            wanted: if user.wanted.is_none() { user.would_be } else { user.wanted },
            group: held.and_then(|held| held.group.clone()),
            trouble: held.and_then(|held| held.trouble.clone()),
            effective: load.and_then(|load| effective(&in_force, load)),
            in_force,
            cores: load.map_or(0.0, |load| load.cpu.0),
            unenforceable_cores: load.map_or(0.0, |load| load.outside.0),
        }
    }
}

/// 1 while the CPU time that was measured is within the limit; else the part of it that the limit allows. `None` if CPU time is not
/// limited. Memory has no such figure: what is above `memory.high` is being reclaimed, and swap is no part of it.
fn effective(limits: &Limits, load: &UserLoad) -> Option<f64> {
    let limit = f64::from(limits.cpu_max?.get()) / 1000.0;
    Some(if load.cpu.0 <= limit * TOLERANCE { 1.0 } else { limit / load.cpu.0 })
}

fn unix_time(now: SystemTime) -> UnixTime {
    UnixTime(now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().into())
}

#[cfg(test)]
mod tests;
