//! One reading → one page for each format and coding that is asked for, made once and shared by everybody who asks for
//! that reading.
//!
//! A page is kept as a whole, the process's own counters included: all its numbers are of one moment. A new reading has a
//! new generation and thereby new pages. Who arrives while a long page is made shares it if its
//! reading is at most [`COMPANY`] old: a crowd of scrapers costs little more than one. Nobody gets a page that was ready
//! before the request.

mod kept;
mod spare;

use std::{
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::sync::{Mutex, MutexGuard};

use self::kept::{Kept, compressed};
use super::{
    filter::Filter,
    negotiate::{Encoding, Format},
    own::OwnMetrics,
    press::Press,
};
use crate::{source::ProbeState, view::View};

/// Pages with more rows than this are made by a thread of their own: with this many, writing takes some 50 µs and
/// compressing a millisecond.
const FEW_ROWS: usize = 64;
/// A tenth of the default tick, and less than a scrape's own way through the network often takes.
const COMPANY: Duration = Duration::from_millis(10);

/// Where views come from.
pub trait Gather: Send + Sync {
    /// Takes a new reading. Those who ask at the same time get the same one. `None` means that the sampler has ended
    /// or did not answer in time.
    fn fresh(&self) -> Pin<Box<dyn Future<Output = Option<Arc<View>>> + Send + '_>>;

    /// The newest view, without a new reading.
    fn published(&self) -> Arc<View>;
}

/// Why there is no page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no fresh reading: the sampler has ended or did not answer in time; the log of uidmeter tells more")]
pub struct NoReading;

/// Why what is served cannot be relied on yet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotReady {
    /// There is no view.
    #[error("nothing has been read from the kernel yet")]
    NothingPublished,
    /// The books are incomplete.
    #[error("probe {probe} on {hook}: {state}")]
    Probe {
        /// Name of the program.
        probe: &'static str,
        /// What it should hook.
        hook: &'static str,
        /// Why it does not.
        state: ProbeState,
    },
}

/// Which page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Want {
    /// How it is written.
    pub format: Format,
    /// How it is compressed.
    pub encoding: Encoding,
    /// What is on it.
    pub filter: Filter,
}

impl Default for Want {
    /// Everything, in plain text.
    fn default() -> Self {
        Self { format: Format::Text, encoding: Encoding::Identity, filter: Filter::ALL }
    }
}

/// A page as it goes over the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Shared with everybody who asked for the same.
    pub body: Bytes,
    /// Value of the header `Content-Type`.
    pub content_type: &'static str,
    /// Value of the header `Content-Encoding`, if there is to be one.
    pub content_encoding: Option<&'static str>,
}

impl Page {
    fn new(body: Bytes, format: Format, encoding: Encoding) -> Self {
        Self { body, content_type: format.content_type(), content_encoding: encoding.word() }
    }
}

/// Makes pages.
pub struct Exporter {
    gather: Box<dyn Gather>,
    own: Arc<OwnMetrics>,
    kept: Mutex<Kept>,
    /// [`COMPANY`], but for tests.
    company: Duration,
    press: Press,
}

impl Exporter {
    /// Makes pages of what `gather` reads and `own` counts. Starts a thread at the first long page.
    pub fn new(gather: Box<dyn Gather>, own: Arc<OwnMetrics>) -> Self {
        Self { gather, own, kept: Mutex::default(), company: COMPANY, press: Press::default() }
    }

    /// What the process counts about itself.
    pub fn own(&self) -> &OwnMetrics {
        &self.own
    }

    /// A page of this moment.
    ///
    /// # Errors
    /// There is no reading.
    pub async fn scrape(&self, want: &Want) -> Result<Page, NoReading> {
        let arrived = Instant::now();
        let (mut kept, waited) = self.enter().await;
        let page = if waited {
            // Others wait too: one reading for all.
            if kept.is_older_than(self.oldest(arrived, waited)) {
                let (asked, view) = (Instant::now(), self.gather.fresh().await);
                kept.move_on(asked, view, || self.own.gather());
            }
            self.page(&mut kept, *want).await
        } else {
            drop(kept);
            // The sampler lets all who ask at the same time share one reading.
            let (asked, view) = (Instant::now(), self.gather.fresh().await);
            let (mut kept, waited) = self.enter().await;
            if kept.is_older_than(self.oldest(arrived, waited)) {
                kept.move_on(asked, view, || self.own.gather());
            }
            self.page(&mut kept, *want).await
        }
        .ok_or(NoReading)?;
        self.own.scrape(arrived.elapsed());
        Ok(page)
    }

    /// What is kept, and whether somebody else was making pages.
    async fn enter(&self) -> (MutexGuard<'_, Kept>, bool) {
        match self.kept.try_lock() {
            Ok(kept) => (kept, false),
            Err(_) => (self.kept.lock().await, true),
        }
    }

    /// When a reading must have been asked for at the earliest to be good for who came at `arrived`.
    fn oldest(&self, arrived: Instant, waited: bool) -> Instant {
        if waited { arrived.checked_sub(self.company).unwrap_or(arrived) } else { arrived }
    }

    /// Whether a view has been published and every needed probe is at work.
    ///
    /// # Errors
    /// The first thing that is missing.
    pub fn ready(&self) -> Result<(), NotReady> {
        let view = self.gather.published();
        if view.generation == 0 {
            return Err(NotReady::NothingPublished);
        }
        match view.probes.iter().find(|probe| probe.needed && !probe.state.is_active()) {
            Some(probe) => Err(NotReady::Probe { probe: probe.name, hook: probe.hook, state: probe.state.clone() }),
            None => Ok(()),
        }
    }

    /// A page of the reading that is kept; made unless it is there. `None` without a reading.
    async fn page(&self, kept: &mut Kept, want: Want) -> Option<Page> {
        let reading = kept.reading()?;
        if let Some(body) = kept.page(want) {
            return Some(Page::new(body, want.format, want.encoding));
        }
        let plain = Want { encoding: Encoding::Identity, ..want };
        let (known, (spare, length)) = (kept.page(plain), kept.room(want));
        let is_long = reading.is_long();
        let make = move || {
            let text = known.clone().unwrap_or_else(|| reading.write(want.format, want.filter, spare.take(length)));
            let body = compressed(&text, want.encoding);
            (text, body)
        };
        let (text, body) = if is_long { self.press.run(make).await } else { make() };
        if kept.page(plain).is_none() {
            kept.keep(plain, text.clone());
        }
        Some(match body {
            Ok(body) => {
                if want != plain {
                    kept.keep(want, body.clone());
                }
                Page::new(body, want.format, want.encoding)
            }
            Err(error) => {
                tracing::warn!(%error, "cannot compress a page; it is sent as it is");
                Page::new(text, want.format, Encoding::Identity)
            }
        })
    }
}

#[cfg(test)]
mod tests;
