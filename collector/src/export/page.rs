//! One reading → one page, encoded once and shared by everybody who asks for that reading.
//!
//! A page is cached as a whole, the process's own counters included: all its numbers are of one moment, and what is
//! later compressed or encrypted can be shared too. A new reading has a new generation and thereby a new page.

use std::{pin::Pin, sync::Arc, time::Instant};

use bytes::Bytes;
use tokio::sync::Mutex;

use super::{own::OwnMetrics, text};
use crate::{source::ProbeState, view::View};

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

/// Makes pages.
pub struct Exporter {
    gather: Box<dyn Gather>,
    own: Arc<OwnMetrics>,
    page: Mutex<Page>,
}

/// The last page.
#[derive(Default)]
struct Page {
    /// Which view it shows; `None` before the first.
    generation: Option<u64>,
    text: Bytes,
}

impl Exporter {
    /// Makes pages of what `gather` reads and `own` counts.
    pub fn new(gather: Box<dyn Gather>, own: Arc<OwnMetrics>) -> Self {
        Self { gather, own, page: Mutex::default() }
    }

    /// What the process counts about itself.
    pub fn own(&self) -> &OwnMetrics {
        &self.own
    }

    /// A page of this moment in the text format.
    ///
    /// # Errors
    /// There is no reading.
    pub async fn scrape(&self) -> Result<Bytes, NoReading> {
        let began = Instant::now();
        let view = self.gather.fresh().await.ok_or(NoReading)?;
        let text = self.text(&view).await;
        self.own.scrape(began.elapsed());
        Ok(text)
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

    /// The page of `view`. Whoever comes second waits for the first one's page instead of making another.
    async fn text(&self, view: &View) -> Bytes {
        let mut page = self.page.lock().await;
        if page.generation != Some(view.generation) {
            // A little more than last time: numbers grow, users come.
            let mut out = Vec::with_capacity(page.text.len() + page.text.len() / 16);
            text::encode(view, &mut out);
            self.own.encode(&mut out);
            *page = Page { generation: Some(view.generation), text: out.into() };
        }
        page.text.clone()
    }
}

#[cfg(test)]
mod tests;
