//! A running `uidmeter run`, as its users start it. Used by the kernel tests and by those with real peers.

use std::{
    error::Error,
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// The executable under test.
pub(crate) fn binary() -> PathBuf {
    std::env::var_os("UIDMETER_BIN").map_or_else(|| env!("CARGO_BIN_EXE_uidmeter").into(), PathBuf::from)
}

/// A running daemon.
pub(crate) struct Daemon {
    pub(crate) child: Child,
    pub(crate) address: SocketAddr,
}

impl Daemon {
    pub(crate) fn start(arguments: &[&str]) -> io::Result<Self> {
        // A free port: taken for a moment, then given to the daemon.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let child = Command::new(binary())
            .args(["run", "--web.listen-address", &address.to_string()])
            .args(arguments)
            .stderr(Stdio::null())
            .spawn()?;
        let daemon = Self { child, address };
        let deadline = Instant::now() + Duration::from_mins(1);
        while daemon.get("/-/healthy").is_err() {
            if Instant::now() > deadline {
                return Err(io::Error::other("the daemon does not answer"));
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(daemon)
    }

    /// Status and body.
    pub(crate) fn get(&self, path: &str) -> io::Result<(u16, String)> {
        get(self.address, path)
    }

    /// Sends `signal`; gives the time until the end.
    pub(crate) fn end(mut self, signal: Signal) -> Result<Duration, Box<dyn Error>> {
        let started = Instant::now();
        kill(Pid::from_raw(i32::try_from(self.child.id())?), signal)?;
        match end_of(&mut self.child, Duration::from_secs(10))? {
            Some(status) if status.success() => Ok(started.elapsed()),
            Some(status) => Err(format!("ended with {status}").into()),
            None => Err(format!("has not ended 10 s after {signal}").into()),
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Both fail if it has ended, which is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How `child` ended, if it did so in time.
pub(crate) fn end_of(child: &mut Child, limit: Duration) -> io::Result<Option<ExitStatus>> {
    let deadline = Instant::now() + limit;
    loop {
        let ended = child.try_wait()?;
        if ended.is_some() || Instant::now() > deadline {
            return Ok(ended);
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// A request to any server: status and body.
pub(crate) fn get(address: SocketAddr, path: &str) -> io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    // HTTP/1.0, so that no server answers in chunks.
    write!(stream, "GET {path} HTTP/1.0\r\nHost: test\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(io::ErrorKind::InvalidData)?;
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or(io::ErrorKind::InvalidData)?;
    Ok((status, body.into()))
}
