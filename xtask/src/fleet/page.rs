//! A small web server inside a check: a thread that answers every request from one function. It stands for what cannot be had here,
//! such as whoever receives a webhook.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::Result;

/// Largest request that is read, in bytes.
const MOST: usize = 1 << 20;

/// Serves until it is dropped.
pub(super) struct Page {
    /// Where, as `http://127.0.0.1:PORT`.
    pub(super) url: String,
    address: std::net::SocketAddr,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Page {
    /// `answer` gets path and body of each request; what it returns is sent as plain text with status 200.
    ///
    /// # Errors
    /// There is no port.
    pub(super) fn start(answer: impl Fn(&str, &str) -> String + Send + 'static) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let ended = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&ended);
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if until.load(Ordering::Relaxed) {
                    break;
                }
                // A client that hangs up in between is no trouble of ours.
                let _ = stream.map_err(anyhow::Error::from).and_then(|stream| converse(stream, &answer));
            }
        });
        Ok(Self { url: format!("http://{address}"), address, ended, thread: Some(thread) })
    }

    /// `127.0.0.1:PORT`.
    pub(super) fn address(&self) -> String {
        self.address.to_string()
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        // Wakes the thread up.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// One request a connection.
fn converse(mut stream: TcpStream, answer: &impl Fn(&str, &str) -> String) -> Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut received = Vec::new();
    let mut buffer = [0_u8; 8192];
    let (head, body) = loop {
        let count = stream.read(&mut buffer)?;
        received.extend_from_slice(buffer.get(..count).unwrap_or_default());
        if let Some(end) = received.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(received.get(..end).unwrap_or_default()).into_owned();
            let rest = received.get(end + 4..).unwrap_or_default();
            if rest.len() >= length(&head) || count == 0 {
                break (head, String::from_utf8_lossy(rest).into_owned());
            }
        }
        if count == 0 || received.len() > MOST {
            return Ok(());
        }
    };
    let path = head.split_whitespace().nth(1).unwrap_or("/");
    let text = answer(path, &body);
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}",
        text.len()
    )?;
    Ok(())
}

fn length(head: &str) -> usize {
    head.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse().ok())
        .unwrap_or(0)
}
