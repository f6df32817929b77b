//! The text formats, Prometheus 0.0.4 and OpenMetrics 1.0: walks the catalogue over a page's content and appends to a
//! buffer.
//!
//! Families stand in the order of the catalogue, samples in the order of the snapshot's rows, so that two pages of one
//! content are the same bytes. What a row's samples share (`uid="…",user="…"`) is escaped once per row, what a family's
//! samples share once per family: a sample is two copies and a number. A family without samples is left out.
//!
//! OpenMetrics (<https://prometheus.io/docs/specs/om/open_metrics_spec/>) differs in this: a counter's family is named without
//! `_total`, units are told, bounds look like floating-point numbers, `_created` says when a counter began at zero, and
//! `# EOF` ends the page.

mod labels;
mod own;
mod series;

use self::{
    labels::{Rows, pairs},
    series::{BUCKET, COUNT, Part, SUM, Series, created_at, header, le, write_created},
};
use super::{
    catalog::{Family, Samples, Value},
    content::Content,
};

/// What the format 0.0.4 calls itself.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
/// What OpenMetrics calls itself.
pub const OPENMETRICS_CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Which text format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Prometheus' own, version 0.0.4.
    Prometheus,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

/// Appends a whole page.
pub fn encode(content: &Content<'_>, dialect: Dialect, out: &mut Vec<u8>) {
    let rows = Rows::of(content);
    for family in content.families() {
        let before = out.len();
        header(family, dialect, out);
        let after_header = out.len();
        samples(family, content, &rows, dialect, out);
        if out.len() == after_header {
            out.truncate(before);
        }
    }
    if dialect == Dialect::OpenMetrics {
        out.extend_from_slice(b"# EOF\n");
    }
}

fn samples(family: &Family, content: &Content<'_>, rows: &Rows<'_>, dialect: Dialect, out: &mut Vec<u8>) {
    let name = family.name;
    match family.samples {
        Samples::Row(extract) => {
            let (series, created) = (Series::new(name, ""), Series::created(family, dialect));
            for (labels, row) in rows.iter() {
                if let Some(value) = extract(row) {
                    series.write(labels, value, out);
                    write_created(created.as_ref(), labels, row.since, out);
                }
            }
        }
        Samples::RowBy { label, parts } => {
            let (series, created) = (Series::new(name, ""), Series::created(family, dialect));
            let parts: Vec<_> = parts.iter().map(|(value, extract)| (Part::new(label, value), extract)).collect();
            let (mut start, mut created_start) = (Vec::new(), Vec::new());
            for (labels, row) in rows.iter() {
                series.start(labels, &mut start);
                let since = created.as_ref().and_then(|created| {
                    created.start(labels, &mut created_start);
                    created_at(row.since)
                });
                for (part, extract) in &parts {
                    if let Some(value) = extract(row) {
                        part.write(&start, value, out);
                        if let Some(since) = since {
                            part.write(&created_start, since, out);
                        }
                    }
                }
            }
        }
        Samples::RowHistogram { shape, observed } => {
            let bounds = shape.classic().iter().map(|classic| le(classic.le, dialect)).chain(["+Inf".into()]);
            let parts: Vec<_> = bounds.map(|bound| Part::new("le", &bound)).collect();
            let buckets = Series::new(name, BUCKET);
            let (sum, count) = (Series::new(name, SUM), Series::new(name, COUNT));
            let created = Series::created(family, dialect);
            let mut start = Vec::new();
            for (labels, row) in rows.iter() {
                let Some(observed) = observed(row) else { continue };
                buckets.start(labels, &mut start);
                let mut all = 0;
                for (part, count) in parts.iter().zip(shape.cumulative(observed.buckets)) {
                    part.write(&start, Value::Count(count), out);
                    all = count;
                }
                sum.write(labels, observed.sum, out);
                count.write(labels, Value::Count(all), out);
                write_created(created.as_ref(), labels, row.since, out);
            }
        }
        Samples::View { labels, each } => each(content.view, &mut |values, value| {
            let mut text = Vec::new();
            pairs(labels.iter().copied().zip(values.iter().copied()), &mut text);
            own::sample(&[name], &text, None, value, out);
        }),
        Samples::Process { .. } => own::samples(family, content.own(family), dialect, out),
    }
}

#[cfg(test)]
pub(crate) mod parse;

#[cfg(test)]
mod tests;
