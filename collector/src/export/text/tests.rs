//! The encoder against a strict reader, against the `prometheus` crate and against itself.

use std::{sync::Arc, time::Duration};

use collector_ebpf::latency::BUCKETS;
use hyper::StatusCode;
use prometheus::{CounterVec, Encoder, Histogram, HistogramOpts, Opts, Registry, TextEncoder};
use proptest::{
    prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest},
    test_runner::{Config, TestCaseError},
};

use super::{
    super::{
        catalog::{Kind, Samples, families},
        content::Content,
        filter::Filter,
        own::OwnMetrics,
        shape::LATENCY,
    },
    Dialect, encode,
    parse::{self, Page},
};
use crate::{
    snapshot::{Counters, Latency, Owner, Row, Snapshot},
    units::{Nanos, Uid},
    users::Names,
    view::View,
};

mod openmetrics;

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn view(users: &[(u32, &str, Counters)]) -> View {
    let row =
        |(uid, _, counters): &(u32, &str, Counters)| Row { owner: Owner::User(Uid(*uid)), counters: counters.clone() };
    View {
        snapshot: Arc::new(Snapshot { rows: users.iter().map(row).collect(), ..Snapshot::default() }),
        names: users.iter().map(|(uid, name, _)| (Uid(*uid), Arc::from(*name))).collect::<Names>(),
        ..View::default()
    }
}

fn page(view: &View) -> Result<Page, String> {
    let mut out = Vec::new();
    encode(&Content::new(view, &[], Filter::ALL), Dialect::Prometheus, &mut out);
    parse::page(&out)
}

fn waits(buckets: &[u64; BUCKETS], wait: u64) -> Counters {
    Counters { wait: Nanos(wait), latency: Latency { buckets: *buckets }, ..Counters::default() }
}

/// Names as bad as they come: what the format gives a meaning to, control characters, anything else.
fn any_name() -> impl Strategy<Value = String> {
    let character = prop_oneof![Just('"'), Just('\\'), Just('\n'), Just('n'), Just('}'), Just(','), any::<char>()];
    proptest::collection::vec(character, 0..24).prop_map(String::from_iter)
}

#[test]
fn a_view_without_users_has_no_user_families() -> Outcome {
    let page = page(&View::default())?;
    for family in families() {
        // What has not been looked at yet is not told.
        let unseen = family.name.starts_with("uidmeter_host_")
            || family.name == "uidmeter_census_age_seconds"
            || family.name.starts_with("uidmeter_policy_");
        let expected = !unseen && matches!(family.samples, Samples::View { labels: [] | ["reason"], .. });
        assert_eq!(!page.samples(family.name).is_empty(), expected, "{}", family.name);
        assert_eq!(page.families.iter().any(|found| found.name == family.name), expected, "{}", family.name);
    }
    Ok(())
}

#[test]
fn families_stand_in_the_order_of_the_catalogue_with_its_help_and_kind() -> Outcome {
    let page = page(&view(&[(0, "root", Counters::default()), (7, "ann", Counters::default())]))?;
    let found: Vec<_> = page.families.iter().map(|f| (f.name.as_str(), f.help.as_str(), f.kind.as_str())).collect();
    let expected: Vec<_> = families()
        .filter(|family| page.families.iter().any(|found| found.name == family.name))
        .map(|family| (family.name, family.help, family.kind.word()))
        .collect();
    assert_eq!(found, expected);
    Ok(())
}

#[test]
fn labels_are_those_of_the_catalogue() -> Outcome {
    let page = page(&view(&[(7, "ann", Counters::default())]))?;
    for family in families() {
        for sample in page.samples(family.name) {
            let labels: Vec<_> =
                sample.labels.iter().map(|label| label.0.as_str()).filter(|name| *name != "le").collect();
            assert_eq!(labels, family.labels(), "{}", family.name);
        }
    }
    Ok(())
}

#[test]
fn a_user_without_a_name_is_shown_by_number_and_pseudo_users_by_word() -> Outcome {
    let owners = [Owner::User(Uid(u32::MAX)), Owner::Kernel, Owner::Overflow];
    let rows = owners.map(|owner| Row { owner, counters: Counters::default() }).to_vec();
    let page = page(&View { snapshot: Arc::new(Snapshot { rows, ..Snapshot::default() }), ..View::default() })?;
    let series: Vec<_> =
        page.samples("uidmeter_migrations_total").iter().map(|sample| sample.series.as_str()).collect();
    assert_eq!(
        series,
        [
            "uidmeter_migrations_total{uid=\"4294967295\",user=\"4294967295\"}",
            "uidmeter_migrations_total{uid=\"kernel\",user=\"[kernel]\"}",
            "uidmeter_migrations_total{uid=\"overflow\",user=\"[overflow]\"}",
        ]
    );
    Ok(())
}

#[test]
fn the_prometheus_crate_writes_the_same_families_the_same_way() -> Outcome {
    let hostile = "a\\b\"c\nd é {},= \u{7f}\t\r";
    let mut buckets = [0; BUCKETS];
    // One wait of 2⁻⁹ s and three of 2⁻² s, at the upper ends of their native buckets; two beyond all bounds.
    buckets[44] = 1;
    buckets[72] = 3;
    buckets[BUCKETS - 1] = 2;
    let counters = Counters {
        cpu: Nanos(1_550_701_066),
        user: Nanos(1_500_000_000),
        system: Nanos(50_701_066),
        ..waits(&buckets, 1_953_125 + 3 * 250_000_000 + 2 * 32_000_000_000)
    };
    let ours = page(&view(&[(7, hostile, counters)]))?;

    let registry = Registry::new();
    let labelled = |name: &str| families().find(|family| family.name == name).ok_or(format!("no {name}"));
    let cpu = labelled("uidmeter_cpu_seconds_total")?;
    let modes = labelled("uidmeter_cpu_mode_seconds_total")?;
    let latency = labelled("uidmeter_run_queue_latency_seconds")?;
    let total = CounterVec::new(Opts::new(cpu.name, cpu.help), &cpu.labels())?;
    total.with_label_values(&["7", hostile]).inc_by(1.550_701_066);
    let by_mode = CounterVec::new(Opts::new(modes.name, modes.help), &modes.labels())?;
    by_mode.with_label_values(&["7", hostile, "user"]).inc_by(1.5);
    by_mode.with_label_values(&["7", hostile, "system"]).inc_by(0.050_701_066);
    let opts = Opts::new(latency.name, latency.help).const_label("uid", "7").const_label("user", hostile);
    let bounds: Vec<f64> = LATENCY.classic().iter().map(|bucket| bucket.le.parse()).collect::<Result<_, _>>()?;
    let histogram = Histogram::with_opts(HistogramOpts { common_opts: opts, buckets: bounds })?;
    for wait in [0.001_953_125, 0.25, 0.25, 0.25, 32.0, 32.0] {
        histogram.observe(wait);
    }
    registry.register(Box::new(total))?;
    registry.register(Box::new(by_mode))?;
    registry.register(Box::new(histogram))?;
    let mut out = Vec::new();
    TextEncoder::new().encode(&registry.gather(), &mut out)?;
    let oracle = parse::page(&out)?;

    assert_eq!(oracle.families.len(), 3);
    for theirs in &oracle.families {
        let found = ours.families.iter().find(|family| family.name == theirs.name).ok_or("family is missing")?;
        assert_eq!((&found.help, &found.kind), (&theirs.help, &theirs.kind));
        assert_eq!(normal(&found.samples)?, normal(&theirs.samples)?);
    }
    // Escapes, to the byte: the reader could have undone the same mistake in both.
    let raw = String::from_utf8(out)?;
    let user = raw.lines().find_map(|line| line.strip_prefix("uidmeter_cpu_seconds_total{uid=\"7\","));
    let user = user.and_then(|line| line.rsplit_once('}')).ok_or("no such line")?.0;
    assert_eq!(ours.samples(cpu.name)[0].series, format!("{}{{uid=\"7\",{user}}}", cpu.name));
    Ok(())
}

#[test]
fn the_prometheus_crate_writes_the_process_s_own_metrics_the_same_way() -> Outcome {
    let own = OwnMetrics::new()?;
    own.tick(Duration::from_micros(1_234), true);
    own.scrape(Duration::from_millis(3));
    own.request(StatusCode::NOT_FOUND, "unknown");
    let gathered = own.gather();
    let mut out = Vec::new();
    encode(&Content::new(&View::default(), &gathered, Filter::ALL), Dialect::Prometheus, &mut out);
    let ours = parse::page(&out)?;
    let mut out = Vec::new();
    TextEncoder::new().encode(&gathered, &mut out)?;
    let oracle = parse::page(&out)?;
    assert!(oracle.families.len() >= 5);
    for theirs in &oracle.families {
        let found = ours.families.iter().find(|family| family.name == theirs.name).ok_or("family is missing")?;
        assert_eq!((&found.help, &found.kind), (&theirs.help, &theirs.kind));
        assert_eq!(normal(&found.samples)?, normal(&theirs.samples)?);
    }
    Ok(())
}

#[test]
fn a_filter_leaves_only_what_it_names() -> Outcome {
    let view = view(&[(7, "ann", Counters::default())]);
    let own = OwnMetrics::new()?.gather();
    let filter = Filter::from_query(Some("name[]=uidmeter_build_info&name[]=uidmeter_migrations_total"))?;
    let mut out = Vec::new();
    encode(&Content::new(&view, &own, filter), Dialect::Prometheus, &mut out);
    let names: Vec<_> = parse::page(&out)?.families.iter().map(|family| family.name.clone()).collect();
    assert_eq!(names, ["uidmeter_migrations_total", "uidmeter_build_info"]);
    Ok(())
}

/// Samples without what two correct encoders may do differently: order of labels and samples, spelling of a number.
fn normal(samples: &[parse::Sample]) -> Result<Vec<String>, std::num::ParseFloatError> {
    let mut lines = Vec::new();
    for sample in samples {
        let mut labels = sample.labels.clone();
        for label in labels.iter_mut().filter(|label| label.0 == "le") {
            label.1 = label.1.parse::<f64>()?.to_string();
        }
        labels.sort();
        lines.push(format!("{} {labels:?} {}", sample.name, sample.value.parse::<f64>()?));
    }
    lines.sort();
    Ok(lines)
}

proptest! {
    #![proptest_config(Config { failure_persistence: None, ..Config::default() })]

    #[test]
    fn any_name_reads_back_as_itself_and_breaks_no_line(names in proptest::collection::vec(any_name(), 1..6)) {
        let users: Vec<_> = (1..).zip(&names).map(|(uid, name)| (uid, name.as_str(), Counters::default())).collect();
        let page = page(&view(&users)).map_err(TestCaseError::fail)?;
        for family in &page.families {
            let samples = family.samples.iter();
            let uids: Vec<usize> = samples.clone().filter_map(|sample| sample.label("uid")?.parse().ok()).collect();
            let users: Vec<_> = samples.filter_map(|sample| sample.label("user")).collect();
            prop_assert_eq!(uids.len(), users.len());
            for (uid, user) in uids.iter().zip(users) {
                prop_assert_eq!(&names[uid - 1], user);
            }
        }
    }

    #[test]
    fn a_histogram_is_cumulative_and_its_count_is_the_sum_of_its_buckets(
        buckets in proptest::collection::vec(0..1_u64 << 50, BUCKETS), wait in any::<u64>(),
    ) {
        let all: u64 = buckets.iter().sum();
        let buckets = std::array::from_fn(|i| buckets[i]);
        let page = page(&view(&[(7, "ann", waits(&buckets, wait))])).map_err(TestCaseError::fail)?;
        let samples = page.samples("uidmeter_run_queue_latency_seconds");
        let of = |suffix: &str| samples.iter().filter(|sample| sample.name.ends_with(suffix)).collect::<Vec<_>>();
        let counts: Vec<u64> = of("_bucket").iter().filter_map(|sample| sample.value.parse().ok()).collect();
        let bounds: Vec<_> = of("_bucket").iter().filter_map(|sample| sample.label("le")).map(str::to_owned).collect();
        prop_assert_eq!(bounds.len(), LATENCY.classic().len() + 1);
        prop_assert_eq!(counts.len(), bounds.len());
        prop_assert_eq!(bounds.last().map(String::as_str), Some("+Inf"));
        prop_assert!(counts.is_sorted());
        prop_assert_eq!(counts.last(), Some(&all));
        prop_assert_eq!(&of("_count")[0].value, &all.to_string());
        let total = page.value("uidmeter_run_queue_wait_seconds_total{uid=\"7\",user=\"ann\"}");
        prop_assert_eq!(Some(of("_sum")[0].value.as_str()), total);
    }
}

#[test]
fn histogram_families_alone_have_buckets() -> Outcome {
    let page = page(&view(&[(7, "ann", Counters::default())]))?;
    for family in families().filter(|family| family.kind != Kind::Histogram) {
        assert!(page.samples(family.name).iter().all(|sample| sample.label("le").is_none()), "{}", family.name);
    }
    Ok(())
}
