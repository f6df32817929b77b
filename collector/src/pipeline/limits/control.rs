//! The socket on which `uidmeter limits` asks the daemon. Who asks is told by the kernel (`SO_PEERCRED`, `unix(7)`), so that
//! there is no password.

use std::{
    fs, io,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::{
        fd::AsFd as _,
        unix::{
            fs::{DirBuilderExt as _, PermissionsExt as _},
            net::{UnixListener, UnixStream},
        },
    },
    path::Path,
    sync::{
        Arc,
        mpsc::{Sender, channel},
    },
    thread,
    time::Duration,
};

use nix::{
    sys::socket::{getsockopt, sockopt::PeerCredentials},
    unistd::geteuid,
};

use super::Message;
use crate::{
    limits::{
        ask::{Answer, MOST_QUESTION, Question},
        standing::{Standing, UserStanding},
    },
    units::Uid,
};

/// Longest time for an answer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Longest time for a question: others wait meanwhile.
const QUESTION: Duration = Duration::from_millis(500);

/// Binds the socket, in a folder that is made if need be, and lets everybody of this host connect to it.
///
/// # Errors
/// Another daemon listens there, or the file system refuses.
pub(super) fn bind(path: &Path) -> io::Result<UnixListener> {
    if let Some(folder) = path.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o755).create(folder)?;
    }
    if UnixStream::connect(path).is_ok() {
        return Err(io::Error::new(io::ErrorKind::AddrInUse, "another daemon listens there"));
    }
    match fs::symlink_metadata(path) {
        // What a daemon left that has ended.
        Ok(found) if std::os::unix::fs::FileTypeExt::is_socket(&found.file_type()) => fs::remove_file(path)?,
        Ok(_) => return Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is a file that is no socket")),
        Err(_) => {}
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o666))?;
    Ok(listener)
}

/// Answers in a thread of its own, one client after the other, until the process ends.
///
/// # Errors
/// The thread cannot be started.
pub(super) fn serve(listener: UnixListener, limiter: Sender<Message>) -> io::Result<()> {
    thread::Builder::new().name("control".into()).spawn(move || {
        for stream in listener.incoming() {
            let answered = stream.and_then(|stream| attend(&stream, &limiter));
            if let Err(error) = answered {
                tracing::debug!(%error, "a client of the control socket was not answered");
                // An error that comes again at once must not keep a CPU busy.
                thread::sleep(Duration::from_millis(10));
            }
        }
    })?;
    Ok(())
}

fn attend(stream: &UnixStream, limiter: &Sender<Message>) -> io::Result<()> {
    stream.set_read_timeout(Some(QUESTION))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let peer = Uid(getsockopt(&stream.as_fd(), PeerCredentials)?.uid());
    let mut line = String::new();
    BufReader::new(stream.take(MOST_QUESTION as u64)).read_line(&mut line)?;
    let answer = match serde_json::from_str(&line) {
        Ok(question) => answer(question, peer, limiter),
        Err(error) => Answer::Refused(format!("the question is not understood: {error}")),
    };
    let mut text = serde_json::to_string(&answer)?;
    text.push('\n');
    (&*stream).write_all(text.as_bytes())
}

fn answer(question: Question, peer: Uid, limiter: &Sender<Message>) -> Answer {
    let may_change = peer == Uid(0) || peer.0 == geteuid().as_raw();
    if question != Question::List && !may_change {
        return Answer::Refused(format!("user {peer} may not change limits; root may"));
    }
    let (reply, standing) = channel();
    let sent = limiter.send(Message::Asked(question, reply));
    match sent.ok().and_then(|()| standing.recv_timeout(TIMEOUT).ok()) {
        Some(Ok(standing)) if question == Question::List => {
            Answer::Standing(Box::new(if may_change { Standing::clone(&standing) } else { only(&standing, peer) }))
        }
        Some(Ok(_)) => Answer::Done,
        Some(Err(why)) => Answer::Refused(why),
        None => Answer::Refused("the daemon does not answer; it may be about to end".into()),
    }
}

/// What concerns `uid`.
fn only(standing: &Arc<Standing>, uid: Uid) -> Standing {
    let users: Vec<UserStanding> = standing.users.iter().filter(|user| user.uid == uid).cloned().collect();
    Standing { users, ..Standing::clone(standing) }
}
