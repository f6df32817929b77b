//! The enforcer: a process of its own, the only one with the right to write. One thread that waits for requests, for signals
//! and for the end of leases.
//!
//! Every request is held against the configuration. When the socket closes or a signal tells it to end, everything is given
//! back at once.

mod privilege;

use std::{
    io,
    os::fd::OwnedFd,
    time::{Instant, SystemTime},
};

use nix::{
    errno::Errno,
    sys::{
        signal::{SigSet, Signal},
        signalfd::{SfdFlags, SignalFd},
    },
};
pub use privilege::{close_inherited, shed};

use super::{
    Guard,
    audit::Audit,
    event::{Deed, Event},
    keeper::Keeper,
    outcome::Outcome,
    protocol::{self, Heard, Hello, MOST_NAMED, Reply, Request, Status},
    start::{self, Settings},
};

/// Answers requests; knows no socket.
pub struct Enforcer {
    keeper: Result<Keeper, String>,
    guard: Guard,
    audit: Option<Audit>,
}

impl Enforcer {
    /// Ready to answer.
    pub fn new(keeper: Result<Keeper, String>, guard: Guard, audit: Option<Audit>) -> Self {
        Self { keeper, guard, audit }
    }

    /// Answers one request. A lease begins when its request has been carried out.
    pub fn answer(&mut self, request: &Request, clock: &dyn Fn() -> Instant) -> Reply {
        let now = clock();
        let keeper = match &mut self.keeper {
            Ok(keeper) => keeper,
            Err(why) => return without(why, request),
        };
        // A lease that has ended is not revived by whoever comes late.
        keeper.tick(now);
        let reply = match request {
            Request::Set(order) => Reply::Outcome(match (self.guard)(order) {
                Ok(()) => keeper.set(order, now),
                Err(why) => Outcome::Refused { why },
            }),
            Request::Renew(users) => Reply::Lost(keeper.renew(Some(users), now).into()),
            Request::RenewAll => Reply::Lost(keeper.renew(None, now).into()),
            Request::Clear(uid) => Reply::Outcome(keeper.clear(*uid, None)),
            Request::ClearAll => Reply::Lost(keeper.clear_all(Deed::Clear).into()),
            Request::Status => Reply::Status(Status {
                limited: keeper.limited().count(),
                users: keeper.limited().take(MOST_NAMED).collect(),
                abandoned: keeper.abandoned().take(MOST_NAMED).map(|(uid, why)| (uid, why.to_owned())).collect(),
                owed: keeper.owed().take(MOST_NAMED).collect(),
            }),
        };
        match request {
            Request::Set(order) => keeper.begin_leases(Some(&[order.uid]), clock()),
            Request::Renew(users) => keeper.begin_leases(Some(users), clock()),
            Request::RenewAll => keeper.begin_leases(None, clock()),
            Request::Clear(_) | Request::ClearAll | Request::Status => {}
        }
        self.tell();
        reply
    }

    /// Lets leases end.
    pub fn tick(&mut self, now: Instant) {
        if let Ok(keeper) = &mut self.keeper {
            keeper.tick(now);
        }
        self.tell();
    }

    /// Gives everything back.
    pub fn close(&mut self) {
        if let Ok(keeper) = &mut self.keeper {
            for (uid, outcome) in keeper.clear_all(Deed::Close) {
                tracing::error!(
                    "user {uid} is still limited: {outcome:?}; the next start, or uidmeter release, tries again"
                );
            }
        }
        self.tell();
    }

    fn next_due(&self) -> Option<Instant> {
        self.keeper.as_ref().ok().and_then(Keeper::next_due)
    }

    /// Writes what has happened to the log.
    fn tell(&mut self) {
        if let Ok(keeper) = &mut self.keeper {
            let events = keeper.events();
            record(&mut self.audit, events);
        }
    }
}

/// Appends to the audit log; one that cannot be written stops nobody from being released.
fn record(audit: &mut Option<Audit>, events: Vec<Event>) {
    for event in events {
        if let Outcome::Failed { why } | Outcome::Abandoned { why } = &event.outcome {
            tracing::warn!("user {}: {why}", event.uid);
        }
        if let Some(audit) = audit
            && let Err(error) = audit.write(event, SystemTime::now())
        {
            tracing::error!("cannot write the audit log: {error}");
        }
    }
}

/// The answer where nobody can be limited.
fn without(why: &str, request: &Request) -> Reply {
    match request {
        Request::Set(_) => Reply::Outcome(Outcome::Refused { why: why.to_owned() }),
        Request::Clear(_) => Reply::Outcome(Outcome::Cleared { changed: false }),
        Request::Renew(_) | Request::RenewAll | Request::ClearAll => Reply::Lost(Vec::new().into()),
        Request::Status => Reply::Status(Status::default()),
    }
}

/// Serves the daemon at the other end of `socket` until it is gone or a signal says so.
pub fn run(settings: &Settings, guard: Guard, socket: &OwnedFd) -> io::Result<()> {
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        signals.add(signal);
    }
    signals.thread_block()?;
    let signals = SignalFd::with_flags(&signals, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
    let started = match start::start(settings) {
        Ok(started) => started,
        Err(error) => {
            let why = error.to_string();
            protocol::say(socket, 0, Reply::NotStarted { why: why.clone() })?;
            return Err(io::Error::other(why));
        }
    };
    let mut audit = settings.audit.as_deref().map(Audit::new);
    record(&mut audit, started.events);
    let hello = Hello { driver: settings.describe(), monitor_only: started.keeper.as_ref().err().cloned() };
    let mut enforcer = Enforcer::new(started.keeper, guard, audit);
    let result = protocol::say(socket, 0, Reply::Ready(hello)).and_then(|()| serve(&mut enforcer, socket, &signals));
    enforcer.close();
    result
}

/// Until the end.
fn serve(enforcer: &mut Enforcer, socket: &OwnedFd, signals: &SignalFd) -> io::Result<()> {
    loop {
        protocol::wait(&mut [protocol::readable(socket), protocol::readable(signals)], enforcer.next_due())?;
        enforcer.tick(Instant::now());
        match signals.read_signal() {
            Ok(Some(signal)) if i32::try_from(signal.ssi_signo) == Ok(Signal::SIGHUP as i32) => {
                if let Some(audit) = &mut enforcer.audit {
                    audit.reopen();
                }
            }
            Ok(Some(_)) => return Ok(()),
            Ok(None) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let (number, reply) = match protocol::hear(socket)? {
            Heard::Message(asked) => (asked.number, enforcer.answer(&asked.message, &Instant::now)),
            Heard::Nonsense(why) => (0, Reply::Refused { why }),
            Heard::Closed => return Ok(()),
            Heard::Nothing => continue,
        };
        match protocol::say(socket, number, reply) {
            // Whoever does not read his answers does without.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            result => result?,
        }
    }
}

#[cfg(test)]
mod tests;
