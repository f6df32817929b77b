//! What is written is read back by `prost`, which knows nothing of us, and held against the text page.

#[path = "../../../tests/support/remote_write.rs"]
mod model;

use std::{collections::HashSet, error::Error, sync::Arc};

use prost::Message as _;

use self::model::{Count, Request, Sample, WriteRequest, ZeroCount};
use super::{PushProtocol, Record, Requests, STALE, Told};
use crate::{
    config::{Label, PushHistograms},
    export::{
        Filter, OwnMetrics,
        catalog::{Kind, Samples, families},
        content::Content,
        shape::LATENCY,
        text::{Dialect, encode, parse},
    },
    push::series::{Dress, taken, walk},
    snapshot::{Counters, Latency, Owner, Row, Snapshot},
    units::{Nanos, Uid, UnixTime},
    users::Names,
    view::{View, tests::complete},
};

type Outcome = Result<(), Box<dyn Error>>;
type Labels = Vec<(String, String)>;

const NOW: i64 = 1_700_000_100_000;
const SINCE: UnixTime = UnixTime(Nanos(1_700_000_000_250_000_000));

fn view() -> View {
    let mut latency = Latency::default();
    (latency.buckets[0], latency.buckets[1], latency.buckets[50], latency.buckets[81]) = (5, 1, 1 << 40, 3);
    let counters =
        Counters { cpu: Nanos(1_550_701_066), wait: Nanos(7), minor_faults: 1 << 60, latency, ..Counters::default() };
    let rows = [0, 7, 9].map(|uid| Row { owner: Owner::User(Uid(uid)), counters: counters.clone() });
    let snapshot = Snapshot { rows: rows.into(), ..Snapshot::default() };
    complete(View { snapshot: Arc::new(snapshot), names: Names::default(), ..View::default() })
}

fn dress(histograms: PushHistograms) -> Dress {
    let label = |name: &str, value: &str| Label { name: name.into(), value: value.into() };
    // One sorts before the series' name, one between its own labels.
    Dress { labels: vec![label("Site", "a\"\\\nb ä"), label("job", "uidmeter")], histograms }
}

fn requests(
    content: &Content<'_>,
    protocol: PushProtocol,
    histograms: PushHistograms,
    (most, told): (u32, Told),
) -> Vec<Record> {
    let mut records = Vec::new();
    let mut deliver = |record| records.push(record);
    let mut requests = Requests::new(protocol, NOW, most, &mut deliver);
    walk(content, &dress(histograms), &mut |series| requests.add(series, told));
    requests.finish();
    records
}

fn plain(record: &Record) -> Result<Vec<u8>, snap::Error> {
    snap::raw::Decoder::new().decompress_vec(&record.body)
}

/// Series of version 1.0 with their only samples.
fn first(records: &[Record]) -> Result<Vec<(Labels, Sample)>, Box<dyn Error>> {
    let mut found = Vec::new();
    for record in records {
        let request = WriteRequest::decode(plain(record)?.as_slice())?;
        assert_eq!(request.timeseries.len(), record.samples as usize);
        for series in request.timeseries {
            let [sample] = series.samples.as_slice() else { return Err("not one sample".into()) };
            let labels = series.labels.into_iter().map(|label| (label.name, label.value)).collect();
            found.push((labels, sample.clone()));
        }
    }
    Ok(found)
}

/// The labels without those of the dress, and with them checked.
fn undressed(labels: &[(String, String)]) -> (String, Labels) {
    let names: Vec<_> = labels.iter().map(|(name, _)| name.as_str()).collect();
    assert!(names.is_sorted() && names.iter().collect::<HashSet<_>>().len() == names.len(), "{names:?}");
    assert!(labels.iter().all(|(_, value)| !value.is_empty()), "{labels:?}");
    let value = |wanted: &str| labels.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
    assert_eq!((value("Site"), value("job")), (Some("a\"\\\nb ä"), Some("uidmeter")));
    let own = labels.iter().filter(|(name, _)| !["Site", "job", "__name__"].contains(&name.as_str()));
    (value("__name__").unwrap_or_default().to_owned(), own.cloned().collect())
}

/// Holds series against the text page: the same, in the same order.
fn assert_like_the_page(content: &Content<'_>, found: &[(Labels, Sample)]) -> Outcome {
    let mut text = Vec::new();
    encode(content, Dialect::Prometheus, &mut text);
    let page = parse::page(&text)?;
    let expected: Vec<_> = page.families.iter().flat_map(|family| &family.samples).collect();
    assert_eq!(found.len(), expected.len());
    for ((labels, sample), expected) in found.iter().zip(expected) {
        let (name, own) = undressed(labels);
        assert_eq!(name, expected.name);
        assert_eq!(sample.value.to_bits(), expected.value.parse::<f64>()?.to_bits(), "{}", expected.series);
        assert_eq!(sample.timestamp, NOW);
        // The page may have labels in another order, and empty ones.
        let mut wanted: Vec<_> = expected.labels.iter().filter(|(_, value)| !value.is_empty()).cloned().collect();
        wanted.sort();
        assert_eq!(own.len(), wanted.len(), "{}", expected.series);
        for (label, wanted) in own.iter().zip(&wanted) {
            let same_bound = || label.1.parse::<f64>().is_ok_and(|bound| Ok(bound) == wanted.1.parse());
            assert!(
                label.0 == wanted.0 && (label.1 == wanted.1 || label.0 == "le" && same_bound()),
                "{}",
                expected.series
            );
            assert!(label.0 != "le" || label.1.contains(['.', 'e', 'I']), "{label:?} is no bound of OpenMetrics");
        }
    }
    Ok(())
}

#[test]
fn every_sample_of_the_text_page_is_in_version_1_with_the_same_labels_and_number() -> Outcome {
    let (view, own) = (view(), OwnMetrics::new()?);
    own.push().queue(1, 2);
    let own = own.gather();
    let content = Content::new(&view, &own, Filter::ALL);
    let records = requests(&content, PushProtocol::V1, PushHistograms::Classic, (50, Told::Value));
    assert!(records.len() > 3 && records.iter().all(|record| record.samples <= 50 && record.timestamp == NOW));
    assert_like_the_page(&content, &first(&records)?)
}

#[test]
fn version_2_tells_the_same_with_types_help_units_and_starts() -> Outcome {
    let (view, own) = (view(), OwnMetrics::new()?.gather());
    let mut content = Content::new(&view, &own, Filter::ALL);
    content.rows[0].since = Some(SINCE);
    // One that began after the reading: it is left out.
    content.rows[1].since = Some(UnixTime(Nanos(1_700_000_100_000_000_000)));
    let mut found = Vec::new();
    let mut starts = 0;
    for record in requests(&content, PushProtocol::V2, PushHistograms::Classic, (100, Told::Value)) {
        let request = Request::decode(plain(&record)?.as_slice())?;
        assert_eq!(request.symbols.first().map(String::as_str), Some(""));
        assert_eq!(request.symbols.iter().collect::<HashSet<_>>().len(), request.symbols.len());
        for series in &request.timeseries {
            let labels = request.labels(series).ok_or("a reference leads nowhere")?;
            let (name, own) = undressed(&labels);
            let of_name = |stem: &str| {
                name == stem
                    || name.strip_prefix(stem).is_some_and(|rest| ["_bucket", "_sum", "_count"].contains(&rest))
            };
            let family = families().find(|family| of_name(family.name)).ok_or("not in the catalogue")?;
            let metadata = series.metadata.as_ref().ok_or("no metadata")?;
            let symbol = |reference: u32| request.symbols.get(reference as usize).map(String::as_str);
            let kind = match family.kind {
                Kind::Counter => 1,
                Kind::Gauge => 2,
                Kind::Histogram => 3,
            };
            assert_eq!(metadata.kind, kind, "{name}");
            assert_eq!(
                (symbol(metadata.help_ref), symbol(metadata.unit_ref)),
                (Some(family.help), family.unit.word().or(Some("")))
            );
            let [sample] = series.samples.as_slice() else { return Err("not one sample".into()) };
            let is_first = own.iter().any(|(name, value)| name == "uid" && value == "0");
            let start = if is_first && family.began_with_its_row() { 1_700_000_000_250 } else { 0 };
            assert_eq!((sample.start_timestamp, series.created_timestamp), (start, start), "{name}");
            starts += usize::from(start > 0);
            found.push((labels, sample.clone()));
        }
    }
    assert!(starts > 20);
    assert_like_the_page(&content, &found)
}

#[test]
fn native_histograms_have_the_row_s_buckets() -> Outcome {
    let view = view();
    let content = Content::new(&view, &[], Filter::from_query(Some("name[]=uidmeter_run_queue_latency_seconds"))?);
    for (histograms, natives, numbers) in [
        (PushHistograms::Native, 3, 0),
        (PushHistograms::Both, 3, 3 * (LATENCY.classic().len() + 3)),
        (PushHistograms::Classic, 0, 3 * (LATENCY.classic().len() + 3)),
    ] {
        let [record] = &requests(&content, PushProtocol::V2, histograms, (1_000, Told::Value))[..] else {
            return Err("not one request".into());
        };
        let request = Request::decode(plain(record)?.as_slice())?;
        let (with, without): (Vec<_>, Vec<_>) = request.timeseries.iter().partition(|series| series.samples.is_empty());
        assert_eq!((with.len(), without.len()), (natives, numbers), "{histograms:?}");
        for series in with {
            let [native] = series.histograms.as_slice() else { return Err("not one histogram".into()) };
            assert_eq!((native.schema, native.timestamp), (2, NOW));
            assert_eq!(native.zero_threshold.to_bits(), LATENCY.zero_threshold().to_bits());
            assert_eq!(native.zero_count, Some(ZeroCount::Int(5)));
            assert_eq!(native.count, Some(Count::Int((1 << 40) + 9)));
            let mut index = 0;
            let mut deltas = native.positive_deltas.iter();
            let (mut count, mut buckets) = (0, Vec::new());
            for span in &native.positive_spans {
                index += span.offset;
                for delta in deltas.by_ref().take(span.length as usize) {
                    count += delta;
                    buckets.push((index, count));
                    index += 1;
                }
            }
            buckets.retain(|(_, count)| *count > 0);
            let first = LATENCY.first_index();
            assert_eq!(buckets, [(first, 1), (first + 49, 1 << 40), (first + 80, 3)]);
        }
    }
    Ok(())
}

#[test]
fn a_series_that_ended_has_the_number_that_says_so_and_nothing_else_has() -> Outcome {
    let (view, own) = (view(), OwnMetrics::new()?.gather());
    let content = Content::new(&view, &own, Filter::ALL);
    let both = |told| requests(&content, PushProtocol::V2, PushHistograms::Both, (5_000, told));
    let one = |told| first(&requests(&content, PushProtocol::V1, PushHistograms::Classic, (5_000, told)));
    let is_stale = |value: f64| value.to_bits() == STALE;
    assert_eq!(STALE, 0x7ff0_0000_0000_0002);
    assert!(one(Told::End)?.iter().all(|(_, sample)| is_stale(sample.value) && sample.timestamp == NOW));
    assert!(one(Told::Value)?.iter().all(|(_, sample)| !is_stale(sample.value)));
    let mut natives = 0;
    for record in both(Told::End) {
        for series in Request::decode(plain(&record)?.as_slice())?.timeseries {
            assert!(series.samples.iter().all(|sample| is_stale(sample.value)));
            natives += series.histograms.len();
            for native in &series.histograms {
                assert!(
                    is_stale(native.sum) && native.positive_spans.is_empty() && native.count == Some(Count::Int(0))
                );
            }
        }
    }
    assert!(natives >= 3);
    Ok(())
}

#[test]
fn a_label_that_a_family_has_by_itself_is_found_out() {
    let label = |name: &str| Label { name: name.into(), value: "x".into() };
    for name in ["uid", "user", "le", "probe", "reason", "__name__"] {
        assert_eq!(taken(&[label("fine"), label(name)]), Some(&label(name)));
    }
    assert_eq!(taken(&[label("site"), label("team")]), None);
    assert!(
        families().any(|family| matches!(family.samples, Samples::Process { labels } if labels.contains(&"reason")))
    );
}
