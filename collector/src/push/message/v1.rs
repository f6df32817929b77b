//! `prometheus.WriteRequest` of remote write 1.0 (<https://prometheus.io/docs/specs/prw/remote_write_spec/>): labels in full with
//! each series, numbers only.

use super::{Point, Series, Told, stale};
use crate::export::protobuf::wire::{double, message, number, text};

/// Numbers of fields.
mod field {
    pub(super) const TIMESERIES: u32 = 1;
    pub(super) const LABELS: u32 = 1;
    pub(super) const SAMPLES: u32 = 2;
    pub(super) const LABEL_NAME: u32 = 1;
    pub(super) const LABEL_VALUE: u32 = 2;
    pub(super) const SAMPLE_VALUE: u32 = 1;
    pub(super) const SAMPLE_TIMESTAMP: u32 = 2;
}

/// Appends a series to a request. A native histogram has no place in this version.
pub(super) fn append(series: &Series<'_>, told: Told, timestamp: i64, out: &mut Vec<u8>) {
    let Point::Number(value) = series.point else { return };
    let mut inner = Vec::new();
    let mut part = Vec::new();
    for (name, value) in &series.labels {
        part.clear();
        text(field::LABEL_NAME, name, &mut part);
        text(field::LABEL_VALUE, value, &mut part);
        message(field::LABELS, &part, &mut inner);
    }
    part.clear();
    double(field::SAMPLE_VALUE, if told == Told::End { stale() } else { value }, &mut part);
    number(field::SAMPLE_TIMESTAMP, timestamp.cast_unsigned(), &mut part);
    message(field::SAMPLES, &part, &mut inner);
    message(field::TIMESERIES, &inner, out);
}
