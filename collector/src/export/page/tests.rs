//! Golden page, sharing, readiness.

use std::{
    fs,
    io::{self, Read as _},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use collector_ebpf::latency::BUCKETS;
use tokio::sync::Barrier;

use super::{
    super::{own::VERSION, text::parse},
    Encoding, Exporter, FEW_ROWS, Filter, Format, Gather, NoReading, NotReady, Pin, ProbeState, View, Want,
};
use crate::{
    export::own::tests::complete as complete_own,
    snapshot::{Counters, Delays, Events, Io, Latency, Owner, Row, Snapshot, Unattributed},
    source::{Probe, ProgramRuns},
    units::{Bytes, Nanos, Uid},
    users::Names,
    view::tests::complete,
};

type Outcome = Result<(), Box<dyn std::error::Error>>;

const PLAIN: Want = Want { format: Format::Text, encoding: Encoding::Identity, filter: Filter::ALL };

/// Always the same view.
struct Fixed(Option<Arc<View>>);

impl Gather for Fixed {
    fn fresh(&self) -> Pin<Box<dyn Future<Output = Option<Arc<View>>> + Send + '_>> {
        Box::pin(async { self.0.clone() })
    }

    fn published(&self) -> Arc<View> {
        self.0.clone().unwrap_or_default()
    }
}

/// One reading for as many as ask at once, counted.
struct Shared {
    readings: AtomicUsize,
    together: Barrier,
}

impl Gather for Shared {
    fn fresh(&self) -> Pin<Box<dyn Future<Output = Option<Arc<View>>> + Send + '_>> {
        Box::pin(async {
            if self.together.wait().await.is_leader() {
                self.readings.fetch_add(1, Ordering::Relaxed);
            }
            self.together.wait().await;
            let generation = self.readings.load(Ordering::Relaxed) as u64;
            Some(Arc::new(View { generation, ..View::default() }))
        })
    }

    fn published(&self) -> Arc<View> {
        Arc::default()
    }
}

fn exporter(gather: impl Gather + 'static) -> Result<Arc<Exporter>, prometheus::Error> {
    Ok(Arc::new(Exporter::new(Box::new(gather), Arc::new(complete_own()?))))
}

fn probe(name: &'static str, needed: bool, state: ProbeState) -> Probe {
    Probe {
        name,
        hook: "tp_btf/sched_switch",
        needed,
        state,
        runs: ProgramRuns { recursion_misses: 3, ..ProgramRuns::default() },
    }
}

fn of_probes(probes: Vec<Probe>) -> View {
    View { generation: 1, probes: probes.into(), ..View::default() }
}

/// A host with an ordinary user, one of a hostile name, one without a name, and both pseudo-users.
fn host() -> View {
    let mut buckets = [0; BUCKETS];
    for (i, bucket) in (0..).zip(buckets.iter_mut()) {
        *bucket = i;
    }
    let busy = Counters {
        cpu: Nanos(1_550_701_066),
        user: Nanos(1_500_000_000),
        system: Nanos(50_701_066),
        wait: Nanos(2_000_000_000),
        latency: Latency { buckets },
        voluntary_switches: 10_021,
        involuntary_switches: 7,
        migrations: 12,
        minor_faults: u64::MAX,
        major_faults: 1,
        outside: Nanos(1_000_000_001),
        io: Io {
            read_chars: Bytes(10_000),
            written_chars: Bytes(20_000),
            read_bytes: Bytes(4_096),
            written_bytes: Bytes(8_192),
            cancelled_bytes: Bytes(4_096),
        },
        delays: Delays { block_io: Nanos(12_345_678), swap_in: Nanos(1), thrashing: Nanos(0) },
        events: Events {
            direct_reclaims: 3,
            direct_reclaim: Nanos(3_000_000),
            group_reclaims: 5,
            group_reclaim: Nanos(50_000_000),
            memory_stalls: 9,
            memory_stall: Nanos(60_000_000),
            oom_kills: 1,
            oom_kills_slice: 1,
            oom_kills_group: 0,
            oom_kills_host: 0,
            forks: 40,
            thread_starts: 8,
            execs: 20,
            exits: 39,
        },
    };
    let owners =
        [Owner::User(Uid(0)), Owner::User(Uid(1000)), Owner::User(Uid(u32::MAX - 1)), Owner::Kernel, Owner::Overflow];
    let counters = [
        busy.clone(),
        Counters { cpu: Nanos(1), ..busy },
        Counters::default(),
        Counters::default(),
        Counters::default(),
    ];
    let rows = owners.into_iter().zip(counters).map(|(owner, counters)| Row { owner, counters }).collect();
    let unattributed = Unattributed { no_ledger: 1, overflow: 2, overflow_users: 3, clamped: 4, no_row: 5 };
    let names = [(Uid(0), "root"), (Uid(1000), "bobby \"tables\"\\\n{x=\"y\"} 1")];
    complete(View {
        snapshot: Arc::new(Snapshot { taken: Nanos(1), rows, unattributed, ..Snapshot::default() }),
        names: names.into_iter().map(|(uid, name)| (uid, Arc::from(name))).collect::<Names>(),
        kernel_memory: Bytes(1 << 26),
        host: Arc::new(crate::host::tests::example()),
        user_slots: 256,
        ..of_probes(vec![
            probe("sched_switch", true, ProbeState::Active),
            Probe { hook: "perf_event/cpu-clock", ..probe("tick", false, ProbeState::Failed("no such device".into())) },
        ])
    })
}

/// `UIDMETER_BLESS=1` writes the file anew; the difference is then reviewed like any other.
fn assert_golden(file: &str, text: &str) -> io::Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(file);
    if std::env::var_os("UIDMETER_BLESS").is_some() {
        return fs::write(path, text);
    }
    let golden = fs::read_to_string(&path)?;
    let difference = golden.split('\n').zip(text.split('\n')).find(|(golden, new)| golden != new);
    assert_eq!(difference, None, "{} differs; UIDMETER_BLESS=1 accepts what is new", path.display());
    assert_eq!(golden, text);
    Ok(())
}

#[tokio::test]
async fn text_pages_are_the_golden_ones() -> Outcome {
    let exporter = exporter(Fixed(Some(Arc::new(host()))))?;
    exporter.own().tick(Duration::from_micros(40), false);
    exporter.own().tick(Duration::from_micros(1_500), true);
    parse::page(&exporter.scrape(&PLAIN).await?.body)?;
    let version = format!("version=\"{VERSION}\"");
    for (format, file) in [(Format::Text, "metrics.txt"), (Format::OpenMetrics, "metrics.openmetrics.txt")] {
        let page = exporter.scrape(&Want { format, ..PLAIN }).await?.body;
        assert_golden(file, &String::from_utf8(page.into())?.replace(&version, "version=\"VERSION\""))?;
    }
    Ok(())
}

#[tokio::test]
async fn those_who_scrape_together_share_one_reading_and_one_page() -> Outcome {
    let exporter = exporter(Shared { readings: AtomicUsize::new(0), together: Barrier::new(2) })?;
    let (one, other) = tokio::join!(exporter.scrape(&PLAIN), exporter.scrape(&PLAIN));
    let (one, other) = (one?, other?);
    assert_eq!(one.body.as_ptr(), other.body.as_ptr());
    let (next, _) = tokio::join!(exporter.scrape(&PLAIN), exporter.scrape(&PLAIN));
    assert_ne!(one.body.as_ptr(), next?.body.as_ptr());
    Ok(())
}

#[tokio::test]
async fn a_new_reading_gets_a_new_page() -> Outcome {
    let exporter = exporter(Shared { readings: AtomicUsize::new(0), together: Barrier::new(1) })?;
    let first = exporter.scrape(&PLAIN).await?;
    let second = exporter.scrape(&PLAIN).await?;
    let scrapes = |page: &[u8]| -> Result<_, String> {
        Ok(parse::page(page)?.value("uidmeter_scrape_duration_seconds_count").map(str::to_owned))
    };
    assert_eq!(scrapes(&first.body)?.as_deref(), Some("0"));
    assert_eq!(scrapes(&second.body)?.as_deref(), Some("1"));
    Ok(())
}

#[tokio::test]
async fn formats_codings_and_choices_of_one_reading_stand_side_by_side_each_made_once() -> Outcome {
    let exporter = exporter(Fixed(Some(Arc::new(host()))))?;
    let users = Filter::from_query(Some("name[]=uidmeter_users"))?;
    let mut wants = Vec::new();
    for format in Format::ALL {
        for encoding in [Encoding::Identity, Encoding::Gzip, Encoding::Zstd] {
            wants.extend([Want { format, encoding, filter: Filter::ALL }]);
        }
    }
    wants.push(Want { filter: users, ..PLAIN });
    let mut pages = Vec::new();
    for want in &wants {
        pages.push(exporter.scrape(want).await?);
    }
    for (want, page) in wants.iter().zip(&pages) {
        assert_eq!(exporter.scrape(want).await?.body.as_ptr(), page.body.as_ptr(), "{want:?}");
        assert_eq!((page.content_type, page.content_encoding), (want.format.content_type(), want.encoding.word()));
        let plain = exporter.scrape(&Want { encoding: Encoding::Identity, ..*want }).await?.body;
        assert_eq!(decompressed(&page.body, want.encoding)?, plain, "{want:?}");
    }
    let lengths: std::collections::HashSet<_> = pages.iter().map(|page| page.body.len()).collect();
    assert_eq!(lengths.len(), pages.len());
    let only = String::from_utf8(pages.last().ok_or("no page")?.body.to_vec())?;
    assert_eq!(only.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>(), ["uidmeter_users 3"]);
    Ok(())
}

fn decompressed(body: &[u8], encoding: Encoding) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    match encoding {
        Encoding::Identity => page.extend_from_slice(body),
        Encoding::Gzip => drop(flate2::read::GzDecoder::new(body).read_to_end(&mut page)?),
        Encoding::Zstd => drop(zstd::Decoder::new(body)?.read_to_end(&mut page)?),
    }
    Ok(page)
}

#[tokio::test]
async fn more_choices_than_are_kept_are_served_all_the_same() -> Outcome {
    let exporter = exporter(Fixed(Some(Arc::new(host()))))?;
    for family in crate::export::catalog::families() {
        let filter = Filter::from_query(Some(&format!("name[]={}", family.name)))?;
        let page = exporter.scrape(&Want { filter, ..PLAIN }).await?;
        assert_eq!(parse::page(&page.body)?.families.len(), 1, "{}", family.name);
    }
    assert!(parse::page(&exporter.scrape(&PLAIN).await?.body)?.families.len() > 10);
    Ok(())
}

/// A new reading for everybody who asks, none from the `ends`th on.
struct Each {
    asked: Arc<AtomicUsize>,
    ends: usize,
    rows: usize,
}

impl Gather for Each {
    fn fresh(&self) -> Pin<Box<dyn Future<Output = Option<Arc<View>>> + Send + '_>> {
        let generation = self.asked.fetch_add(1, Ordering::Relaxed) + 1;
        let row = |uid| Row { owner: Owner::User(Uid(uid)), counters: Counters::default() };
        let rows = (0..).map(row).take(self.rows).collect();
        let snapshot = Arc::new(Snapshot { rows, ..Snapshot::default() });
        let view = View { generation: generation as u64, snapshot, ..View::default() };
        Box::pin(std::future::ready((generation < self.ends).then(|| Arc::new(view))))
    }

    fn published(&self) -> Arc<View> {
        Arc::default()
    }
}

/// An exporter of long pages, and how often it has asked for a reading.
fn long(ends: usize, company: Duration) -> Result<(Exporter, Arc<AtomicUsize>), prometheus::Error> {
    let asked = Arc::new(AtomicUsize::new(0));
    let gather = Each { asked: Arc::clone(&asked), ends, rows: FEW_ROWS + 1 };
    let exporter = Exporter::new(Box::new(gather), Arc::new(complete_own()?));
    Ok((Exporter { company, ..exporter }, asked))
}

#[tokio::test]
async fn who_arrives_while_a_long_page_is_made_shares_it() -> Outcome {
    let (exporter, asked) = long(usize::MAX, Duration::from_hours(1))?;
    let gzip = Want { encoding: Encoding::Gzip, ..PLAIN };
    let scrape = || exporter.scrape(&gzip);
    let held = exporter.press.hold();
    let pages = tokio::join!(scrape(), scrape(), scrape(), async { drop(held) });
    let bodies = [pages.0?, pages.1?, pages.2?].map(|page| page.body.as_ptr());
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    assert!(bodies.iter().all(|body| *body == bodies[0]));
    Ok(())
}

#[tokio::test]
async fn nobody_shares_a_page_that_was_ready_before_the_request() -> Outcome {
    let (exporter, asked) = long(usize::MAX, Duration::from_hours(1))?;
    let first = exporter.scrape(&PLAIN).await?;
    assert_ne!(exporter.scrape(&PLAIN).await?.body.as_ptr(), first.body.as_ptr());
    assert_eq!(asked.load(Ordering::Relaxed), 2);
    Ok(())
}

#[tokio::test]
async fn those_for_whom_the_reading_is_too_old_share_the_next_one() -> Outcome {
    let (exporter, asked) = long(usize::MAX, Duration::ZERO)?;
    let scrape = || exporter.scrape(&PLAIN);
    let held = exporter.press.hold();
    let pages = tokio::join!(scrape(), scrape(), scrape(), scrape(), async { drop(held) });
    let bodies = [pages.0?, pages.1?, pages.2?, pages.3?].map(|page| page.body.as_ptr());
    assert_eq!(asked.load(Ordering::Relaxed), 2);
    assert_ne!(bodies[0], bodies[1]);
    assert_eq!((bodies[1], bodies[1]), (bodies[2], bodies[3]));
    Ok(())
}

#[tokio::test]
async fn those_who_wait_share_a_failure_too_and_later_ones_ask_anew() -> Outcome {
    let (exporter, asked) = long(2, Duration::ZERO)?;
    let held = exporter.press.hold();
    let scrape = || exporter.scrape(&PLAIN);
    let (first, second, third, ()) = tokio::join!(scrape(), scrape(), scrape(), async { drop(held) });
    assert!(first.is_ok());
    assert_eq!((second, third), (Err(NoReading), Err(NoReading)));
    assert_eq!(asked.load(Ordering::Relaxed), 2);
    assert_eq!(exporter.scrape(&PLAIN).await, Err(NoReading));
    assert_eq!(asked.load(Ordering::Relaxed), 3);
    Ok(())
}

#[tokio::test]
async fn a_scraper_that_goes_away_leaves_the_next_one_a_page() -> Outcome {
    let (exporter, _) = long(usize::MAX, Duration::ZERO)?;
    let held = exporter.press.hold();
    // Polled once: its page is being made.
    let gone = exporter.scrape(&PLAIN);
    tokio::select! {
        biased;
        page = gone => assert!(page.is_err(), "made too soon for this test"),
        () = std::future::ready(()) => {}
    }
    drop(held);
    assert!(exporter.scrape(&PLAIN).await?.body.len() > 1000);
    Ok(())
}

#[tokio::test]
async fn without_a_reading_there_is_no_page() -> Outcome {
    assert_eq!(exporter(Fixed(None))?.scrape(&PLAIN).await, Err(NoReading));
    Ok(())
}

#[test]
fn ready_means_that_a_view_is_out_and_all_needed_probes_work() -> Outcome {
    let ready = |view: View| -> Result<_, prometheus::Error> { Ok(exporter(Fixed(Some(Arc::new(view))))?.ready()) };
    let failed = || ProbeState::Failed("no BTF".into());
    assert_eq!(ready(View::default())?, Err(NotReady::NothingPublished));
    assert_eq!(ready(of_probes(vec![probe("a", true, ProbeState::Active), probe("b", false, failed())]))?, Ok(()));
    let missing = ready(of_probes(vec![probe("a", true, ProbeState::Active), probe("b", true, failed())]))?;
    assert_eq!(missing, Err(NotReady::Probe { probe: "b", hook: "tp_btf/sched_switch", state: failed() }));
    assert_eq!(missing.map_err(|why| why.to_string()), Err("probe b on tp_btf/sched_switch: failed: no BTF".into()));
    Ok(())
}
