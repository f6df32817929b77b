//! The server's process, seen from inside: the collector's web server with made-up users, and a thread that ticks as
//! the sampler does.

use std::{
    fs,
    path::PathBuf,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use clap::Args;
use collector::{
    export::{
        Exporter, Gather, OwnMetrics,
        http::{Address, TelemetryPath, Unheard},
        tls::Expiry,
    },
    pipeline::web::{Settings, open},
    snapshot::{Counters, Owner, Row, Snapshot},
    units::Uid,
    view::View,
};
use tokio::signal::unix::{SignalKind, signal};

/// The file in which the server says where it is.
pub(crate) const ADDRESS: &str = "address";
const USERS: u32 = 200;
const TICK: Duration = Duration::from_millis(100);

/// What can be said on the command line.
#[derive(Args, Debug)]
pub(crate) struct Flags {
    /// The folder with the server's files
    folder: PathBuf,

    #[arg(long)]
    threads: u8,
}

/// Each reading is a new one, so that each scrape costs a page.
struct Crowd(AtomicU64);

impl Gather for Crowd {
    fn fresh(&self) -> Pin<Box<dyn Future<Output = Option<Arc<View>>> + Send + '_>> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Box::pin(async { Some(self.published()) })
    }

    fn published(&self) -> Arc<View> {
        let row = |uid| Row { owner: Owner::User(Uid(uid)), counters: Counters::default() };
        let snapshot = Snapshot { rows: (0..USERS).map(row).collect(), ..Snapshot::default() };
        Arc::new(View { generation: self.0.load(Ordering::Relaxed), snapshot: Arc::new(snapshot), ..View::default() })
    }
}

/// Serves until SIGTERM.
pub(crate) fn run(flags: &Flags) -> Result<bool> {
    let auth_file = flags.folder.join("auth.toml");
    let settings = Settings {
        listen: vec![Address::Tcp(([127, 0, 0, 1], 0).into())],
        inherit: false,
        telemetry_path: TelemetryPath::default(),
        max_requests: 40,
        open_health: false,
        web_config: Some(flags.folder.join("web.yml")),
        auth_file: Some(auth_file).filter(|file| file.exists()),
    };
    let opened = open(settings, Arc::new(Unheard))?;
    let address = opened.addresses().first().copied().context("no address")?;
    let own = Arc::new(OwnMetrics::new()?);
    let ticking = Arc::clone(&own);
    thread::Builder::new().name("sampler".into()).spawn(move || tick(&ticking))?;
    let serving = opened.into_server(
        Arc::new(Exporter::new(Box::new(Crowd(AtomicU64::new(1))), own)),
        Arc::new(|_| {}),
        Expiry::default(),
    );
    let mut builder = match flags.threads {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = builder.worker_threads(flags.threads.into()).enable_all().build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        // Under another name first, so that nobody reads half an address.
        fs::write(flags.folder.join("address.new"), address.to_string())?;
        fs::rename(flags.folder.join("address.new"), flags.folder.join(ADDRESS))?;
        serving
            .run(async {
                terminate.recv().await;
            })
            .await;
        Ok(true)
    })
}

/// A tick that begins later than half an interval is late, as it is for the sampler.
fn tick(own: &OwnMetrics) {
    let mut due = Instant::now() + TICK;
    loop {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let began = Instant::now();
        own.tick(began.elapsed(), due.elapsed() > TICK / 2);
        due += TICK;
    }
}
