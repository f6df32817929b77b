//! The process's own samples as text, from the registry's form.

use prometheus::proto::{LabelPair, Metric};

use super::{
    Dialect,
    labels::{pair, pairs},
    series::{BUCKET, COUNT, SUM, le},
};
use crate::export::{
    catalog::{Family, Kind, Value},
    number,
};

/// Appends the samples of one family.
pub(super) fn samples(family: &Family, metrics: &[Metric], dialect: Dialect, out: &mut Vec<u8>) {
    for metric in metrics {
        let mut labels = Vec::new();
        pairs(metric.get_label().iter().map(|label: &LabelPair| (label.name(), label.value())), &mut labels);
        let mut line = |suffix: &str, bound: Option<&str>, value: Value| {
            sample(&[family.name, suffix], &labels, bound, value, out);
        };
        match family.kind {
            Kind::Counter => line("", None, Value::Ratio(metric.get_counter().get_value())),
            Kind::Gauge => line("", None, Value::Ratio(metric.get_gauge().get_value())),
            Kind::Histogram => {
                let histogram = metric.get_histogram();
                let all = Value::Count(histogram.get_sample_count());
                for bucket in histogram.get_bucket() {
                    let mut bound = Vec::new();
                    number::float(bucket.upper_bound(), &mut bound);
                    let bound = String::from_utf8_lossy(&bound);
                    line(BUCKET, Some(&le(&bound, dialect)), Value::Count(bucket.cumulative_count()));
                }
                line(BUCKET, Some("+Inf"), all);
                line(SUM, None, Value::Ratio(histogram.get_sample_sum()));
                line(COUNT, None, all);
            }
        }
    }
}

/// Appends one line. `labels` are already text.
pub(super) fn sample(name: &[&str], labels: &[u8], bound: Option<&str>, value: Value, out: &mut Vec<u8>) {
    for part in name {
        out.extend_from_slice(part.as_bytes());
    }
    if !labels.is_empty() || bound.is_some() {
        out.push(b'{');
        out.extend_from_slice(labels);
        if let Some(bound) = bound {
            if !labels.is_empty() {
                out.push(b',');
            }
            pair("le", bound, out);
        }
        out.push(b'}');
    }
    out.push(b' ');
    number::line(value, out);
}
