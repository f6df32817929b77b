//! Everything at once: half-open heads and handshakes, slow readers, wrong passwords, huge heads, and requests over
//! HTTP/2 that are taken back at once. Whoever is thrown out comes back.

use std::{
    collections::BTreeMap,
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    runtime::Runtime,
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{
    client::{Stream, Target, ask},
    site::login,
};

/// A name, and how many of them there are.
const HALF_OPEN_HEADS: (&str, u32) = ("half-open heads", 200);
const HALF_OPEN_HANDSHAKES: (&str, u32) = ("half-open handshakes", 200);
const SLOW_READERS: (&str, u32) = ("slow readers", 20);
const WRONG_PASSWORDS: (&str, u32) = ("wrong passwords", 8);
const HUGE_HEADS: (&str, u32) = ("heads of 1 MB", 4);
const TAKEN_BACK: (&str, u32) = ("h2 floods of 5000 resets", 2);

/// Before somebody who was thrown out comes back. Without it, this would measure how fast clients can connect.
const PAUSE: Duration = Duration::from_millis(100);
const HUGE: usize = 1024 * 1024;
/// A request in the static table's words (RFC 7541, appendix A), ended at once: a header block and a reset.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
const FLOOD: u32 = 5000;
/// The first bytes of a handshake that never goes on (RFC 8446 section 5.1).
const BEGIN_OF_HELLO: &[u8] = &[22, 3, 1, 2, 0, 1, 0];

type Counts = BTreeMap<&'static str, Arc<AtomicU64>>;

/// An attack under way; dropping it ends it.
pub(crate) struct Attack {
    attackers: JoinSet<()>,
    counts: Counts,
}

impl Attack {
    /// Begins.
    pub(crate) fn start(runtime: &Runtime, target: &Target) -> Self {
        let mut attack = Self { attackers: JoinSet::new(), counts: Counts::new() };
        attack.send(runtime, HALF_OPEN_HEADS, target, |target| async move {
            let mut stream = target.connect().await?;
            stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nX-Slow: ").await?;
            until_thrown_out(&mut *stream).await
        });
        attack.send(runtime, HALF_OPEN_HANDSHAKES, target, |target| async move {
            let mut stream = target.tcp().await?;
            stream.write_all(BEGIN_OF_HELLO).await?;
            until_thrown_out(&mut stream).await
        });
        attack.send(runtime, SLOW_READERS, target, |target| async move {
            let mut stream = target.connect().await?;
            // Asks on and on and reads nothing, until nothing more can be sent.
            let requests = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n".repeat(100);
            while timeout(Duration::from_secs(40), stream.write_all(requests.as_bytes())).await?.is_ok() {}
            Ok(())
        });
        attack.send(runtime, WRONG_PASSWORDS, target, |target| async move {
            let mut stream = target.connect().await?;
            for guess in 0..1000 {
                if ask(&mut *stream, "/metrics", &login(&format!("guess {guess}"))).await.is_err() {
                    break;
                }
                // Each guess is an attack of its own, and as fast as a patient guesser's.
                sleep(Duration::from_millis(5)).await;
            }
            Ok(())
        });
        attack.send(runtime, HUGE_HEADS, target, |target| async move {
            let mut stream = target.connect().await?;
            let head = format!("GET /metrics HTTP/1.1\r\nHost: x\r\nX-Huge: {}\r\n\r\n", "x".repeat(HUGE));
            stream.write_all(head.as_bytes()).await?;
            until_thrown_out(&mut *stream).await
        });
        attack.send(runtime, TAKEN_BACK, target, |target| async move {
            let mut stream = target.connect_h2().await?;
            stream.write_all(&flood()).await?;
            until_thrown_out(&mut *stream).await
        });
        attack
    }

    fn send<F: Future<Output = io::Result<()>> + Send + 'static>(
        &mut self,
        runtime: &Runtime,
        (name, number): (&'static str, u32),
        target: &Target,
        attack: impl Fn(Target) -> F + Send + Sync + Clone + 'static,
    ) {
        let count = Arc::clone(self.counts.entry(name).or_default());
        for _ in 0..number {
            let (target, attack, count) = (target.clone(), attack.clone(), Arc::clone(&count));
            let attacker = async move {
                loop {
                    count.fetch_add(1, Ordering::Relaxed);
                    // Whatever the server does to it is what it came for.
                    let _ = attack(target.clone()).await;
                    sleep(PAUSE).await;
                }
            };
            self.attackers.spawn_on(attacker, runtime.handle());
        }
    }

    /// Ends; tells how often each attack was made.
    pub(crate) fn stop(self) -> Vec<(&'static str, u64)> {
        drop(self.attackers);
        self.counts.into_iter().map(|(name, count)| (name, count.load(Ordering::Relaxed))).collect()
    }
}

async fn until_thrown_out<S: Stream + ?Sized>(stream: &mut S) -> io::Result<()> {
    let mut seen = [0; 4096];
    while stream.read(&mut seen).await? > 0 {}
    Ok(())
}

/// Requests, each taken back at once.
fn flood() -> Vec<u8> {
    let mut flood = PREFACE.to_vec();
    for number in 0..FLOOD {
        let stream = (2 * number + 1).to_be_bytes();
        let request = b"\x82\x87\x84\x41\x04test";
        flood
            .extend([&[0, 0, 9, 1, 5][..], &stream, request, &[0, 0, 4, 3, 0], &stream, &8_u32.to_be_bytes()].concat());
    }
    flood
}
