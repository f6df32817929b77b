//! The real sampler, exporter and HTTP server over a host that stands still: two users of whom every single wait is known.

use std::{
    error::Error,
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use collector::{
    config::{Config, ListenAddress},
    export::{Exporter, OwnMetrics, auth::Observer},
    pipeline::{Sampler, Settings, web},
    snapshot::{Counters, Owner, Row, Snapshot},
    source::{Kept, Probe, Source},
    units::{Bytes, Nanos, Uid},
    users::Users,
};
use collector_ebpf::latency::bucket_of;
use tokio::sync::oneshot;

/// The server; it ends when this is dropped.
pub(crate) struct Host {
    pub(crate) address: SocketAddr,
    /// By UID, in order of length.
    pub(crate) waits: Vec<(u32, Vec<Nanos>)>,
    end: Option<oneshot::Sender<()>>,
    server: Option<JoinHandle<()>>,
}

struct Still(Vec<Row>);

impl Source for Still {
    fn read(&mut self, snapshot: &mut Snapshot) {
        snapshot.rows.clone_from(&self.0);
    }

    fn maintain(&mut self, _: Duration) {}

    fn probes(&self) -> Vec<Probe> {
        Vec::new()
    }

    fn kernel_memory(&self) -> Bytes {
        Bytes(0)
    }

    fn user_slots(&self) -> u32 {
        2
    }

    fn kept(&self) -> Kept {
        Kept::default()
    }

    fn forget(&mut self, _: Uid) -> bool {
        false
    }
}

impl Host {
    /// Serves whoever asks.
    pub(crate) fn start() -> Result<Self, Box<dyn Error>> {
        Self::start_guarded(None, None)
    }

    /// Serves whom these files let in.
    pub(crate) fn start_guarded(
        web_config: Option<PathBuf>,
        auth_file: Option<PathBuf>,
    ) -> Result<Self, Box<dyn Error>> {
        let waits = vec![(20_001, spread_evenly()), (20_002, two_kinds())];
        let rows = waits.iter().map(|(uid, waits)| row(*uid, waits)).collect();
        let users = Users::with_lookup(Box::new(|uid| Some(format!("user{uid}").into())))?;
        let own = Arc::new(OwnMetrics::new()?);
        let mut config = Config::default();
        config.web.listen_addresses = vec![ListenAddress::Ip(([127, 0, 0, 1], 0).into())];
        (config.web.config_file, config.web.auth_file) = (web_config, auth_file);
        let web = web::open(web::Settings::new(&config.web)?, Arc::clone(&own) as Arc<dyn Observer>)?;
        let address = web.addresses().first().copied().ok_or("no address")?;
        let sampler = Sampler::start(Box::new(Still(rows)), users, Arc::clone(&own), Arc::new(Settings::new(config)))?;
        let exporter = Arc::new(Exporter::new(Box::new(sampler.gatherer()), Arc::clone(&own)));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (end, ended) = oneshot::channel::<()>();
        let server = thread::spawn(move || {
            runtime.block_on(async {
                web.into_server(exporter, Arc::new(|_| {}), own.expiry())
                    .run(async {
                        let _ = ended.await;
                    })
                    .await;
            });
            sampler.stop();
        });
        Ok(Self { address, waits, end: Some(end), server: Some(server) })
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(server) = self.server.take() {
            let _ = server.join();
        }
    }
}

/// 5,000 waits from 2 µs to 10 s, each a little longer than the one before by the same ratio.
fn spread_evenly() -> Vec<Nanos> {
    let steps = 5_000;
    let ratio = (10_f64 / 2e-6).powf(1.0 / f64::from(steps));
    (0..steps).map(|step| Nanos::from(Duration::from_secs_f64(2e-6 * ratio.powi(step)))).collect()
}

/// Most waits around 30 µs, some around 100 ms, in steps that no bucket's bounds share.
fn two_kinds() -> Vec<Nanos> {
    let short = (0..9_700).map(|step| Nanos(25_000 + 1_003 * (step % 11)));
    let long = (0..300).map(|step| Nanos(90_000_000 + 70_001 * step));
    let mut waits: Vec<Nanos> = short.chain(long).collect();
    waits.sort_unstable();
    waits
}

fn row(uid: u32, waits: &[Nanos]) -> Row {
    let mut counters = Counters { cpu: Nanos(1_000_000_000), ..Counters::default() };
    for wait in waits {
        counters.wait += *wait;
        counters.latency.buckets[bucket_of(wait.0)] += 1;
    }
    Row { owner: Owner::User(Uid(uid)), counters }
}
