//! One histogram as a message: classic buckets and native ones side by side.
//!
//! Native buckets are spans of consecutive buckets and, for each bucket, the difference to the one before. A few empty
//! buckets within a span cost less than a new one.

use super::{field, float, wire};
use crate::export::{
    catalog::Observed,
    shape::{Classic, Shape},
};

/// Numbers of a span's fields, the same in every format that has spans.
const SPAN_OFFSET: u32 = 1;
const SPAN_LENGTH: u32 = 2;
/// So many empty buckets are written out rather than begin a new span: a span costs about four bytes, an empty bucket
/// one or two.
const GAP: usize = 2;

/// Writes histograms of one shape, in buffers that are used again.
pub(super) struct Native {
    shape: &'static Shape,
    /// Upper bounds of classic buckets as fields. The one of `+Inf` may be left out: it is the sample count.
    bounds: Vec<Vec<u8>>,
    message: Vec<u8>,
    spans: Vec<u8>,
    deltas: Vec<u8>,
}

impl Native {
    pub(super) fn of(shape: &'static Shape) -> Self {
        let bounds = shape.classic().iter().map(Classic::bound).map(|bound| {
            let mut field = Vec::new();
            wire::double(field::UPPER_BOUND, bound, &mut field);
            field
        });
        Self { shape, bounds: bounds.collect(), message: Vec::new(), spans: Vec::new(), deltas: Vec::new() }
    }

    /// The inside of a message `Histogram`. `created` is the inside of a timestamp, or nothing.
    pub(super) fn message(&mut self, observed: &Observed<'_>, created: &[u8]) -> &[u8] {
        let out = &mut self.message;
        out.clear();
        let (zero, rest) = observed.buckets.split_first().unwrap_or((&0, &[]));
        wire::number(field::SAMPLE_COUNT, observed.buckets.iter().sum(), out);
        wire::double(field::SAMPLE_SUM, float(observed.sum), out);
        for (bound, cumulative) in self.bounds.iter().zip(self.shape.cumulative(observed.buckets)) {
            let count = wire::varint_length(cumulative);
            wire::open(field::BUCKET, 1 + count + bound.len(), out);
            wire::number(field::CUMULATIVE_COUNT, cumulative, out);
            out.extend_from_slice(bound);
        }
        wire::number(field::SCHEMA, wire::zigzag(Shape::SCHEMA.into()), out);
        wire::double(field::ZERO_THRESHOLD, self.shape.zero_threshold(), out);
        wire::number(field::ZERO_COUNT, *zero, out);
        self.spans.clear();
        self.deltas.clear();
        positive(field::POSITIVE_SPAN, self.shape.first_index(), rest, &mut self.spans, &mut self.deltas);
        out.extend_from_slice(&self.spans);
        if !self.deltas.is_empty() {
            wire::message(field::POSITIVE_DELTA, &self.deltas, out);
        }
        if !created.is_empty() {
            wire::message(field::HISTOGRAM_CREATED, created, out);
        }
        out
    }
}

/// Spans as fields with the number `field` and deltas packed, for buckets of which the first has the index `first`.
pub(crate) fn positive(field: u32, first: i32, buckets: &[u64], spans: &mut Vec<u8>, deltas: &mut Vec<u8>) {
    // The first span's offset is an index, a later one's the number of buckets left out before it.
    let mut offset = i64::from(first);
    let mut before = 0_u64;
    let mut rest = buckets;
    while let Some(start) = rest.iter().position(|count| *count > 0) {
        offset += i64::try_from(start).unwrap_or(i64::MAX);
        rest = &rest[start..];
        let length = span_length(rest);
        let (span, beyond) = rest.split_at(length);
        for count in span {
            wire::varint(wire::zigzag(count.wrapping_sub(before).cast_signed()), deltas);
            before = *count;
        }
        let (offset_bits, length_bits) = (wire::zigzag(offset), length as u64);
        wire::open(field, 2 + wire::varint_length(offset_bits) + wire::varint_length(length_bits), spans);
        wire::number(SPAN_OFFSET, offset_bits, spans);
        wire::number(SPAN_LENGTH, length_bits, spans);
        offset = 0;
        rest = beyond;
    }
}

/// How far a span reaches that begins with the first bucket: to the last filled one before a longer gap.
fn span_length(buckets: &[u64]) -> usize {
    let mut length = 0;
    for (place, count) in buckets.iter().enumerate() {
        if *count > 0 {
            length = place + 1;
        } else if place - length >= GAP {
            break;
        }
    }
    length
}
