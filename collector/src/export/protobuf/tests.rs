//! Against `prost`: what it reads is what the content says, and what it would write is what stands there.

use std::{sync::Arc, time::Duration};

use collector_ebpf::latency::{BOUNDS_NS, BUCKETS, bucket_of};
use proptest::{
    prelude::{any, prop_assert, prop_assert_eq, proptest},
    test_runner::{Config, TestCaseError},
};
use prost::Message as _;

use self::model::{Histogram, Metric, MetricFamily, MetricType};
use super::{Content, encode, wire};
use crate::{
    export::{
        catalog::{Kind, families},
        filter::Filter,
        own::OwnMetrics,
        shape::LATENCY,
        text::{self, Dialect, parse},
    },
    snapshot::{Counters, Latency, Owner, Row, Snapshot},
    units::{Nanos, Uid, UnixTime},
    users::Names,
    view::View,
};

mod model;

type Outcome = Result<(), Box<dyn std::error::Error>>;

const WAITS: &str = "uidmeter_run_queue_latency_seconds";

fn view(users: &[(u32, &str, Counters)]) -> View {
    let row =
        |(uid, _, counters): &(u32, &str, Counters)| Row { owner: Owner::User(Uid(*uid)), counters: counters.clone() };
    View {
        snapshot: Arc::new(Snapshot { rows: users.iter().map(row).collect(), ..Snapshot::default() }),
        names: users.iter().map(|(uid, name, _)| (Uid(*uid), Arc::from(*name))).collect::<Names>(),
        ..View::default()
    }
}

fn waits(buckets: &[u64; BUCKETS], wait: u64) -> Counters {
    Counters { wait: Nanos(wait), latency: Latency { buckets: *buckets }, ..Counters::default() }
}

fn bytes(content: &Content<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    encode(content, &mut out);
    out
}

fn read(mut page: &[u8]) -> Result<Vec<MetricFamily>, prost::DecodeError> {
    let mut found = Vec::new();
    while !page.is_empty() {
        found.push(MetricFamily::decode_length_delimited(&mut page)?);
    }
    Ok(found)
}

fn histogram(families: &[MetricFamily], metric: usize) -> Option<&Histogram> {
    families.iter().find(|family| family.name == WAITS)?.metric.get(metric)?.histogram.as_ref()
}

/// Native buckets by index, from spans and deltas, as the protocol defines them.
fn buckets(histogram: &Histogram) -> Vec<(i32, i64)> {
    let (mut found, mut index, mut count) = (Vec::new(), 0, 0);
    let mut deltas = histogram.positive_delta.iter();
    for span in &histogram.positive_span {
        index += span.offset;
        for _ in 0..span.length {
            count += deltas.next().unwrap_or(&i64::MIN);
            found.push((index, count));
            index += 1;
        }
    }
    assert_eq!(deltas.next(), None);
    found
}

/// A sample as the text page has it: name, labels and number.
type Sample = (String, Vec<(String, String)>, f64);

fn samples(family: &MetricFamily, metric: &Metric) -> Vec<Sample> {
    let labels: Vec<_> = metric.label.iter().map(|pair| (pair.name.clone(), pair.value.clone())).collect();
    let with = |suffix: &str, value: f64| (format!("{}{suffix}", family.name), labels.clone(), value);
    let Some(histogram) = &metric.histogram else {
        let value =
            metric.counter.as_ref().map(|counter| counter.value).or(metric.gauge.as_ref().map(|gauge| gauge.value));
        return vec![with("", value.unwrap_or(f64::NAN))];
    };
    let count = |count: u64| count.to_string().parse().unwrap_or(f64::NAN);
    let bounds = histogram.bucket.iter().map(|bucket| (bucket.upper_bound, bucket.cumulative_count));
    let mut found: Vec<_> = bounds
        .chain([(f64::INFINITY, histogram.sample_count)])
        .map(|(bound, cumulative)| {
            let mut sample = with("_bucket", count(cumulative));
            sample.1.push(("le".into(), bound.to_string()));
            sample
        })
        .collect();
    found.push(with("_sum", histogram.sample_sum));
    found.push(with("_count", count(histogram.sample_count)));
    found
}

#[test]
fn every_sample_of_the_text_page_is_there_with_the_same_labels_and_number() -> Outcome {
    let counters = Counters {
        cpu: Nanos(1_550_701_066),
        user: Nanos(1_500_000_000),
        minor_faults: 1 << 60,
        ..waits(&std::array::from_fn(|i| i as u64 % 7), 123_456_789)
    };
    let view =
        view(&[(0, "root", counters), (7, "a\\b\"c\nd é {},=", Counters::default()), (9, "", Counters::default())]);
    let own = OwnMetrics::new()?;
    own.tick(Duration::from_micros(1_500), true);
    let own = own.gather();
    let content = Content::new(&view, &own, Filter::ALL);
    let mut text = Vec::new();
    text::encode(&content, Dialect::Prometheus, &mut text);
    let text = parse::page(&text)?;
    let page = bytes(&content);
    let found = read(&page)?;
    assert_eq!(found.len(), text.families.len());
    for (family, expected) in found.iter().zip(&text.families) {
        assert_eq!((&family.name, &family.help), (&expected.name, &expected.help));
        let of_family: Vec<_> = family.metric.iter().flat_map(|metric| samples(family, metric)).collect();
        assert_eq!(of_family.len(), expected.samples.len(), "{}", family.name);
        for ((name, labels, value), expected) in of_family.iter().zip(&expected.samples) {
            assert_eq!(name, &expected.name);
            assert_eq!(value.to_bits(), expected.value.parse::<f64>()?.to_bits(), "{}", expected.series);
            for (label, expected) in labels.iter().zip(&expected.labels) {
                assert_eq!(label.0, expected.0);
                let is_bound = label.0 == "le";
                assert!(if is_bound { label.1.parse::<f64>() == expected.1.parse() } else { label.1 == expected.1 });
            }
            assert_eq!(labels.len(), expected.labels.len());
        }
    }
    // prost writes default values as absent, and we write them: reading back its bytes must give the same again.
    let again: Vec<u8> = found.iter().flat_map(MetricFamily::encode_length_delimited_to_vec).collect();
    assert_eq!(read(&again)?, found);
    Ok(())
}

#[test]
fn kinds_and_units_are_those_of_the_catalogue() -> Outcome {
    let view = view(&[(7, "ann", Counters::default())]);
    let own = OwnMetrics::new()?.gather();
    for family in read(&bytes(&Content::new(&view, &own, Filter::ALL)))? {
        let listed = families().find(|listed| listed.name == family.name).ok_or("not in the catalogue")?;
        let kind = match listed.kind {
            Kind::Counter => MetricType::Counter,
            Kind::Gauge => MetricType::Gauge,
            Kind::Histogram => MetricType::Histogram,
        };
        assert_eq!(
            (family.r#type(), family.unit.as_str()),
            (kind, listed.unit.word().unwrap_or("")),
            "{}",
            family.name
        );
    }
    Ok(())
}

#[test]
fn a_histogram_has_schema_2_and_the_kernel_s_zero_bucket() -> Outcome {
    let mut counts = [0; BUCKETS];
    (counts[0], counts[1], counts[81], counts[BUCKETS - 1]) = (5, 1, 2, 3);
    let families = read(&bytes(&Content::new(&view(&[(7, "ann", waits(&counts, 9))]), &[], Filter::ALL)))?;
    let histogram = histogram(&families, 0).ok_or("no histogram")?;
    assert_eq!((histogram.schema, histogram.zero_count, histogram.sample_count), (2, 5, 11));
    assert_eq!(histogram.zero_threshold.to_bits(), 2_f64.powi(-20).to_bits());
    // 2^(-79/4), 2^(1/4), and the bucket after 2^(64/4).
    assert_eq!(buckets(histogram), [(-79, 1), (1, 2), (17, 3)]);
    assert_eq!(histogram.positive_span.len(), 3);
    Ok(())
}

#[test]
fn a_histogram_without_observations_is_still_a_native_one() -> Outcome {
    let families = read(&bytes(&Content::new(&view(&[(7, "ann", Counters::default())]), &[], Filter::ALL)))?;
    let histogram = histogram(&families, 0).ok_or("no histogram")?;
    assert!(histogram.positive_span.is_empty() && histogram.positive_delta.is_empty());
    // Prometheus takes a histogram with a zero threshold for a native one.
    assert!(histogram.zero_threshold > 0.0 && histogram.sample_count == 0);
    Ok(())
}

#[test]
fn the_moment_at_which_a_row_began_goes_with_counters_and_histograms() -> Outcome {
    let view = view(&[(7, "ann", Counters::default())]);
    let mut content = Content::new(&view, &[], Filter::ALL);
    content.rows[0].since = Some(UnixTime(Nanos(1_700_000_000_250_000_000)));
    let mut found = 0;
    for family in read(&bytes(&content))? {
        for metric in &family.metric {
            let created = match (&metric.counter, &metric.histogram) {
                (Some(counter), _) => counter.created_timestamp.as_ref(),
                (_, Some(histogram)) => histogram.created_timestamp.as_ref(),
                _ => None,
            };
            let expected = families().any(|listed| listed.name == family.name && listed.began_with_its_row());
            assert_eq!(created.map(|at| (at.seconds, at.nanos)), expected.then_some((1_700_000_000, 250_000_000)));
            found += usize::from(expected);
        }
    }
    assert!(found > 8);
    Ok(())
}

proptest! {
    #![proptest_config(Config { failure_persistence: None, ..Config::default() })]

    #[test]
    fn native_buckets_are_the_kernel_s_and_no_span_holds_a_long_gap(
        counts in proptest::collection::vec(proptest::option::weighted(0.3, 0_u64..1 << 50), BUCKETS),
    ) {
        let counts: [u64; BUCKETS] = std::array::from_fn(|i| counts[i].unwrap_or(0));
        let view = view(&[(7, "ann", waits(&counts, 1))]);
        let families = read(&bytes(&Content::new(&view, &[], Filter::ALL))).map_err(|error| TestCaseError::fail(error.to_string()))?;
        let histogram = histogram(&families, 0).ok_or(TestCaseError::fail("no histogram"))?;
        let found: Vec<_> = buckets(histogram).into_iter().filter(|(_, count)| *count != 0).collect();
        let expected: Vec<(i32, i64)> = (LATENCY.first_index()..)
            .zip(&counts[1..])
            .filter(|(_, count)| **count > 0)
            .map(|(index, count)| (index, i64::try_from(*count).unwrap_or(0)))
            .collect();
        prop_assert_eq!(found, expected);
        prop_assert_eq!(histogram.zero_count, counts[0]);
        prop_assert_eq!(histogram.sample_count, counts.iter().sum::<u64>());
        prop_assert!(buckets(histogram).windows(3).all(|three| three.iter().any(|(_, count)| *count > 0)));
        prop_assert!(histogram.positive_span.iter().skip(1).all(|span| span.offset > 2));
    }

    #[test]
    fn a_wait_lies_within_the_bounds_that_prometheus_gives_to_its_bucket(ns in 954_u64..16_000_000_000) {
        let mut counts = [0; BUCKETS];
        counts[bucket_of(ns)] = 1;
        let view = view(&[(7, "ann", waits(&counts, ns))]);
        let families = read(&bytes(&Content::new(&view, &[], Filter::ALL))).map_err(|error| TestCaseError::fail(error.to_string()))?;
        let found = histogram(&families, 0).map(buckets).unwrap_or_default();
        prop_assert_eq!(found.len(), 1);
        let upper = (f64::from(found[0].0) / 4.0).exp2();
        let seconds = Nanos(ns).as_secs_f64();
        prop_assert!(seconds <= upper * (1.0 + 1e-12) && seconds > upper / 2_f64.powf(0.25), "{} in {}", seconds, upper);
        prop_assert!(ns > BOUNDS_NS[0]);
    }

    #[test]
    fn varints_are_those_of_prost(value in any::<u64>(), shift in 0..64) {
        let value = value >> shift;
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        wire::varint(value, &mut ours);
        prost::encoding::encode_varint(value, &mut theirs);
        prop_assert_eq!(&ours, &theirs);
        prop_assert_eq!(wire::varint_length(value), ours.len());
    }

    #[test]
    fn any_name_reads_back_as_itself(name in any::<String>()) {
        let view = view(&[(7, &name, Counters::default())]);
        let families = read(&bytes(&Content::new(&view, &[], Filter::ALL))).map_err(|error| TestCaseError::fail(error.to_string()))?;
        for metric in families.iter().flat_map(|family| &family.metric) {
            let user = metric.label.iter().find(|pair| pair.name == "user");
            prop_assert!(user.is_none_or(|user| user.value == name));
        }
    }
}
