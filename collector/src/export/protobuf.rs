//! The protobuf format: one message `io.prometheus.client.MetricFamily` for each family, after its length as a varint.
//! The only format with native histograms; the same histogram message carries the classic buckets too.
//!
//! Goes straight from the content to bytes. What a row's samples share (its labels) is written once per row; a message
//! is written after what it contains, since its length stands before it. Fields are those of
//! `io/prometheus/client/metrics.proto` (<https://github.com/prometheus/client_model>); [`field`] has their numbers.

pub(crate) mod histogram;
mod own;
pub(crate) mod wire;

use self::{
    histogram::Native,
    wire::{double, message, text, varint},
};
use super::{
    catalog::{Family, Kind, ROW_LABELS, Samples, Value},
    content::Content,
};
use crate::{
    units::{Nanos, UnixTime},
    view::{RowView, View},
};

/// What the format calls itself.
pub const CONTENT_TYPE: &str =
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";

/// Numbers of fields in metrics.proto.
mod field {
    pub(super) const FAMILY_NAME: u32 = 1;
    pub(super) const FAMILY_HELP: u32 = 2;
    pub(super) const FAMILY_TYPE: u32 = 3;
    pub(super) const FAMILY_METRIC: u32 = 4;
    pub(super) const FAMILY_UNIT: u32 = 5;
    pub(super) const METRIC_LABEL: u32 = 1;
    pub(super) const METRIC_GAUGE: u32 = 2;
    pub(super) const METRIC_COUNTER: u32 = 3;
    pub(super) const METRIC_HISTOGRAM: u32 = 7;
    pub(super) const LABEL_NAME: u32 = 1;
    pub(super) const LABEL_VALUE: u32 = 2;
    /// Of a counter and of a gauge alike.
    pub(super) const VALUE: u32 = 1;
    pub(super) const COUNTER_CREATED: u32 = 3;
    pub(super) const SAMPLE_COUNT: u32 = 1;
    pub(super) const SAMPLE_SUM: u32 = 2;
    pub(super) const BUCKET: u32 = 3;
    pub(super) const SCHEMA: u32 = 5;
    pub(super) const ZERO_THRESHOLD: u32 = 6;
    pub(super) const ZERO_COUNT: u32 = 7;
    pub(super) const POSITIVE_SPAN: u32 = 12;
    pub(super) const POSITIVE_DELTA: u32 = 13;
    pub(super) const HISTOGRAM_CREATED: u32 = 15;
    pub(super) const CUMULATIVE_COUNT: u32 = 1;
    pub(super) const UPPER_BOUND: u32 = 2;
    pub(super) const TIMESTAMP_SECONDS: u32 = 1;
    pub(super) const TIMESTAMP_NANOS: u32 = 2;
}

/// Appends a whole page.
pub fn encode(content: &Content<'_>, out: &mut Vec<u8>) {
    let rows: Vec<_> = content.rows.iter().map(|row| Row::of(content.view, row)).collect();
    let mut metrics = Vec::new();
    let mut family_message = Vec::new();
    for family in content.families() {
        metrics.clear();
        samples(family, content, &rows, &mut metrics);
        if metrics.is_empty() {
            continue;
        }
        family_message.clear();
        header(family, &mut family_message);
        varint((family_message.len() + metrics.len()) as u64, out);
        out.extend_from_slice(&family_message);
        out.extend_from_slice(&metrics);
    }
}

fn header(family: &Family, out: &mut Vec<u8>) {
    text(field::FAMILY_NAME, family.name, out);
    text(field::FAMILY_HELP, family.help, out);
    // `MetricType` of metrics.proto.
    let kind = match family.kind {
        Kind::Counter => 0,
        Kind::Gauge => 1,
        Kind::Histogram => 4,
    };
    wire::number(field::FAMILY_TYPE, kind, out);
    if let Some(unit) = family.unit.word() {
        text(field::FAMILY_UNIT, unit, out);
    }
}

fn samples(family: &Family, content: &Content<'_>, rows: &[Row<'_>], out: &mut Vec<u8>) {
    match family.samples {
        Samples::Row(extract) => {
            for row in rows {
                if let Some(value) = extract(row.view) {
                    plain(family, &[&row.labels], value, &row.created, out);
                }
            }
        }
        Samples::RowBy { label, parts } => {
            let parts: Vec<_> = parts.iter().map(|(part, extract)| (pair(label, part), extract)).collect();
            for row in rows {
                for (part, extract) in &parts {
                    if let Some(value) = extract(row.view) {
                        plain(family, &[&row.labels, part], value, &row.created, out);
                    }
                }
            }
        }
        Samples::RowHistogram { shape, observed } => {
            let mut native = Native::of(shape);
            for row in rows {
                if let Some(observed) = observed(row.view) {
                    let inner = native.message(&observed, &row.created);
                    metric(&[&row.labels], field::METRIC_HISTOGRAM, inner, out);
                }
            }
        }
        Samples::View { labels, each } => each(content.view, &mut |values, value| {
            let labels: Vec<u8> = labels.iter().zip(values).flat_map(|(name, value)| pair(name, value)).collect();
            plain(family, &[&labels], value, &[], out);
        }),
        Samples::Process { .. } => own::samples(family, content.own(family), out),
    }
}

/// A counter's or gauge's sample. `created` is the inside of a timestamp, or nothing.
#[inline]
fn plain(family: &Family, labels: &[&[u8]], value: Value, created: &[u8], out: &mut Vec<u8>) {
    let (kind, created) = match family.kind {
        Kind::Gauge => (field::METRIC_GAUGE, [].as_slice()),
        Kind::Counter | Kind::Histogram => (field::METRIC_COUNTER, created),
    };
    let of_created = if created.is_empty() { 0 } else { wire::message_length(field::COUNTER_CREATED, created.len()) };
    let inner = wire::DOUBLE_LENGTH + of_created;
    open_metric(labels, kind, inner, out);
    double(field::VALUE, float(value), out);
    if !created.is_empty() {
        message(field::COUNTER_CREATED, created, out);
    }
}

/// A metric with a message as its value.
fn metric(labels: &[&[u8]], kind: u32, inner: &[u8], out: &mut Vec<u8>) {
    open_metric(labels, kind, inner.len(), out);
    out.extend_from_slice(inner);
}

/// A metric up to where its value's `inner` bytes begin. Labels are already written.
#[inline]
fn open_metric(labels: &[&[u8]], kind: u32, inner: usize, out: &mut Vec<u8>) {
    let of_labels: usize = labels.iter().map(|part| part.len()).sum();
    wire::open(field::FAMILY_METRIC, of_labels + wire::message_length(kind, inner), out);
    for part in labels {
        out.extend_from_slice(part);
    }
    wire::open(kind, inner, out);
}

/// A label as part of a metric.
fn pair(name: &str, value: &str) -> Vec<u8> {
    let mut inner = Vec::with_capacity(name.len() + value.len() + 8);
    text(field::LABEL_NAME, name, &mut inner);
    text(field::LABEL_VALUE, value, &mut inner);
    let mut out = Vec::with_capacity(inner.len() + 3);
    message(field::METRIC_LABEL, &inner, &mut out);
    out
}

/// The inside of a `google.protobuf.Timestamp`.
fn timestamp(UnixTime(Nanos(since)): UnixTime) -> Vec<u8> {
    let mut inner = Vec::with_capacity(16);
    wire::number(field::TIMESTAMP_SECONDS, since / 1_000_000_000, &mut inner);
    wire::number(field::TIMESTAMP_NANOS, since % 1_000_000_000, &mut inner);
    inner
}

/// The only number that the format has. Nanoseconds up to 2⁵³ (a hundred days) become the nearest number there is.
#[inline]
#[expect(clippy::cast_precision_loss, reason = "the format's numbers are floating-point")]
pub(crate) fn float(value: Value) -> f64 {
    match value {
        Value::Count(count) => count as f64,
        Value::Time(time) => time.as_secs_f64(),
        Value::Ratio(ratio) => ratio,
    }
}

/// A row with what all its samples share.
struct Row<'a> {
    view: &'a RowView<'a>,
    /// As fields of a metric.
    labels: Vec<u8>,
    /// When its counters began: the inside of a timestamp, or nothing.
    created: Vec<u8>,
}

impl<'a> Row<'a> {
    fn of(view: &'a View, row: &'a RowView<'a>) -> Self {
        let values = [View::uid_label(row.owner), view.user_label(row.owner)];
        let labels = ROW_LABELS.iter().zip(&values).flat_map(|(name, value)| pair(name, value)).collect();
        Self { view: row, labels, created: row.since.map(timestamp).unwrap_or_default() }
    }
}

#[cfg(test)]
mod tests;
