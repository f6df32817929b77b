//! The process's own samples as messages, from the registry's form. They are few and have classic buckets only.

use prometheus::proto::Metric;

use super::{Family, Kind, Value, field, metric, pair, plain, wire};

/// Appends the samples of one family.
pub(super) fn samples(family: &Family, metrics: &[Metric], out: &mut Vec<u8>) {
    for one in metrics {
        let labels: Vec<u8> = one.get_label().iter().flat_map(|label| pair(label.name(), label.value())).collect();
        match family.kind {
            Kind::Counter => plain(family, &[&labels], Value::Ratio(one.get_counter().get_value()), &[], out),
            Kind::Gauge => plain(family, &[&labels], Value::Ratio(one.get_gauge().get_value()), &[], out),
            Kind::Histogram => metric(&[&labels], field::METRIC_HISTOGRAM, &histogram(one), out),
        }
    }
}

fn histogram(metric: &Metric) -> Vec<u8> {
    let histogram = metric.get_histogram();
    let mut out = Vec::new();
    wire::number(field::SAMPLE_COUNT, histogram.get_sample_count(), &mut out);
    wire::double(field::SAMPLE_SUM, histogram.get_sample_sum(), &mut out);
    for bucket in histogram.get_bucket() {
        let mut inner = Vec::new();
        wire::number(field::CUMULATIVE_COUNT, bucket.cumulative_count(), &mut inner);
        wire::double(field::UPPER_BOUND, bucket.upper_bound(), &mut inner);
        wire::message(field::BUCKET, &inner, &mut out);
    }
    out
}
