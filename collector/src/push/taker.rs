//! The thread that takes a reading at each moment and puts it into the queue. It asks the sampler as a scrape does, and nobody
//! waits for it.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::{Duration, SystemTime},
};

use prometheus::proto::MetricFamily;
use tokio::runtime::Runtime;

use super::{
    endings::{Numbers, Present},
    message::{Requests, Told},
    sender::Live,
    series::{Dress, walk},
    slots,
    store::Store,
};
use crate::{
    config::PushProtocol,
    export::{Filter, Gather, OwnMetrics, content::Content},
    view::View,
};

/// The clock may be set meanwhile: it is looked at this often.
const GLANCE: Duration = Duration::from_secs(5);

/// The work of the thread.
pub(super) struct Taker {
    pub(super) gather: Box<dyn Gather>,
    pub(super) own: Arc<OwnMetrics>,
    /// To wait for readings.
    pub(super) runtime: Runtime,
    pub(super) store: Arc<Store>,
    pub(super) live: Live,
    pub(super) protocol: PushProtocol,
    pub(super) dress: Dress,
    /// Decides about the moments.
    pub(super) instance: String,
    pub(super) numbers: Numbers,
    /// The newest timestamp that was queued.
    pub(super) last: Option<i64>,
    pub(super) before: Option<Reading>,
    /// Whether the log knows that the queue cannot be written, and that the clock was set back.
    pub(super) unwritable: bool,
    pub(super) waits_for_clock: bool,
}

/// What was told last: enough to find again what each series was called.
pub(super) struct Reading {
    view: Arc<View>,
    own: Vec<MetricFamily>,
    present: Present,
}

impl Reading {
    fn content(&self) -> Content<'_> {
        Content::new(&self.view, &self.own, Filter::ALL)
    }
}

impl Taker {
    /// Until `stop` is closed; then marks all series as ended and closes the store.
    pub(super) fn run(mut self, stop: &Receiver<()>) {
        loop {
            let interval = self.interval();
            let due = slots::next(now(), interval, &self.instance);
            match wait(due, interval, stop) {
                Wait::Due => self.take(due, interval),
                Wait::Anew => {}
                Wait::Stop => break,
            }
        }
        self.end();
        self.store.close();
    }

    fn interval(&self) -> i64 {
        (self.live)().interval.as_millis().try_into().unwrap_or(i64::MAX)
    }

    /// Takes a reading that was due at `due`.
    fn take(&mut self, due: i64, interval: i64) {
        let Some(view) = self.runtime.block_on(self.gather.fresh()) else {
            tracing::warn!("a reading could not be sent: the sampler did not answer in time");
            return;
        };
        let Some(timestamp) = slots::timestamp(due, now(), interval, self.last) else {
            if !std::mem::replace(&mut self.waits_for_clock, true) {
                tracing::warn!("the clock was set back: nothing is sent until it is past the newest samples again");
            }
            return;
        };
        self.waits_for_clock = false;
        let own = self.own.gather();
        let before = self.before.take();
        let mut reading = Reading { view, own, present: Present::default() };
        let mut numbers = Vec::with_capacity(before.as_ref().map_or(0, |before| before.present.len()));
        self.queue(timestamp, |requests, taker| {
            walk(&reading.content(), &taker.dress, &mut |series| {
                numbers.push(taker.numbers.of(series));
                requests.add(series, Told::Value);
            });
            reading.present = Present::new(std::mem::take(&mut numbers));
            if let Some(before) = &before {
                taker.mark(&before.content(), &before.present.ended(&reading.present), requests);
            }
        });
        self.last = Some(timestamp);
        self.before = Some(reading);
    }

    /// Marks everything as ended.
    fn end(&mut self) {
        let Some(before) = self.before.take() else { return };
        let timestamp = self.last.map_or_else(now, |last| now().max(last + 1));
        self.queue(timestamp, |requests, taker| taker.mark(&before.content(), &before.present, requests));
    }

    /// Marks the series of `content` that are among `ended`.
    fn mark(&self, content: &Content<'_>, ended: &Present, requests: &mut Requests<'_>) {
        if ended.is_empty() {
            return;
        }
        walk(content, &self.dress, &mut |series| {
            if ended.contains(self.numbers.of(series)) {
                requests.add(series, Told::End);
            }
        });
    }

    /// Puts what `fill` adds to requests into the queue.
    fn queue(&mut self, timestamp: i64, fill: impl FnOnce(&mut Requests<'_>, &Self)) {
        let push = (self.live)();
        let mut failure = None;
        let mut deliver = |record| {
            if let Err(error) = self.store.append(&record, push.queue_max_size.0) {
                failure = Some(error);
            }
        };
        let mut requests = Requests::new(self.protocol, timestamp, push.max_samples, &mut deliver);
        fill(&mut requests, self);
        requests.finish();
        let was_unwritable = std::mem::replace(&mut self.unwritable, failure.is_some());
        if let Some(error) = failure.filter(|_| !was_unwritable) {
            tracing::error!("samples are lost: {error}");
        }
    }
}

enum Wait {
    Due,
    Anew,
    Stop,
}

/// Waits for `due`. A clock that was set meanwhile makes another moment the next one.
fn wait(due: i64, interval: i64, stop: &Receiver<()>) -> Wait {
    loop {
        let left = due - now();
        if left <= 0 {
            return Wait::Due;
        }
        if left > interval {
            return Wait::Anew;
        }
        let time = Duration::from_millis(left.unsigned_abs()).min(GLANCE);
        match stop.recv_timeout(time) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return Wait::Stop,
        }
    }
}

/// Milliseconds since 1970.
fn now() -> i64 {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    since_epoch.as_millis().try_into().unwrap_or(i64::MAX)
}
