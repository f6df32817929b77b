//! A host whose users come and go as the test wants, and its push.

use std::{
    error::Error,
    net::SocketAddr,
    path::PathBuf,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use collector::{
    config::{Config, Label, Push},
    export::{Gather, OwnMetrics},
    push::Pusher,
    snapshot::{Counters, Owner, Row, Snapshot},
    units::{Nanos, Uid},
    view::View,
};

/// Time between readings.
pub(crate) const INTERVAL: Duration = Duration::from_millis(300);

/// Who is there.
#[derive(Clone, Default)]
pub(crate) struct Host(Arc<Mutex<Vec<u32>>>);

impl Host {
    /// From now on, there are these users.
    pub(crate) fn has(&self, uids: &[u32]) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = uids.to_vec();
    }
}

impl Gather for Host {
    fn fresh(&self) -> Pin<Box<dyn Future<Output = Option<Arc<View>>> + Send + '_>> {
        Box::pin(async { Some(self.published()) })
    }

    fn published(&self) -> Arc<View> {
        let uids = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let counters = Counters { cpu: Nanos(1_500_000_000), ..Counters::default() };
        let rows = uids.iter().map(|uid| Row { owner: Owner::User(Uid(*uid)), counters: counters.clone() });
        let snapshot = Snapshot { rows: rows.collect(), ..Snapshot::default() };
        Arc::new(View { generation: 1, snapshot: Arc::new(snapshot), ..View::default() })
    }
}

/// A host with a folder for its queue.
pub(crate) struct Rig {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) host: Host,
    pub(crate) own: Arc<OwnMetrics>,
    pub(crate) push: Push,
}

impl Rig {
    pub(crate) fn new(receiver: SocketAddr) -> Result<Self, Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        let host = Host::default();
        host.has(&[7]);
        let push = Push {
            url: Some(format!("http://{receiver}/api/v1/write")),
            interval: INTERVAL,
            timeout: Duration::from_millis(800),
            instance: Some("host1".into()),
            labels: vec![Label { name: "site".into(), value: "north".into() }],
            queue_folder: folder.path().into(),
            ..Config::default().push
        };
        Ok(Self { folder, host, own: Arc::new(OwnMetrics::new()?), push })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn start(&self) -> Result<Pusher, Box<dyn Error>> {
        let push = self.push.clone();
        let live = Arc::new(move || push.clone());
        let pusher = Pusher::start(&self.push, Box::new(self.host.clone()), Arc::clone(&self.own), live)?;
        Ok(pusher.ok_or("there is no push")?)
    }

    /// The sum of a counter's samples whose labels contain `label`.
    pub(crate) fn counted(&self, name: &str, label: &str) -> u64 {
        let families = self.own.gather();
        let metrics = families
            .iter()
            .filter(|family| family.name() == name)
            .flat_map(prometheus::proto::MetricFamily::get_metric);
        let sum: f64 = metrics
            .filter(|metric| label.is_empty() || metric.get_label().iter().any(|pair| pair.value() == label))
            .map(|metric| metric.get_counter().get_value())
            .sum();
        // Counts are whole.
        format!("{sum:.0}").parse().unwrap_or(u64::MAX)
    }
}
