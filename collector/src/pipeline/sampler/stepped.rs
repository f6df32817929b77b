//! A sampler without a thread: somebody else tells it when to tick. With it one thread can have a thousand hosts, as long as
//! their sources answer at once.

use std::{
    future::{Future, ready},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{Gather, OwnMetrics, Published, Settings, Source, State, Users, View};

/// A sampler that ticks when it is told to. Its clones are one sampler.
#[derive(Clone)]
pub struct SteppedSampler {
    state: Arc<Mutex<State>>,
    published: Arc<Published>,
}

impl SteppedSampler {
    /// Publishes a first view. Neither `source` nor the look-up of `users` may block: whoever ticks or scrapes waits for them.
    pub fn new(source: Box<dyn Source>, users: Users, own: Arc<OwnMetrics>, settings: Arc<Settings>) -> Self {
        let published = Arc::default();
        let state = State::new(source, users, own, settings, &published);
        Self { state: Arc::new(Mutex::new(state)), published }
    }

    /// A tick, with what the sampler's thread does once a second at most: so tick no more often than that. `late` is counted as
    /// `uidmeter_ticks_late_total`.
    pub fn tick(&self, late: bool) {
        let mut state = self.state();
        state.tick(late);
        state.maintain();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // What a panic left half done is at worst one reading that nobody gets.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gather for SteppedSampler {
    fn fresh(&self) -> Pin<Box<dyn Future<Output = Option<Arc<View>>> + Send + '_>> {
        Box::pin(ready(Some(self.state().reading_for_scrape())))
    }

    fn published(&self) -> Arc<View> {
        self.published.load()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        error::Error,
        sync::{Arc, atomic::Ordering},
        time::Duration,
    };

    use super::{
        super::tests::{Clockwork, runtime, settings},
        Gather as _, OwnMetrics, SteppedSampler, Users,
    };
    use crate::{snapshot::Owner, units::Uid};

    #[test]
    fn it_reads_when_it_is_told_to_and_for_scrapes_and_never_by_itself() -> Result<(), Box<dyn Error>> {
        let source = Clockwork::default();
        let readings = source.readings();
        let users = Users::at_once(Box::new(|uid| Some(format!("user{uid}").into())));
        // An interval that a sampler with a thread would keep.
        let settings = Arc::new(settings(Duration::from_nanos(1)));
        let sampler = SteppedSampler::new(Box::new(source), users, Arc::new(OwnMetrics::new()?), settings);
        let first = sampler.published();
        assert_eq!((first.generation, readings.load(Ordering::Relaxed)), (1, 1));
        sampler.tick(false);
        let ticked = sampler.published();
        assert!(!Arc::ptr_eq(&first.usage, &ticked.usage), "no tick");
        let scraped = runtime()?.block_on(sampler.fresh()).ok_or("no view")?;
        assert!(Arc::ptr_eq(&scraped.usage, &ticked.usage), "a scrape is no tick");
        assert_eq!((scraped.generation, readings.load(Ordering::Relaxed)), (3, 3));
        assert_eq!(scraped.user_label(Owner::User(Uid(1))), "user1");
        Ok(())
    }
}
