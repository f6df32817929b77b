//! From a hostile name service to the page.

use std::{
    ffi::OsString,
    os::unix::ffi::OsStringExt as _,
    sync::{
        Arc,
        mpsc::{Sender, channel},
    },
    time::{Duration, Instant},
};

use proptest::prelude::{any, prop, proptest};

use super::{Config, Outcome, OwnMetrics, Sampler, Settings, Uid, Users, runtime};
use crate::{
    export::{Exporter, Gather as _, Want, text::parse},
    pipeline::sampler::Gatherer,
    source::simulated::{Simulated, Simulation},
    users::Lookup,
};

/// The first of the users, who are the last that there can be.
const FIRST: u32 = u32::MAX - 8;
/// The one whose look-up never ends.
const HANGS: u32 = FIRST + 1;

struct Rig {
    sampler: Sampler,
    own: Arc<OwnMetrics>,
}

impl Rig {
    fn new(interval: Duration, lookup: Box<Lookup>) -> Result<Self, Box<dyn std::error::Error>> {
        let mut config = Config::default();
        config.observe.sample_interval = interval;
        config.users.name_timeout = Duration::from_millis(100);
        let simulation = Simulation { users: 8, first_uid: FIRST, seed: 1, age: Duration::from_secs(1) };
        let own = Arc::new(OwnMetrics::new()?);
        let source = Box::new(Simulated::new(&simulation));
        let settings = Arc::new(Settings::new(config));
        let sampler = Sampler::start(source, Users::with_lookup(lookup)?, Arc::clone(&own), settings)?;
        Ok(Self { sampler, own })
    }

    fn exporter(&self) -> Exporter {
        Exporter::new(Box::new(self.sampler.gatherer()), Arc::clone(&self.own))
    }
}

/// The users on the page, by UID.
fn users(rig: &Rig) -> Result<Vec<(String, String)>, Box<dyn std::error::Error>> {
    let page = runtime()?.block_on(rig.exporter().scrape(&Want::default()))?;
    let page = parse::page(&page.body)?;
    let cpu = page.samples("uidmeter_cpu_seconds_total").iter();
    let users = cpu.filter_map(|sample| Some((sample.label("uid")?.to_owned(), sample.label("user")?.to_owned())));
    Ok(users.filter(|(uid, _)| uid != "kernel").collect())
}

/// Waits until everybody's name but that of one who hangs has come.
fn names_are_known(gatherer: &Gatherer) {
    let deadline = Instant::now() + Duration::from_secs(20);
    let known = |uid: u32| gatherer.published().names.get(Uid(uid)).is_some();
    while !(FIRST..FIRST + 8).filter(|uid| *uid != HANGS).all(known) {
        assert!(Instant::now() < deadline, "names do not come");
        std::thread::yield_now();
    }
}

/// Hangs until the sender is dropped.
fn hanging(names: Vec<Vec<u8>>) -> (Sender<()>, Box<Lookup>) {
    let (release, hang) = channel::<()>();
    let hang = std::sync::Mutex::new(hang);
    let lookup = move |Uid(uid): Uid| {
        if uid == HANGS {
            let _ = hang.lock().map(|hang| hang.recv());
        }
        names.get((uid - FIRST) as usize % names.len()).map(|name| OsString::from_vec(name.clone()).into())
    };
    (release, Box::new(lookup))
}

#[test]
fn the_page_stays_valid_whatever_the_names_are() -> Outcome {
    let long = "é".repeat(100_000);
    let names: [&[u8]; 8] = [
        b"a\"} 1\nuidmeter_cpu_seconds_total{uid=\"0\",user=\"root\"} 9",
        b"never comes",
        b"back\\slash\\",
        b"\xff\xfe",
        b"\xff\xfd",
        b"\0\x1b[2J",
        long.as_bytes(),
        b"[kernel]",
    ];
    let (release, lookup) = hanging(names.map(<[u8]>::to_vec).into());
    let rig = Rig::new(Duration::from_millis(5), lookup)?;
    names_are_known(&rig.sampler.gatherer());
    let users = users(&rig)?;
    let uids: Vec<_> = users.iter().map(|(uid, _)| uid.parse::<u32>()).collect::<Result<_, _>>()?;
    assert_eq!(uids, (FIRST..FIRST + 8).collect::<Vec<_>>());
    let name = |number: usize| users[number].1.as_str();
    assert_eq!(name(0).as_bytes(), names[0]);
    assert_eq!((name(1), name(2)), (HANGS.to_string().as_str(), "back\\slash\\"));
    assert_eq!((name(3), name(4)), ("\\xFF\\xFE", "\\xFF\\xFD"));
    assert!(name(6).starts_with("ééé") && name(6).len() < 1_000);
    drop(release);
    rig.sampler.stop();
    Ok(())
}

#[test]
fn ticks_keep_their_time_while_the_name_service_hangs() -> Outcome {
    let interval = Duration::from_millis(20);
    let (release, hang) = channel::<()>();
    let hang = std::sync::Mutex::new(hang);
    let lookup = move |_| hang.lock().ok().and_then(|hang| hang.recv().ok()).map(|()| "late".into());
    let rig = Rig::new(interval, Box::new(lookup))?;
    let gatherer = rig.sampler.gatherer();
    let runtime = runtime()?;
    let ticks = || {
        let families = rig.own.gather();
        let ticks = families.iter().find(|family| family.name() == "uidmeter_tick_duration_seconds");
        ticks.map_or(0, |family| family.get_metric()[0].get_histogram().get_sample_count())
    };
    let (began, before) = (Instant::now(), ticks());
    // Scrapes all the time: each would wait for names.
    while began.elapsed() < interval * 20 {
        let view = runtime.block_on(gatherer.fresh()).ok_or("no view")?;
        assert!(view.names.get(Uid(FIRST)).is_none());
    }
    let ticks = ticks() - before;
    assert!(ticks >= 10, "{ticks} ticks instead of 20");
    drop(release);
    rig.sampler.stop();
    Ok(())
}

proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(16))]
    #[test]
    fn no_bytes_in_names_break_the_page(names in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 8)) {
        let lookup = move |Uid(uid): Uid| names.get((uid - FIRST) as usize).map(|name| OsString::from_vec(name.clone()).into());
        let found = Rig::new(Duration::from_millis(5), Box::new(lookup)).map_err(|error| error.to_string()).and_then(|rig| {
            names_are_known(&rig.sampler.gatherer());
            let found = users(&rig).map_err(|error| error.to_string());
            rig.sampler.stop();
            found
        });
        assert_eq!(found.map(|users| users.len()), Ok(8));
    }
}
