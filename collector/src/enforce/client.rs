//! The daemon's end: starts the enforcer, asks it, and never waits longer than a deadline. An enforcer that dies takes its limits
//! back by itself, or its successor does; here its end is noticed, and told.

use std::{
    ffi::OsString,
    io,
    os::fd::OwnedFd,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};

use super::{
    outcome::Outcome,
    protocol::{self, Heard, Hello, Lost, Reply, Request, Status},
};
use crate::{limits::Order, units::Uid};

/// How to start it.
#[derive(Clone, Debug)]
pub struct Spawn {
    /// The executable; `/proc/self/exe` is this one, even if its file has been replaced.
    pub program: PathBuf,
    /// Its arguments. It finds its socket as standard input.
    pub arguments: Vec<OsString>,
    /// How long it may take until it is ready; it may have to undo what a dead one left.
    pub patience: Duration,
    /// How long an answer may take.
    pub deadline: Duration,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// It could not be started.
    #[error("cannot start the enforcer: {0}")]
    Start(io::Error),
    /// It said why it does not start.
    #[error("the enforcer does not start: {0}")]
    NotStarted(String),
    /// It is gone. Limits that it held are given back, by itself or by the next one that is started.
    #[error("the enforcer has ended")]
    Ended,
    /// It may be at work on the request yet.
    #[error("the enforcer has not answered within {0:?}")]
    Late(Duration),
    /// It did not understand, or said something that is not an answer to what was asked.
    #[error("the enforcer refuses the request: {0}")]
    Refused(String),
    /// The socket failed.
    #[error("cannot talk to the enforcer: {0}")]
    Io(#[from] io::Error),
}

/// A running enforcer. Dropping it closes the socket, whereupon the enforcer gives everything back.
#[derive(Debug)]
pub struct Client {
    socket: Option<OwnedFd>,
    child: Child,
    number: u64,
    deadline: Duration,
    hello: Hello,
}

impl Client {
    /// Starts an enforcer, and waits until it is ready.
    pub fn spawn(spawn: &Spawn) -> Result<Self, ClientError> {
        let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
            .map_err(|error| ClientError::Start(error.into()))?;
        let child = Command::new(&spawn.program)
            .args(&spawn.arguments)
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .spawn()
            .map_err(ClientError::Start)?;
        let hello = Hello { driver: String::new(), monitor_only: None };
        let mut client = Self { socket: Some(ours), child, number: 0, deadline: spawn.deadline, hello };
        match client.receive(0, spawn.patience)? {
            Reply::Ready(hello) => {
                client.hello = hello;
                Ok(client)
            }
            Reply::NotStarted { why } => Err(ClientError::NotStarted(why)),
            other => Err(unexpected(&other)),
        }
    }

    /// What the enforcer can do on this host.
    pub fn hello(&self) -> &Hello {
        &self.hello
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Limits a user.
    pub fn set(&mut self, order: &Order) -> Result<Outcome, ClientError> {
        match self.ask(&Request::Set(order.clone()))? {
            Reply::Outcome(outcome) => Ok(outcome),
            other => Err(unexpected(&other)),
        }
    }

    /// Extends leases: of these users, or of all.
    pub fn renew(&mut self, users: Option<&[Uid]>) -> Result<Lost, ClientError> {
        let request = users.map_or(Request::RenewAll, |users| Request::Renew(users.to_vec()));
        match self.ask(&request)? {
            Reply::Lost(lost) => Ok(lost),
            other => Err(unexpected(&other)),
        }
    }

    /// Gives back everything of a user.
    pub fn clear(&mut self, uid: Uid) -> Result<Outcome, ClientError> {
        match self.ask(&Request::Clear(uid))? {
            Reply::Outcome(outcome) => Ok(outcome),
            other => Err(unexpected(&other)),
        }
    }

    /// Gives back everything; tells for whom that failed.
    pub fn clear_all(&mut self) -> Result<Lost, ClientError> {
        match self.ask(&Request::ClearAll)? {
            Reply::Lost(lost) => Ok(lost),
            other => Err(unexpected(&other)),
        }
    }

    /// What is in force.
    pub fn status(&mut self) -> Result<Status, ClientError> {
        match self.ask(&Request::Status)? {
            Reply::Status(status) => Ok(status),
            other => Err(unexpected(&other)),
        }
    }

    /// Closes the socket and waits until everything is given back, for a while. Tells whether the enforcer has ended.
    pub fn close(mut self, patience: Duration) -> bool {
        drop(self.socket.take());
        let until = Instant::now() + patience;
        loop {
            match self.child.try_wait() {
                Ok(None) if Instant::now() < until => std::thread::sleep(Duration::from_millis(10)),
                Ok(None) => return false,
                Ok(Some(_)) | Err(_) => return true,
            }
        }
    }

    fn ask(&mut self, request: &Request) -> Result<Reply, ClientError> {
        self.number += 1;
        let socket = self.socket.as_ref().ok_or(ClientError::Ended)?;
        match protocol::say(socket, self.number, request) {
            Err(error) if matches!(error.raw_os_error(), Some(libc::EPIPE | libc::ECONNRESET)) => {
                return Err(ClientError::Ended);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(ClientError::Late(self.deadline)),
            result => result?,
        }
        match self.receive(self.number, self.deadline)? {
            Reply::Refused { why } => Err(ClientError::Refused(why)),
            reply => Ok(reply),
        }
    }

    /// The reply with this number. Earlier ones came too late for whoever had asked.
    fn receive(&mut self, number: u64, patience: Duration) -> Result<Reply, ClientError> {
        let socket = self.socket.as_ref().ok_or(ClientError::Ended)?;
        let until = Instant::now() + patience;
        loop {
            match protocol::hear::<Reply>(socket)? {
                Heard::Message(said) if said.number == number => return Ok(said.message),
                Heard::Message(said) if said.number == 0 => return Err(unexpected(&said.message)),
                Heard::Message(_) => {}
                Heard::Nonsense(why) => return Err(ClientError::Refused(why)),
                Heard::Closed => {
                    // It has ended, so this does not wait; if it has not quite, it is reaped when this is dropped.
                    let _ = self.child.try_wait();
                    return Err(ClientError::Ended);
                }
                Heard::Nothing if Instant::now() >= until => return Err(ClientError::Late(patience)),
                Heard::Nothing => protocol::wait(&mut [protocol::readable(socket)], Some(until))?,
            }
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        drop(self.socket.take());
        // Reaped if it has ended already; else by whoever reaps this process' children.
        let _ = self.child.try_wait();
    }
}

fn unexpected(reply: &Reply) -> ClientError {
    match reply {
        Reply::Refused { why } => ClientError::Refused(why.clone()),
        other => ClientError::Refused(format!("it answered {other:?}")),
    }
}
