//! The server on port 0, a sampler that can be held back, and a client that does no more than TCP, so that it can also
//! misbehave.

use std::{
    error::Error,
    io,
    net::{SocketAddr, TcpListener},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    net::TcpStream,
    sync::{Semaphore, oneshot},
    task::JoinHandle,
    time::timeout,
};

use crate::{
    export::{
        http::{self, Limits, Listener, Live, Options, Unguarded, Unheard},
        own::OwnMetrics,
        page::{Exporter, Gather},
    },
    view::View,
};

/// Nothing here takes this long unless it hangs.
pub(super) const HANGS: Duration = Duration::from_secs(20);

/// A sampler that answers with `view` when it gets a permit, and has ended when there is no view.
pub(super) struct Sampler {
    view: Option<Arc<View>>,
    pub(super) asked: AtomicUsize,
    pub(super) permits: Semaphore,
}

/// As many readings as anyone could want.
const FREELY: usize = 1 << 20;

impl Sampler {
    pub(super) fn of(view: View) -> Arc<Self> {
        Self::hesitant(view, FREELY)
    }

    pub(super) fn hesitant(view: View, permits: usize) -> Arc<Self> {
        Arc::new(Self { view: Some(Arc::new(view)), asked: AtomicUsize::new(0), permits: Semaphore::new(permits) })
    }

    /// Returns once that many have asked.
    pub(super) async fn is_asked(&self, times: usize) {
        while self.asked.load(Ordering::Relaxed) < times {
            tokio::task::yield_now().await;
        }
    }

    pub(super) fn ended() -> Arc<Self> {
        Arc::new(Self { view: None, asked: AtomicUsize::new(0), permits: Semaphore::new(FREELY) })
    }
}

impl Gather for Arc<Sampler> {
    fn fresh(&self) -> Pin<Box<dyn Future<Output = Option<Arc<View>>> + Send + '_>> {
        Box::pin(async {
            self.asked.fetch_add(1, Ordering::Relaxed);
            self.permits.acquire().await.ok()?.forget();
            self.view.clone()
        })
    }

    fn published(&self) -> Arc<View> {
        self.view.clone().unwrap_or_default()
    }
}

/// A server under test.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    pub(super) stop: oneshot::Sender<()>,
    pub(super) task: JoinHandle<()>,
}

impl Server {
    pub(super) fn start(limits: Limits, sampler: Arc<Sampler>) -> Result<Self, Box<dyn Error>> {
        Self::with(Options { limits, ..Options::default() }, sampler)
    }

    pub(super) fn with(options: Options, sampler: Arc<Sampler>) -> Result<Self, Box<dyn Error>> {
        let listener = Listener::tcp(TcpListener::bind("127.0.0.1:0")?)?;
        let address = listener.local_addr().ok_or("no address")?;
        let exporter = Arc::new(Exporter::new(Box::new(sampler), Arc::new(OwnMetrics::new()?)));
        let live = Live { tls: None, gate: Arc::new(Unguarded), rate: None, headers: Vec::new() };
        let server = http::Server::new(exporter, options, live, Arc::new(Unheard));
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            let shutdown = async {
                let _ = stopped.await;
            };
            server.serve(vec![listener], shutdown).await;
        });
        Ok(Self { address, stop, task })
    }

    pub(super) async fn client(&self) -> io::Result<Client> {
        Ok(Client(TcpStream::connect(self.address).await?))
    }

    pub(super) async fn get(&self, path: &str) -> Result<Response, Box<dyn Error>> {
        self.ask("GET", path).await
    }

    pub(super) async fn ask(&self, method: &str, path: &str) -> Result<Response, Box<dyn Error>> {
        let client = self.client().await?;
        client.send(&format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")).await?;
        Response::parse(&client.rest().await?)
    }

    pub(super) async fn stop(self) -> Result<(), Box<dyn Error>> {
        let _ = self.stop.send(());
        Ok(timeout(HANGS, self.task).await??)
    }
}

pub(super) struct Client(pub(super) TcpStream);

impl Client {
    pub(super) async fn send(&self, text: &str) -> io::Result<()> {
        let mut left = text.as_bytes();
        while !left.is_empty() {
            self.0.writable().await?;
            match self.0.try_write(left) {
                Ok(sent) => left = &left[sent..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads until `enough` or the end.
    pub(super) async fn read(&self, enough: impl Fn(&[u8]) -> bool) -> io::Result<Vec<u8>> {
        let mut seen = Vec::new();
        let mut chunk = vec![0; 16 * 1024];
        let reading = async {
            while !enough(&seen) {
                self.0.readable().await?;
                match self.0.try_read(&mut chunk) {
                    Ok(0) => break,
                    Ok(length) => seen.extend_from_slice(&chunk[..length]),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        };
        timeout(HANGS, reading).await??;
        Ok(seen)
    }

    pub(super) async fn rest(&self) -> io::Result<Vec<u8>> {
        self.read(|_| false).await
    }

    /// What arrived before the server closed, be it by a reset.
    pub(super) async fn gone(&self) -> Vec<u8> {
        let mut seen = Vec::new();
        let mut chunk = vec![0; 16 * 1024];
        while timeout(HANGS, self.0.readable()).await.is_ok_and(|ready| ready.is_ok()) {
            match self.0.try_read(&mut chunk) {
                Ok(length @ 1..) => seen.extend_from_slice(&chunk[..length]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(0) | Err(_) => break,
            }
        }
        seen
    }

    /// Asks for `/-/healthy` on a connection that stays open.
    pub(super) async fn healthy(&self) -> Result<Response, Box<dyn Error>> {
        self.send("GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n").await?;
        Response::parse(&self.read(|seen| seen.ends_with(b"\r\n\r\nhealthy\n")).await?)
    }
}

#[derive(Debug)]
pub(super) struct Response {
    pub(super) status: u16,
    head: String,
    pub(super) body: Vec<u8>,
}

impl Response {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Box<dyn Error>> {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").ok_or("no end of the head")?;
        let head = String::from_utf8(bytes[..end].to_vec())?;
        let status = head.split(' ').nth(1).ok_or("no status")?.parse()?;
        Ok(Self { status, head, body: bytes[end + 4..].to_vec() })
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.head.lines().filter_map(|line| line.split_once(": "));
        headers.find(|header| header.0.eq_ignore_ascii_case(name)).map(|header| header.1)
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}
