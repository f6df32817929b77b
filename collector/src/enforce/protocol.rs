//! What daemon and enforcer say to each other: one JSON message a packet, each request with a number that its reply repeats.
//!
//! Plain data and bounded packets. A message that is not understood is refused, never guessed.

use std::{
    io,
    os::fd::{AsFd, AsRawFd as _},
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::{MsgFlags, recv, send},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::outcome::Outcome;
use crate::{
    limits::{Limits, Order},
    units::Uid,
};

/// Longest message: an order is under 1 KiB, five thousand users to renew are under 64 KiB.
pub const MOST_BYTES: usize = 64 << 10;
/// Users that a reply names; it counts the others.
pub(super) const MOST_NAMED: usize = 64;

/// A message and the number of the request that it belongs to.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Numbered<T> {
    /// Number.
    pub number: u64,
    /// Message.
    pub message: T,
}

/// What the daemon asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Make a user's state what the order says. Its lease begins.
    Set(Order),
    /// Extend the leases of these users.
    Renew(Vec<Uid>),
    /// Extend all leases.
    RenewAll,
    /// Give back everything of a user.
    Clear(Uid),
    /// Give back everything.
    ClearAll,
    /// Tell what is in force.
    Status,
}

/// What the enforcer answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Reply {
    /// Said once, unasked, as number 0: ready.
    Ready(Hello),
    /// Said once instead: why there is no enforcer.
    NotStarted {
        /// One sentence.
        why: String,
    },
    /// To `set` and `clear`.
    Outcome(Outcome),
    /// To `renew` and `clear_all`: for whom it did not work.
    Lost(Lost),
    /// To `status`.
    Status(Status),
    /// Not understood.
    Refused {
        /// One sentence.
        why: String,
    },
}

/// What the enforcer can do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hello {
    /// How it limits.
    pub driver: String,
    /// Why it cannot limit anybody on this host; every order is refused.
    pub monitor_only: Option<String>,
}

/// Users for whom something did not work.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lost {
    /// Who and why.
    pub users: Vec<(Uid, Outcome)>,
    /// How many more.
    pub more: usize,
}

impl From<Vec<(Uid, Outcome)>> for Lost {
    fn from(mut users: Vec<(Uid, Outcome)>) -> Self {
        let more = users.len().saturating_sub(MOST_NAMED);
        users.truncate(MOST_NAMED);
        Self { users, more }
    }
}

/// What is in force.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Status {
    /// Users with limits that the kernel enforces.
    pub limited: usize,
    /// Some of them.
    pub users: Vec<(Uid, Limits)>,
    /// Users who are left alone until they are cleared, and why: some of them.
    pub abandoned: Vec<(Uid, String)>,
    /// Users whose values could not be given back yet: some of them.
    pub owed: Vec<Uid>,
}

/// Sends one message without waiting.
pub(super) fn say<T: Serialize>(socket: &impl AsFd, number: u64, message: T) -> io::Result<()> {
    let bytes = serde_json::to_vec(&Numbered { number, message })?;
    if bytes.len() > MOST_BYTES {
        return Err(io::Error::other(format!("a message of {} bytes is too long", bytes.len())));
    }
    let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
    send(socket.as_fd().as_raw_fd(), &bytes, flags)?;
    Ok(())
}

/// What came in one packet.
#[derive(Debug)]
pub(super) enum Heard<T> {
    /// A message.
    Message(Numbered<T>),
    /// Something else, and why it is no message.
    Nonsense(String),
    /// The other side is gone.
    Closed,
    /// Nothing is there.
    Nothing,
}

/// Receives one message without waiting.
pub(super) fn hear<T: DeserializeOwned>(socket: &impl AsFd) -> io::Result<Heard<T>> {
    let mut bytes = vec![0; MOST_BYTES + 1];
    let length = match recv(socket.as_fd().as_raw_fd(), &mut bytes, MsgFlags::MSG_DONTWAIT) {
        Err(Errno::EAGAIN | Errno::EINTR) => return Ok(Heard::Nothing),
        Err(Errno::ECONNRESET) | Ok(0) => return Ok(Heard::Closed),
        result => result?,
    };
    if length > MOST_BYTES {
        return Ok(Heard::Nonsense(format!("a message is longer than {MOST_BYTES} bytes")));
    }
    let bytes = bytes.get(..length).unwrap_or_default();
    Ok(match serde_json::from_slice(bytes) {
        Ok(message) => Heard::Message(message),
        Err(error) => Heard::Nonsense(format!("a message is not understood: {error}")),
    })
}

/// Waits until one of `fds` has something to say, or `until`.
pub(super) fn wait(fds: &mut [PollFd<'_>], until: Option<Instant>) -> io::Result<()> {
    let timeout = match until {
        None => PollTimeout::NONE,
        Some(until) => {
            // Rounded up, so that it is not called again and again in the last millisecond.
            let rest = until.saturating_duration_since(Instant::now()) + Duration::from_micros(999);
            PollTimeout::try_from(rest.min(Duration::from_mins(1))).map_err(io::Error::other)?
        }
    };
    match poll(fds, timeout) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// For [`wait`]: something to read, or the end.
pub(super) fn readable(fd: &impl AsFd) -> PollFd<'_> {
    PollFd::new(fd.as_fd(), PollFlags::POLLIN)
}
