//! With a source that counts how often it is read.

use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use super::{Gather as _, OwnMetrics, Sampler, Settings, Snapshot, Source, Users};
use crate::{
    config::Config,
    snapshot::{Counters, Owner, Row},
    source::{Kept, Probe},
    units::{Bytes, Nanos, Uid},
};

mod names;

type Outcome = Result<(), Box<dyn Error>>;

/// One user who uses one second at each reading.
#[derive(Default)]
pub(in crate::pipeline) struct Clockwork {
    readings: Arc<AtomicU64>,
    dropped: Arc<AtomicU64>,
}

impl Clockwork {
    /// How often it has been read.
    pub(super) fn readings(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.readings)
    }
}

impl Source for Clockwork {
    fn read(&mut self, snapshot: &mut Snapshot) {
        let reading = self.readings.fetch_add(1, Ordering::Relaxed) + 1;
        snapshot.taken = Nanos(reading * 1_000_000_000);
        let counters = Counters { cpu: snapshot.taken, ..Counters::default() };
        snapshot.rows = vec![Row { owner: Owner::User(Uid(1)), counters }];
    }

    fn maintain(&mut self, _: Duration) {}

    fn probes(&self) -> Vec<Probe> {
        Vec::new()
    }

    fn kernel_memory(&self) -> Bytes {
        Bytes(0)
    }

    fn user_slots(&self) -> u32 {
        7
    }

    fn kept(&self) -> Kept {
        Kept::ALL
    }

    fn forget(&mut self, _: Uid) -> bool {
        false
    }
}

impl Drop for Clockwork {
    fn drop(&mut self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

fn start(source: Clockwork, interval: Duration) -> Result<Sampler, Box<dyn Error>> {
    let users = Users::with_lookup(Box::new(|uid| Some(format!("user{uid}").into())))?;
    let settings = settings(interval);
    Ok(Sampler::start(Box::new(source), users, Arc::new(OwnMetrics::new()?), Arc::new(settings))?)
}

pub(super) fn settings(interval: Duration) -> Settings {
    let mut config = Config::default();
    config.observe.sample_interval = interval;
    Settings::new(config)
}

pub(super) fn runtime() -> Result<tokio::runtime::Runtime, Box<dyn Error>> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

#[test]
fn a_scrape_gets_a_reading_of_its_own_with_the_rates_of_the_last_tick() -> Outcome {
    let source = Clockwork::default();
    let readings = Arc::clone(&source.readings);
    // Hours: no tick but the first.
    let sampler = start(source, Duration::from_hours(1))?;
    let gatherer = sampler.gatherer();
    let first = runtime()?.block_on(gatherer.fresh()).ok_or("no view")?;
    let second = runtime()?.block_on(gatherer.fresh()).ok_or("no view")?;
    assert_eq!((first.generation + 1, second.generation), (second.generation, readings.load(Ordering::Relaxed)));
    assert!(second.snapshot.taken > first.snapshot.taken);
    assert!(Arc::ptr_eq(&first.usage, &second.usage));
    assert_eq!(second.user_label(Owner::User(Uid(1))), "user1");
    assert_eq!(second.user_slots, 7);
    sampler.stop();
    Ok(())
}

#[test]
fn scrapes_that_never_pause_do_not_put_off_ticks() -> Outcome {
    let sampler = start(Clockwork::default(), Duration::from_millis(2))?;
    let gatherer = sampler.gatherer();
    let runtime = runtime()?;
    let usage_at_first = Arc::clone(&gatherer.published().usage);
    let deadline = Instant::now() + Duration::from_secs(10);
    while Arc::ptr_eq(&usage_at_first, &gatherer.published().usage) || gatherer.published().usage.rows.is_empty() {
        assert!(Instant::now() < deadline, "no tick came through");
        // Each request lies in the inbox before the answer to the one before is read.
        runtime.block_on(async {
            let _ = tokio::join!(gatherer.fresh(), gatherer.fresh(), gatherer.fresh());
        });
    }
    sampler.stop();
    Ok(())
}

#[test]
fn stopping_drops_the_source_and_later_scrapes_are_told() -> Outcome {
    let source = Clockwork::default();
    let dropped = Arc::clone(&source.dropped);
    let sampler = start(source, Duration::from_millis(1))?;
    let gatherer = sampler.gatherer();
    while gatherer.published().generation < 3 {
        thread::yield_now();
    }
    sampler.stop();
    assert_eq!(dropped.load(Ordering::Relaxed), 1);
    assert!(runtime()?.block_on(gatherer.fresh()).is_none());
    Ok(())
}
