//! What a Prometheus scrapes in the check of expressions: simulated hosts, and one whose page never changes and has every family.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};

/// `loadtests simulate`; ended when it is dropped.
pub(super) struct Simulated {
    child: Child,
    pub(super) address: SocketAddr,
}

impl Simulated {
    /// A host with so many users.
    ///
    /// # Errors
    /// It does not begin.
    pub(super) fn start(program: &Path, users: u32, seed: u64) -> Result<Self> {
        let mut command = Command::new(program);
        command.args(["simulate", "--users", &users.to_string(), "--seed", &seed.to_string()]);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("cannot simulate a host")?;
        let mut line = String::new();
        let read = child.stdout.as_mut().map(|output| BufReader::new(output).read_line(&mut line));
        match line.trim().parse() {
            Ok(address) => Ok(Self { child, address }),
            Err(error) => {
                // It may have ended by itself.
                let _ = child.kill();
                let _ = child.wait();
                Err(error).with_context(|| format!("a simulated host says {line:?}, reading it {read:?}"))
            }
        }
    }
}

impl Drop for Simulated {
    fn drop(&mut self) {
        // Its standard input ends with it, too.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Answers every request with `page`, until the program ends.
///
/// # Errors
/// No port is free.
pub(super) fn page(page: String) -> Result<SocketAddr> {
    serve(move |_| (200, page.clone()))
}

/// Answers each request, of which it gets the head, with a status and a body, until the program ends.
///
/// # Errors
/// No port is free.
pub(super) fn serve(answer: impl Fn(&str) -> (u16, String) + Send + 'static) -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // Whoever hangs up gets nothing, and the next one is served.
            let _ = converse(stream, &answer);
        }
    });
    Ok(address)
}

fn converse(mut stream: TcpStream, answer: impl Fn(&str) -> (u16, String)) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut request = Vec::new();
    let mut part = [0; 1024];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") && request.len() < 64 << 10 {
        let read = stream.read(&mut part)?;
        if read == 0 {
            return Ok(());
        }
        request.extend_from_slice(part.get(..read).unwrap_or_default());
    }
    let (status, body) = answer(&String::from_utf8_lossy(&request));
    let head = format!("HTTP/1.1 {status} -\r\nContent-Type: text/plain; version=0.0.4\r\nConnection: close\r\n");
    write!(stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len())
}
