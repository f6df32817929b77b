//! What all connections share: settings that can be swapped, the crowd, what may be under way at once.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwap;
use bytes::Bytes;
use hyper::header::{HeaderName, HeaderValue};
use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
};

use super::{
    answer,
    bucket::Bucket,
    crowd::{Crowd, Places},
    gate::Gate,
    listen::Listener,
    refusals::Refusals,
    routes::TelemetryPath,
    track::Patience,
    turns::Turns,
};
use crate::export::{Exporter, auth::Observer, tls::Tls};

/// How much of us clients may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How long they may dawdle.
    pub patience: Patience,
    /// How many there may be.
    pub places: Places,
    /// For what is under way at shutdown.
    pub grace: Duration,
}

impl Limits {
    /// For a daemon that may have `descriptors` files open: half of them at most are connections.
    pub fn within(descriptors: usize) -> Self {
        Self {
            places: Places { connections: LIMITS.places.connections.min(descriptors / 2).max(8), ..LIMITS.places },
            ..LIMITS
        }
    }
}

/// Prometheus needs one connection a server and seconds at most; everything beyond is for others.
pub const LIMITS: Limits = Limits {
    patience: Patience {
        handshake: Duration::from_secs(10),
        head: Duration::from_secs(10),
        // More than two of the longest usual scrape intervals.
        idle: Duration::from_secs(150),
        stall: Duration::from_secs(30),
        delivery: Duration::from_mins(2),
    },
    places: Places { connections: 1024, kept: 64 * 1024 * 1024 },
    grace: Duration::from_millis(500),
};

/// What never changes while the server runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the metrics are.
    pub telemetry_path: TelemetryPath,
    /// Scrapes under way at once; more get 503. 0 means any number.
    pub max_requests: usize,
    /// Whether `/-/healthy` and `/-/ready` are free of authentication.
    pub open_health: bool,
    /// How much of us clients may take.
    pub limits: Limits,
}

impl Default for Options {
    fn default() -> Self {
        Self { telemetry_path: TelemetryPath::default(), max_requests: 40, open_health: false, limits: LIMITS }
    }
}

/// What a reload replaces, as a whole.
pub struct Live {
    /// `None` serves plain HTTP.
    pub tls: Option<Tls>,
    /// Who may come in.
    pub gate: Arc<dyn Gate>,
    /// Bounds requests that were let in.
    pub rate: Option<Arc<Bucket>>,
    /// Added to every answer.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

/// Told to all connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Epoch {
    /// The server ends.
    pub(super) stopping: bool,
    /// How often [`Live`] has been replaced.
    pub(super) reloads: u64,
}

/// An HTTP server.
pub struct Server {
    pub(super) exporter: Arc<Exporter>,
    pub(super) options: Options,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) refusals: Refusals,
    pub(super) landing: Bytes,
    pub(super) requests: Semaphore,
    /// Turns at the part of TLS handshakes that costs.
    pub(super) handshakes: Arc<Turns>,
    pub(super) crowd: Arc<Crowd>,
    live: ArcSwap<Live>,
    epoch: watch::Sender<Epoch>,
}

impl Server {
    /// Serves `exporter` to whom `live` lets in. `observer` hears of refused client certificates.
    pub fn new(exporter: Arc<Exporter>, options: Options, live: Live, observer: Arc<dyn Observer>) -> Arc<Self> {
        let permits = if options.max_requests == 0 { Semaphore::MAX_PERMITS } else { options.max_requests };
        Arc::new(Self {
            landing: answer::landing(options.telemetry_path.as_str()),
            requests: Semaphore::new(permits.min(Semaphore::MAX_PERMITS)),
            handshakes: Arc::default(),
            crowd: Crowd::new(options.limits.places),
            live: ArcSwap::from_pointee(live),
            epoch: watch::Sender::default(),
            refusals: Refusals::default(),
            exporter,
            options,
            observer,
        })
    }

    /// What holds now.
    pub fn live(&self) -> Arc<Live> {
        self.live.load_full()
    }

    /// From now on, `live` holds. Connections that it would not have let in end after the request under way.
    pub fn replace(&self, live: Live) {
        self.live.store(Arc::new(live));
        self.epoch.send_modify(|epoch| epoch.reloads += 1);
    }

    /// How many are connected.
    pub fn connections(&self) -> usize {
        self.crowd.len()
    }

    /// Serves until `shutdown`; then accepts nothing new, gives requests under way a moment, and returns.
    pub async fn serve(self: &Arc<Self>, listeners: Vec<Listener>, shutdown: impl Future<Output = ()>) {
        let mut loops = JoinSet::new();
        for listener in listeners {
            loops.spawn(listener.accept_all(Arc::clone(self), self.epoch.subscribe()));
        }
        shutdown.await;
        self.epoch.send_modify(|epoch| epoch.stopping = true);
        while loops.join_next().await.is_some() {}
    }
}

/// Whether what was agreed on with a client still holds.
pub(super) fn still_holds(live: &Live, tls: Option<&Tls>, over_tcp: bool) -> bool {
    match (&live.tls, tls) {
        (Some(now), Some(then)) => Arc::ptr_eq(&now.config, &then.config),
        (None, None) => true,
        (Some(_), None) => !over_tcp,
        (None, Some(_)) => false,
    }
}

/// A moment of the calendar as one of the monotonic clock, so far as it is known today.
pub(super) fn instant_of(moment: SystemTime) -> Option<tokio::time::Instant> {
    let left = moment.duration_since(SystemTime::now()).unwrap_or_default();
    tokio::time::Instant::now().checked_add(left)
}
