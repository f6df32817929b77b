//! A receiver that answers as it is told, and remembers what it was sent.

use std::{
    collections::VecDeque,
    error::Error,
    io::{self, BufRead as _, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use prost::Message as _;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::remote_write::{Request, WriteRequest};

/// Longer than any receiver may take.
const HANGS: Duration = Duration::from_mins(1);

/// What is answered to one request.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// Status line and further headers, each with its end of line.
    Status(&'static str),
    /// 204, with what version 2.0 wants to know.
    Fine,
    /// 204 for who sends this header, and 401 for everybody else.
    Authorized(&'static str),
    /// No HTTP.
    Garbage,
    /// Nothing: the connection ends.
    HangUp,
    /// Nothing for longer than anybody waits.
    Slow,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) at: Instant,
    /// The first line, then all headers in lower case.
    pub(crate) head: Vec<String>,
    /// As compressed.
    pub(crate) body: Vec<u8>,
    pub(crate) taken: bool,
}

/// One sample as text: `name{a="b"}`, sorted labels, and when and what.
pub(crate) type Told = (String, i64, f64);

impl Received {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    /// What is in it.
    pub(crate) fn samples(&self) -> Result<Vec<Told>, Box<dyn Error>> {
        let plain = snap::raw::Decoder::new().decompress_vec(&self.body)?;
        if self.header("content-type") == Some("application/x-protobuf") {
            let request = WriteRequest::decode(plain.as_slice())?;
            let told = request.timeseries.into_iter().flat_map(|series| {
                let labels = series.labels.into_iter().map(|label| (label.name, label.value)).collect::<Vec<_>>();
                series.samples.into_iter().map(move |sample| (spelled(&labels), sample.timestamp, sample.value))
            });
            return Ok(told.collect());
        }
        let request = Request::decode(plain.as_slice())?;
        let mut told = Vec::new();
        for series in &request.timeseries {
            let name = spelled(&request.labels(series).ok_or("a reference leads nowhere")?);
            told.extend(series.samples.iter().map(|sample| (name.clone(), sample.timestamp, sample.value)));
        }
        Ok(told)
    }
}

fn spelled(labels: &[(String, String)]) -> String {
    labels.iter().flat_map(|(name, value)| [name, "=", value, ";"]).collect()
}

#[derive(Default)]
struct State {
    script: VecDeque<Reply>,
    /// What is answered when the script is at its end.
    then: Option<Reply>,
    received: Vec<Received>,
}

/// The receiver; it ends when this is dropped.
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// An address at which nobody listens.
pub(crate) fn nowhere() -> io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}

impl Receiver {
    /// Answers with `script`, one after the other, and then everything is fine.
    pub(crate) fn start(address: SocketAddr, script: &[Reply], tls: Option<Arc<ServerConfig>>) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let state = Arc::new(Mutex::new(State { script: script.iter().cloned().collect(), ..State::default() }));
        let over = Arc::new(AtomicBool::new(false));
        let (its_state, its_over) = (Arc::clone(&state), Arc::clone(&over));
        let thread = thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if its_over.load(Ordering::SeqCst) {
                    return;
                }
                // Whoever breaks off is no concern of the receiver.
                let _ = serve(stream, tls.as_ref(), &its_state);
            }
        });
        Ok(Self { address, state, over, thread: Some(thread) })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on, this is answered.
    pub(crate) fn answer(&self, reply: Reply) {
        self.lock().then = Some(reply);
    }

    /// Everything that came so far.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.lock().received.clone()
    }

    /// Waits until what came satisfies `condition`.
    pub(crate) fn await_that(&self, condition: impl Fn(&[Received]) -> bool) -> Result<Vec<Received>, Box<dyn Error>> {
        let deadline = Instant::now() + HANGS;
        loop {
            let received = self.received();
            if condition(&received) {
                return Ok(received);
            }
            if Instant::now() > deadline {
                return Err(format!("waited in vain after {} requests", received.len()).into());
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until `count` requests have been taken.
    pub(crate) fn await_taken(&self, count: usize) -> Result<Vec<Received>, Box<dyn Error>> {
        self.await_that(|received| received.iter().filter(|one| one.taken).count() >= count)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        // Wakes the thread.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(stream: TcpStream, tls: Option<&Arc<ServerConfig>>, state: &Mutex<State>) -> Result<(), Box<dyn Error>> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    match tls {
        Some(config) => converse(StreamOwned::new(ServerConnection::new(Arc::clone(config))?, stream), state),
        None => converse(stream, state),
    }
}

/// One request a connection.
fn converse(stream: impl Read + Write, state: &Mutex<State>) -> Result<(), Box<dyn Error>> {
    let mut reader = BufReader::new(stream);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(": ").unwrap_or((line, ""));
        let is_first = head.is_empty();
        head.push(if is_first { line.to_owned() } else { format!("{}: {value}", name.to_lowercase()) });
    }
    let mut received = Received { at: Instant::now(), head, body: Vec::new(), taken: false };
    let length = received.header("content-length").ok_or("no length")?.parse()?;
    received.body = vec![0; length];
    reader.read_exact(&mut received.body)?;
    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
    let then = state.then.clone().unwrap_or(Reply::Fine);
    let reply = state.script.pop_front().unwrap_or(then);
    let fine = match &reply {
        Reply::Fine => true,
        Reply::Authorized(wanted) => received.header("authorization") == Some(wanted),
        _ => false,
    };
    received.taken = fine;
    state.received.push(received);
    drop(state);
    let stream = reader.get_mut();
    let written = "X-Prometheus-Remote-Write-Samples-Written: 1\r\n";
    let answer = match reply {
        Reply::HangUp => return Ok(()),
        Reply::Slow => {
            thread::sleep(Duration::from_secs(2));
            return Ok(());
        }
        Reply::Garbage => "SSH-2.0-garbage\r\n\u{0}\u{1}\r\n\r\n".to_owned(),
        Reply::Status(status) => format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 7\r\n\r\nno way\n"),
        Reply::Authorized(_) if !fine => {
            "HTTP/1.1 401 Unauthorized\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".to_owned()
        }
        Reply::Fine | Reply::Authorized(_) => format!("HTTP/1.1 204 No Content\r\nConnection: close\r\n{written}\r\n"),
    };
    stream.write_all(answer.as_bytes())?;
    stream.flush()?;
    Ok(())
}
