//! How one connection is doing, and until when it may go on like that.
//!
//! Those who read, write and answer tell a [`Track`] what happens; the connection's task asks it for the deadline, and
//! the crowd for who may be asked to leave. Pure: no timer, no socket; everybody passes the time in.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::{Duration, Instant};

/// How much patience a connection gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// From accepting a connection to the end of its TLS handshake.
    pub handshake: Duration,
    /// For a request's head: from the end of the handshake for the first, from its first byte for any other.
    pub head: Duration,
    /// Between two requests.
    pub idle: Duration,
    /// For a client that takes none of its answer.
    pub stall: Duration,
    /// For a client to take the whole of an answer.
    pub delivery: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Handshake,
    FirstHead,
    Head,
    Idle,
}

/// What a client is doing, for whoever has to choose one that must leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    /// It has asked something that it may ask.
    pub(super) proven: bool,
    /// Since when it has nothing under way; `None` while it has.
    pub(super) idle: Option<Instant>,
    /// When it last took something of an answer, or asked.
    pub(super) progress: Instant,
    /// Bytes of answers that are kept for it.
    pub(super) kept: usize,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    /// Begin of the phase.
    since: Instant,
    multiplexed: bool,
    proven: bool,
    /// Requests without a complete answer.
    open: u32,
    kept: usize,
    progress: Instant,
    /// When the first of the open requests began, or the last answer ended.
    delivering: Instant,
    /// Since when the socket takes nothing more.
    blocked: Option<Instant>,
    /// When the client's certificate expires.
    expires: Option<Instant>,
    /// When the credential of the last request expires.
    credential_expires: Option<Instant>,
}

/// One connection's state.
#[derive(Debug)]
pub(super) struct Track(Mutex<State>);

impl Track {
    /// A connection that was accepted just now.
    pub(super) fn new(now: Instant) -> Self {
        Self(Mutex::new(State {
            phase: Phase::Handshake,
            since: now,
            multiplexed: false,
            proven: false,
            open: 0,
            kept: 0,
            progress: now,
            delivering: now,
            blocked: None,
            expires: None,
            credential_expires: None,
        }))
    }

    /// Requests can come from now on. With `multiplexed`, bytes alone do not begin one.
    pub(super) fn ready(&self, now: Instant, multiplexed: bool, expires: Option<Instant>) {
        let mut state = self.state();
        (state.phase, state.since) = (Phase::FirstHead, now);
        (state.multiplexed, state.expires) = (multiplexed, expires);
    }

    /// The client sent something.
    pub(super) fn received(&self, now: Instant) {
        let mut state = self.state();
        if state.phase == Phase::Idle && state.open == 0 && !state.multiplexed {
            (state.phase, state.since) = (Phase::Head, now);
        }
    }

    /// The socket took something.
    pub(super) fn sent(&self, now: Instant) {
        let mut state = self.state();
        state.blocked = None;
        // On a multiplexed connection it may be anything but an answer.
        if !state.multiplexed {
            state.progress = now;
        }
    }

    /// The socket takes nothing.
    pub(super) fn blocked(&self, now: Instant) {
        self.state().blocked.get_or_insert(now);
    }

    /// The client has asked something that it may ask, until its credential expires.
    pub(super) fn prove(&self, expires: Option<Instant>) {
        let mut state = self.state();
        (state.proven, state.credential_expires) = (true, expires);
    }

    pub(super) fn standing(&self) -> Standing {
        let state = self.state();
        Standing {
            proven: state.proven,
            idle: (state.open == 0).then_some(state.since),
            progress: state.progress,
            kept: state.kept,
        }
    }

    /// When the connection must be cut unless something happens.
    pub(super) fn deadline(&self, patience: &Patience) -> Instant {
        let state = self.state();
        let phase = match state.phase {
            _ if state.open > 0 => (state.progress + patience.stall).min(state.delivering + patience.delivery),
            Phase::Handshake => state.since + patience.handshake,
            Phase::FirstHead | Phase::Head => state.since + patience.head,
            Phase::Idle => state.since + patience.idle,
        };
        let blocked = state.blocked.map(|since| since + patience.stall);
        // What was asked in time may be answered.
        let credential = state.credential_expires.filter(|_| state.open == 0);
        [blocked, state.expires, credential].into_iter().flatten().fold(phase, Instant::min)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is complete in itself, so a panic elsewhere leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that has no complete answer yet; dropped when the answer is handed over or given up.
#[derive(Debug)]
pub(super) struct Open {
    track: Arc<Track>,
    kept: usize,
}

impl Open {
    /// A request's head is complete.
    pub(super) fn new(track: &Arc<Track>, now: Instant) -> Self {
        let mut state = track.state();
        if state.open == 0 {
            state.delivering = now;
        }
        state.open += 1;
        state.progress = now;
        drop(state);
        Self { track: Arc::clone(track), kept: 0 }
    }

    /// `left` bytes of the answer are still kept.
    pub(super) fn progress(&mut self, now: Instant, left: usize) {
        let mut state = self.track.state();
        state.kept = state.kept - self.kept + left;
        state.progress = now;
        drop(state);
        self.kept = left;
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let now = Instant::now();
        let mut state = self.track.state();
        state.open -= 1;
        state.kept -= self.kept;
        (state.progress, state.delivering) = (now, now);
        if state.open == 0 {
            (state.phase, state.since) = (Phase::Idle, now);
        }
    }
}

#[cfg(test)]
mod tests;
