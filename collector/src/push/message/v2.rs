//! `io.prometheus.write.v2.Request` of remote write 2.0 (<https://prometheus.io/docs/specs/prw/remote_write_spec_2_0/>): every
//! string once, types, help, start times, native histograms.
//!
//! The start time stands at two places. The specification has it with each sample since its release candidate 4; before, and in
//! Prometheus 3.5, it was one of the series, in a field that is reserved now. Each receiver ignores the one that it does not know.

use std::collections::HashMap;

use super::{Point, Series, Told, stale};
use crate::{
    export::{
        catalog::Kind,
        protobuf::{
            histogram::positive,
            wire::{double, message, number, text, varint, zigzag},
        },
        shape::Shape,
    },
    units::{Nanos, UnixTime},
};

/// Numbers of fields.
mod field {
    pub(super) const SYMBOLS: u32 = 4;
    pub(super) const TIMESERIES: u32 = 5;
    pub(super) const LABELS_REFS: u32 = 1;
    pub(super) const SAMPLES: u32 = 2;
    pub(super) const HISTOGRAMS: u32 = 3;
    pub(super) const METADATA: u32 = 5;
    pub(super) const CREATED_TIMESTAMP: u32 = 6;
    pub(super) const SAMPLE_VALUE: u32 = 1;
    pub(super) const SAMPLE_TIMESTAMP: u32 = 2;
    pub(super) const SAMPLE_START: u32 = 3;
    pub(super) const METADATA_TYPE: u32 = 1;
    pub(super) const METADATA_HELP: u32 = 3;
    pub(super) const METADATA_UNIT: u32 = 4;
    pub(super) const COUNT: u32 = 1;
    pub(super) const SUM: u32 = 3;
    pub(super) const SCHEMA: u32 = 4;
    pub(super) const ZERO_THRESHOLD: u32 = 5;
    pub(super) const ZERO_COUNT: u32 = 6;
    pub(super) const POSITIVE_SPANS: u32 = 11;
    pub(super) const POSITIVE_DELTAS: u32 = 12;
    pub(super) const HISTOGRAM_TIMESTAMP: u32 = 15;
    pub(super) const HISTOGRAM_START: u32 = 17;
}

/// A request as it grows.
#[derive(Debug)]
pub(super) struct Request {
    symbols: HashMap<String, u64>,
    /// The symbols as fields, in the order of their numbers.
    table: Vec<u8>,
    series: Vec<u8>,
}

impl Default for Request {
    fn default() -> Self {
        let mut request = Self { symbols: HashMap::new(), table: Vec::new(), series: Vec::new() };
        // The first one must be the empty string.
        request.symbol("");
        request
    }
}

impl Request {
    pub(super) fn len(&self) -> usize {
        self.table.len() + self.series.len()
    }

    pub(super) fn into_bytes(mut self) -> Vec<u8> {
        self.table.append(&mut self.series);
        self.table
    }

    /// The number of `symbol`.
    fn symbol(&mut self, symbol: &str) -> u64 {
        if let Some(known) = self.symbols.get(symbol) {
            return *known;
        }
        let new = self.symbols.len() as u64;
        text(field::SYMBOLS, symbol, &mut self.table);
        self.symbols.insert(symbol.to_owned(), new);
        new
    }

    /// Adds a series.
    pub(super) fn append(&mut self, series: &Series<'_>, told: Told, timestamp: i64) {
        let mut inner = Vec::new();
        let mut part = Vec::new();
        for (name, value) in &series.labels {
            varint(self.symbol(name), &mut part);
            varint(self.symbol(value), &mut part);
        }
        message(field::LABELS_REFS, &part, &mut inner);
        // A start that is not before the sample would contradict it.
        let start = series.since.map(milliseconds).filter(|start| *start < timestamp.cast_unsigned());
        part.clear();
        match series.point {
            Point::Number(value) => {
                double(field::SAMPLE_VALUE, if told == Told::End { stale() } else { value }, &mut part);
                number(field::SAMPLE_TIMESTAMP, timestamp.cast_unsigned(), &mut part);
                optional(field::SAMPLE_START, start, &mut part);
                message(field::SAMPLES, &part, &mut inner);
            }
            Point::Native { shape, buckets, sum } => {
                match told {
                    Told::Value => histogram(shape, buckets, sum, &mut part),
                    // A native series ends with an empty histogram whose sum says so.
                    Told::End => histogram(shape, &[], stale(), &mut part),
                }
                number(field::HISTOGRAM_TIMESTAMP, timestamp.cast_unsigned(), &mut part);
                optional(field::HISTOGRAM_START, start, &mut part);
                message(field::HISTOGRAMS, &part, &mut inner);
            }
        }
        let help = self.symbol(series.family.help);
        let unit = self.symbol(series.family.unit.word().unwrap_or_default());
        part.clear();
        // `MetricType` of the message `Metadata`.
        let kind = match series.family.kind {
            Kind::Counter => 1,
            Kind::Gauge => 2,
            Kind::Histogram => 3,
        };
        number(field::METADATA_TYPE, kind, &mut part);
        number(field::METADATA_HELP, help, &mut part);
        number(field::METADATA_UNIT, unit, &mut part);
        message(field::METADATA, &part, &mut inner);
        optional(field::CREATED_TIMESTAMP, start, &mut inner);
        message(field::TIMESERIES, &inner, &mut self.series);
    }
}

fn optional(field: u32, value: Option<u64>, out: &mut Vec<u8>) {
    if let Some(value) = value {
        number(field, value, out);
    }
}

/// All fields of a histogram but its times.
fn histogram(shape: &Shape, buckets: &[u64], sum: f64, out: &mut Vec<u8>) {
    let (zero, rest) = buckets.split_first().unwrap_or((&0, &[]));
    let (mut spans, mut deltas) = (Vec::new(), Vec::new());
    number(field::COUNT, buckets.iter().sum(), out);
    double(field::SUM, sum, out);
    number(field::SCHEMA, zigzag(Shape::SCHEMA.into()), out);
    double(field::ZERO_THRESHOLD, shape.zero_threshold(), out);
    number(field::ZERO_COUNT, *zero, out);
    positive(field::POSITIVE_SPANS, shape.first_index(), rest, &mut spans, &mut deltas);
    out.extend_from_slice(&spans);
    if !deltas.is_empty() {
        message(field::POSITIVE_DELTAS, &deltas, out);
    }
}

fn milliseconds(UnixTime(Nanos(since)): UnixTime) -> u64 {
    since / 1_000_000
}
