//! A small HTTP server on loopback that says what it is told to, for lists of targets and the lists of a Kubernetes API server.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::Result;

/// What is said to a request.
pub(super) enum Answer {
    Json(String),
    /// Nothing changes: the answer goes on without anything in it, as long as the server lives.
    Wait,
    /// The request asks for something that this server does not know.
    Refused(String),
    Missing,
}

type Handler = dyn Fn(&str) -> Answer + Send + Sync;

/// Longest request that is read, in bytes.
const MOST: u64 = 64 << 10;
/// How long one answer goes on at most.
const LONGEST: Duration = Duration::from_mins(2);

/// The server, until it is dropped.
pub(super) struct Stub {
    /// As `http://127.0.0.1:PORT`.
    pub(super) url: String,
    address: std::net::SocketAddr,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Stub {
    /// Answers each request by its target, path and query together.
    ///
    /// # Errors
    /// There is no free port.
    pub(super) fn start(handler: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let ended = Arc::new(AtomicBool::new(false));
        let (handler, end): (Arc<Handler>, _) = (Arc::new(handler), Arc::clone(&ended));
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if end.load(Ordering::Relaxed) {
                    break;
                }
                let (handler, end) = (Arc::clone(&handler), Arc::clone(&end));
                if let Ok(stream) = stream {
                    // Whoever hangs up early asks again.
                    thread::spawn(move || drop(serve(stream, &*handler, &end)));
                }
            }
        });
        Ok(Self { url: format!("http://{address}"), address, ended, thread: Some(thread) })
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        // Wakes the thread that waits for somebody to come.
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn serve(mut stream: TcpStream, handler: &Handler, ended: &AtomicBool) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut head = BufReader::new((&stream).take(MOST));
    let mut request = String::new();
    head.read_line(&mut request)?;
    let mut line = String::new();
    while head.read_line(&mut line)? > 2 {
        line.clear();
    }
    let target = request.split(' ').nth(1).unwrap_or_default();
    let kind = "Content-Type: application/json\r\nConnection: close";
    match handler(target) {
        Answer::Json(text) => {
            write!(stream, "HTTP/1.1 200 OK\r\n{kind}\r\nContent-Length: {}\r\n\r\n{text}", text.len())
        }
        Answer::Refused(text) => {
            write!(
                stream,
                "HTTP/1.1 422 Unprocessable Entity\r\n{kind}\r\nContent-Length: {}\r\n\r\n{text}",
                text.len()
            )
        }
        Answer::Missing => write!(stream, "HTTP/1.1 404 Not Found\r\n{kind}\r\nContent-Length: 2\r\n\r\n{{}}"),
        Answer::Wait => {
            write!(stream, "HTTP/1.1 200 OK\r\n{kind}\r\nTransfer-Encoding: chunked\r\n\r\n")?;
            let begun = Instant::now();
            while !ended.load(Ordering::Relaxed) && begun.elapsed() < LONGEST {
                thread::sleep(Duration::from_millis(100));
            }
            write!(stream, "0\r\n\r\n")
        }
    }
}
