//! The queue between the thread that reads and the one that sends: who waits, who is woken, and when it is over.

use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::queue::{Lost, Queue, QueueError, Record, Waiting};
use crate::export::{PushMetrics, Undelivered};

/// The queue, shared by two threads.
pub(super) struct Store {
    inner: Mutex<Inner>,
    changed: Condvar,
    metrics: PushMetrics,
}

struct Inner {
    queue: Queue,
    limit: u64,
    closed: bool,
}

/// Why the sender goes on.
pub(super) enum Wake {
    /// There is something to send.
    Record(Waiting),
    /// The queue cannot be read.
    Trouble(QueueError),
    /// Nothing is left, and nothing will come.
    Closed,
}

impl Store {
    /// With a queue of at most `limit` bytes.
    pub(super) fn new(queue: Queue, limit: u64, metrics: PushMetrics) -> Self {
        metrics.queue(queue.waiting(), limit);
        Self { inner: Mutex::new(Inner { queue, limit, closed: false }), changed: Condvar::new(), metrics }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // What a panic left half done, the queue's own checksums find out.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a request; the oldest go if there is more than `limit` bytes then.
    pub(super) fn append(&self, record: &Record, limit: u64) -> Result<(), QueueError> {
        let mut inner = self.lock();
        inner.limit = limit;
        let appended = inner.queue.append(record, limit);
        match &appended {
            Ok(0) => {}
            Ok(dropped) => {
                self.metrics.dropped(Undelivered::QueueFull, *dropped);
            }
            Err(_) => self.metrics.dropped(Undelivered::Unwritable, record.samples.into()),
        }
        self.metrics.queue(inner.queue.waiting(), limit);
        self.changed.notify_all();
        appended.map(drop)
    }

    /// Waits for a request to send.
    pub(super) fn wait(&self) -> Wake {
        let mut inner = self.lock();
        loop {
            let mut lost = Vec::new();
            let found = inner.queue.peek(&mut lost);
            self.count(&lost);
            match found {
                Ok(Some(waiting)) => return Wake::Record(waiting),
                Err(error) => return Wake::Trouble(error),
                Ok(None) if inner.closed => return Wake::Closed,
                Ok(None) => inner = self.changed.wait(inner).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    /// Takes out what has been sent or given up.
    pub(super) fn remove(&self, waiting: &Waiting) -> Result<(), QueueError> {
        let mut inner = self.lock();
        let removed = inner.queue.remove(waiting);
        self.metrics.queue(inner.queue.waiting(), inner.limit);
        removed
    }

    /// Waits for `time`; `true` if it is over before.
    pub(super) fn pause(&self, time: Duration) -> bool {
        let end = Instant::now() + time;
        let mut inner = self.lock();
        while !inner.closed {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            inner = self.changed.wait_timeout(inner, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// Nothing will come any more.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// Tells the log what was lost, and counts it.
    pub(super) fn count(&self, lost: &[Lost]) {
        for Lost { samples, sentence } in lost {
            self.metrics.dropped(Undelivered::Damaged, *samples);
            tracing::warn!("the queue of samples: {sentence}");
        }
    }
}
