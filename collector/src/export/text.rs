//! The Prometheus text format, version 0.0.4: walks the catalogue over a view and appends to a buffer.
//!
//! Families stand in the order of the catalogue, samples in the order of the snapshot's rows, so that two pages of one
//! view are the same bytes. What a row's samples share (`uid="…",user="…"`) is escaped once per row, what a family's
//! samples share once per family: a sample is three copies and a number. A family without samples is left out.

use super::{
    catalog::{Family, ROW_LABELS, Samples, Value, families},
    number,
};
use crate::view::{RowView, View};

/// What the format calls itself.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Appends everything in `view`.
pub fn encode(view: &View, out: &mut Vec<u8>) {
    let rows = Rows::of(view);
    for family in families() {
        let before = out.len();
        header(family, out);
        let after_header = out.len();
        samples(family, view, &rows, out);
        if out.len() == after_header {
            out.truncate(before);
        }
    }
}

fn samples(family: &Family, view: &View, rows: &Rows<'_>, out: &mut Vec<u8>) {
    let name = family.name;
    match family.samples {
        Samples::Row(extract) => {
            let series = Series::new(name, "", None);
            for (labels, row) in rows.iter() {
                if let Some(value) = extract(&row) {
                    series.write(labels, value, out);
                }
            }
        }
        Samples::RowBy { label, parts } => {
            let parts: Vec<_> =
                parts.iter().map(|(part, extract)| (Series::new(name, "", Some((label, part))), extract)).collect();
            for (labels, row) in rows.iter() {
                for (series, extract) in &parts {
                    if let Some(value) = extract(&row) {
                        series.write(labels, value, out);
                    }
                }
            }
        }
        Samples::RowHistogram { shape, observed } => {
            let bounds = shape.classic().iter().map(|bound| bound.le).chain(["+Inf"]);
            let buckets: Vec<_> = bounds.map(|le| Series::new(name, "_bucket", Some(("le", le)))).collect();
            let sum = Series::new(name, "_sum", None);
            let count = Series::new(name, "_count", None);
            for (labels, row) in rows.iter() {
                let Some(observed) = observed(&row) else { continue };
                let mut all = 0;
                for (series, cumulative) in buckets.iter().zip(shape.cumulative(observed.buckets)) {
                    series.write(labels, Value::Count(cumulative), out);
                    all = cumulative;
                }
                sum.write(labels, observed.sum, out);
                count.write(labels, Value::Count(all), out);
            }
        }
        Samples::View { labels, each } => each(view, &mut |values, value| {
            out.extend_from_slice(name.as_bytes());
            let mut separator = b'{';
            for (label, text) in labels.iter().zip(values) {
                out.push(separator);
                pair(label, text, out);
                separator = b',';
            }
            out.extend_from_slice(if labels.is_empty() { b" " } else { b"} " });
            number::value(value, out);
            out.push(b'\n');
        }),
        // Their values live in the process's registry: `own` writes them.
        Samples::Process { .. } => {}
    }
}

fn header(family: &Family, out: &mut Vec<u8>) {
    let Family { name, help, kind, .. } = family;
    for part in ["# HELP ", name, " ", help, "\n# TYPE ", name, " ", kind.word(), "\n"] {
        out.extend_from_slice(part.as_bytes());
    }
}

/// What all samples of one family and one value of its further label share.
struct Series {
    /// Name and opening brace.
    before_row: Vec<u8>,
    /// Further label, closing brace, space.
    after_row: Vec<u8>,
}

impl Series {
    fn new(name: &str, suffix: &str, label: Option<(&str, &str)>) -> Self {
        let before_row = [name, suffix, "{"].concat().into_bytes();
        let mut after_row = Vec::new();
        if let Some((label, value)) = label {
            after_row.push(b',');
            pair(label, value, &mut after_row);
        }
        after_row.extend_from_slice(b"} ");
        Self { before_row, after_row }
    }

    #[inline]
    fn write(&self, row_labels: &[u8], value: Value, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.before_row);
        out.extend_from_slice(row_labels);
        out.extend_from_slice(&self.after_row);
        number::value(value, out);
        out.push(b'\n');
    }
}

/// A view's rows with their labels already written.
struct Rows<'a> {
    view: &'a View,
    labels: Vec<u8>,
    /// Where each row's labels end in `labels`.
    ends: Vec<usize>,
}

impl<'a> Rows<'a> {
    fn of(view: &'a View) -> Self {
        let mut labels = Vec::new();
        let mut ends = Vec::with_capacity(view.rows().len());
        for RowView { owner, .. } in view.rows() {
            pair(ROW_LABELS[0], &View::uid_label(owner), &mut labels);
            labels.push(b',');
            pair(ROW_LABELS[1], &view.user_label(owner), &mut labels);
            ends.push(labels.len());
        }
        Self { view, labels, ends }
    }

    fn iter(&self) -> impl Iterator<Item = (&[u8], RowView<'a>)> {
        let mut start = 0;
        self.ends.iter().zip(self.view.rows()).map(move |(end, row)| {
            let labels = &self.labels[start..*end];
            start = *end;
            (labels, row)
        })
    }
}

/// Appends `name="value"`. Backslash, double quote and newline are escaped; the format takes all else as it is.
fn pair(name: &str, value: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"=\"");
    for byte in value.bytes() {
        match byte {
            b'\\' => out.extend_from_slice(br"\\"),
            b'"' => out.extend_from_slice(br#"\""#),
            b'\n' => out.extend_from_slice(br"\n"),
            other => out.push(other),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
pub(super) mod parse;

#[cfg(test)]
mod tests;
