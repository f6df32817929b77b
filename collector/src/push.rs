//! Sends what is on the page of metrics to a hub that cannot scrape this host: a client of Prometheus' remote write, versions 1.0
//! and 2.0 (<https://prometheus.io/docs/specs/prw/>).
//!
//! | module | owns |
//! |---|---|
//! | `slots` | the moments at which readings are taken |
//! | `series` | the page as series with labels |
//! | `endings` | which series have ended |
//! | `message` | series → compressed requests |
//! | `queue` | requests that wait, on the disk |
//! | `store` | the queue between two threads |
//! | `taker` | the thread that takes readings |
//! | `credentials` | files → TLS and authentication |
//! | `answer` | what an answer means |
//! | `backoff` | how long to wait after a failure |
//! | `client` | one request over HTTP |
//! | `sender` | the thread that sends |
//!
//! The sampler is asked for readings as a scrape asks it, and never waits for anything here. In memory there is one reading, and one
//! request at a time; everything else is on the disk. Two threads: `push-reads` and `push-sends`.

mod answer;
mod backoff;
mod client;
mod credentials;
mod endings;
mod message;
mod queue;
mod sender;
mod series;
mod slots;
mod store;
mod taker;

use std::{
    io,
    path::Path,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, Sender as Line, channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use self::{
    backoff::Backoff,
    client::Client,
    endings::Numbers,
    queue::Queue,
    sender::Sender,
    series::{Dress, taken},
    store::Store,
    taker::Taker,
};
pub use self::{queue::QueueError, sender::Live};
use crate::{
    config::{Label, Push, PushHistograms, PushProtocol},
    export::{Gather, OwnMetrics},
};

/// At the end, so long is waited for the receiver; what it does not have then waits on the disk.
const FAREWELL: Duration = Duration::from_secs(5);

/// Why nothing can be sent.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// Settings or files.
    #[error("{}", .0.join("\n"))]
    Configuration(Vec<String>),
    /// The queue.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The system refuses a thread.
    #[error("cannot start {what}: {source}")]
    System {
        /// Which.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
}

/// The threads that read and send.
#[derive(Debug)]
pub struct Pusher {
    /// Dropped to stop the reading.
    stop: Line<()>,
    reads: JoinHandle<()>,
    /// Disconnected when everything has been sent.
    sent: Receiver<()>,
}

/// Everything that can be told to be wrong with `push` without sending anything.
pub fn check(push: &Push) -> Vec<String> {
    let mut problems: Vec<String> = labels_of(push).err().into_iter().collect();
    if push.url.is_some() {
        problems.extend(Client::new(push).err().into_iter().flatten());
        if push.queue_folder.exists() && !push.queue_folder.is_dir() {
            problems
                .push(format!("push.queue_folder {} is not a folder; name another one", push.queue_folder.display()));
        }
    }
    problems
}

impl Pusher {
    /// Starts to send what `gather` reads and `own` counts, as `push` says; `live` gives the settings of each moment, of which
    /// those are looked at that can change at once. `None` without a URL.
    ///
    /// # Errors
    /// Files, queue or threads. Nothing has been started then.
    pub fn start(
        push: &Push,
        gather: Box<dyn Gather>,
        own: Arc<OwnMetrics>,
        live: Live,
    ) -> Result<Option<Self>, PushError> {
        if push.url.is_none() {
            return Ok(None);
        }
        let labels = labels_of(push).map_err(|problem| PushError::Configuration(vec![problem]))?;
        let client = Client::new(push).map_err(PushError::Configuration)?;
        let (queue, lost) = Queue::open(&push.queue_folder)?;
        let newest = queue.newest();
        let metrics = own.push();
        let store = Arc::new(Store::new(queue, push.queue_max_size.0, metrics.clone()));
        store.count(&lost);
        let system = |what| move |source| PushError::System { what, source };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(system("a timer"))?;
        // Version 1.0 has no place for native ones.
        let histograms = if push.protocol == PushProtocol::V1 { PushHistograms::Classic } else { push.histograms };
        let instance = labels.iter().find(|label| label.name == INSTANCE).map(|label| label.value.clone());
        let taker = Taker {
            gather,
            own,
            runtime,
            store: Arc::clone(&store),
            live: Arc::clone(&live),
            protocol: push.protocol,
            dress: Dress { labels, histograms },
            instance: instance.unwrap_or_default(),
            numbers: Numbers::default(),
            last: newest,
            before: None,
            unwritable: false,
            waits_for_clock: false,
        };
        let (stop, over) = channel();
        let (open_line, sent) = channel::<()>();
        let sender = Sender { client, store, metrics, live, backoff: Backoff::default(), told: None, connected: false };
        spawn("push-sends", move || {
            sender.run();
            drop(open_line);
        })
        .map_err(system("the thread that sends"))?;
        let reads = spawn("push-reads", move || taker.run(&over)).map_err(system("the thread that reads"))?;
        Ok(Some(Self { stop, reads, sent }))
    }

    /// Marks all series as ended, and waits a little for the receiver to take what is left; the rest stays on the disk.
    pub fn stop(self) {
        drop(self.stop);
        // Fails only if it has ended already.
        let _ = self.reads.join();
        if self.sent.recv_timeout(FAREWELL) == Err(RecvTimeoutError::Timeout) {
            tracing::info!("the receiver at push.url does not have everything yet; the rest waits for the next start");
        }
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name(name.into()).spawn(work)
}

const INSTANCE: &str = "instance";

/// The labels of everything that is sent.
fn labels_of(push: &Push) -> Result<Vec<Label>, String> {
    if let Some(label) = taken(&push.labels) {
        let name = &label.name;
        return Err(format!(
            "push.labels has {name}, which some metrics have by themselves; choose another name for it"
        ));
    }
    let host = || nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let named = [("job", push.job.clone()), (INSTANCE, Some(push.instance.clone().unwrap_or_else(host)))];
    let named = named.into_iter().filter_map(|(name, value)| Some(Label { name: name.into(), value: value? }));
    Ok(push.labels.iter().cloned().chain(named.filter(|label| !label.value.is_empty())).collect())
}

/// Whether `folder` is there; makes it otherwise, with everything that leads there, for its owner alone.
///
/// # Errors
/// It cannot be made.
pub fn make_folder(folder: &Path) -> io::Result<bool> {
    use std::os::unix::fs::DirBuilderExt as _;
    if folder.is_dir() {
        return Ok(true);
    }
    if let Some(parent) = folder.parent() {
        std::fs::create_dir_all(parent)?;
    }
    std::fs::DirBuilder::new().mode(0o700).create(folder)?;
    Ok(false)
}
