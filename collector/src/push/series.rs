//! Everything on the page of metrics as series: names, sorted labels, one value each.
//!
//! Walks the catalogue over a content as the page's formats do. Classic buckets are series of their own; native ones are one
//! series. A label without a value is left out, since remote write forbids it, and means the same.

use std::borrow::Cow;

use prometheus::proto::Metric;

use crate::{
    config::{Label, PushHistograms},
    export::{
        catalog::{Emit, Family, Kind, Observed, ROW_LABELS, Samples, Value, families},
        content::Content,
        number,
        protobuf::float,
        shape::Shape,
    },
    units::UnixTime,
    view::{RowView, View},
};

/// The label that holds a series' name.
const NAME: &str = "__name__";
/// The label of a classic bucket.
const BOUND: &str = "le";

/// One series with its value.
#[derive(Clone, Debug)]
pub(super) struct Series<'a> {
    pub(super) family: &'static Family,
    /// In the order of their names, of which none stands twice; no value is empty.
    pub(super) labels: Vec<(&'a str, &'a str)>,
    /// When it began at zero.
    pub(super) since: Option<UnixTime>,
    pub(super) point: Point<'a>,
}

/// A value.
#[derive(Clone, Copy, Debug)]
pub(super) enum Point<'a> {
    /// A number.
    Number(f64),
    /// A native histogram.
    Native {
        /// Its buckets' bounds.
        shape: &'static Shape,
        /// Observations in each, not cumulated.
        buckets: &'a [u64],
        /// The sum of all observations.
        sum: f64,
    },
}

/// What every series gets besides its own labels, and how histograms are told.
#[derive(Clone, Debug)]
pub(super) struct Dress {
    /// None of them is a label of any family.
    pub(super) labels: Vec<Label>,
    pub(super) histograms: PushHistograms,
}

/// The first of `labels` that a family has by itself.
pub(super) fn taken(labels: &[Label]) -> Option<&Label> {
    let own: Vec<&str> = families().flat_map(Family::labels).chain([BOUND, NAME]).collect();
    labels.iter().find(|label| own.contains(&label.name.as_str()))
}

/// Hands every series of `content` to `each`.
pub(super) fn walk(content: &Content<'_>, dress: &Dress, each: &mut dyn FnMut(&Series<'_>)) {
    let rows: Vec<_> =
        content.rows.iter().map(|row| (row, View::uid_label(row.owner), content.view.user_label(row.owner))).collect();
    for family in content.families() {
        let mut tailor = Tailor { family, dress, each: &mut *each };
        match family.samples {
            Samples::Row(extract) => {
                for (row, uid, user) in &rows {
                    if let Some(value) = extract(row) {
                        tailor.number("", &of_row(uid, user), tailor.since(row), float(value));
                    }
                }
            }
            Samples::RowBy { label, parts } => {
                for (row, uid, user) in &rows {
                    let [uid, user] = of_row(uid, user);
                    for (part, extract) in parts {
                        if let Some(value) = extract(row) {
                            tailor.number("", &[uid, user, (label, part)], tailor.since(row), float(value));
                        }
                    }
                }
            }
            Samples::RowHistogram { shape, observed } => {
                for (row, uid, user) in &rows {
                    if let Some(observed) = observed(row) {
                        tailor.histogram(shape, &observed, &of_row(uid, user), tailor.since(row));
                    }
                }
            }
            Samples::View { labels, each } => {
                let emit: &mut Emit<'_> = &mut |values: &[&str], value: Value| {
                    let labels: Vec<_> = labels.iter().copied().zip(values.iter().copied()).collect();
                    tailor.number("", &labels, None, float(value));
                };
                each(content.view, emit);
            }
            Samples::Process { .. } => {
                for metric in content.own(family) {
                    tailor.own(metric);
                }
            }
        }
    }
}

fn of_row<'a>(uid: &'a str, user: &'a str) -> [(&'static str, &'a str); 2] {
    [(ROW_LABELS[0], uid), (ROW_LABELS[1], user)]
}

/// A bound as OpenMetrics and Prometheus 3 spell it.
fn canonical(le: &str) -> Cow<'_, str> {
    if le.bytes().all(|byte| byte.is_ascii_digit()) { format!("{le}.0").into() } else { le.into() }
}

/// Makes the series of one family.
struct Tailor<'a> {
    family: &'static Family,
    dress: &'a Dress,
    each: &'a mut dyn FnMut(&Series<'_>),
}

impl Tailor<'_> {
    fn since(&self, row: &RowView<'_>) -> Option<UnixTime> {
        row.since.filter(|_| self.family.began_with_its_row())
    }

    fn number(&mut self, suffix: &str, labels: &[(&str, &str)], since: Option<UnixTime>, value: f64) {
        self.series(suffix, labels, since, Point::Number(value));
    }

    fn series(&mut self, suffix: &str, own: &[(&str, &str)], since: Option<UnixTime>, point: Point<'_>) {
        let name = if suffix.is_empty() {
            Cow::Borrowed(self.family.name)
        } else {
            Cow::Owned([self.family.name, suffix].concat())
        };
        let mut labels = Vec::with_capacity(1 + own.len() + self.dress.labels.len());
        labels.push((NAME, &*name));
        labels.extend(own.iter().filter(|(_, value)| !value.is_empty()));
        labels.extend(self.dress.labels.iter().map(|label| (label.name.as_str(), label.value.as_str())));
        labels.sort_unstable_by_key(|(name, _)| *name);
        (self.each)(&Series { family: self.family, labels, since, point });
    }

    fn histogram(
        &mut self,
        shape: &'static Shape,
        observed: &Observed<'_>,
        labels: &[(&str, &str)],
        since: Option<UnixTime>,
    ) {
        let sum = float(observed.sum);
        if self.dress.histograms != PushHistograms::Classic {
            self.series("", labels, since, Point::Native { shape, buckets: observed.buckets, sum });
        }
        if self.dress.histograms != PushHistograms::Native {
            let mut all = 0;
            let bounds = shape.classic().iter().map(|classic| canonical(classic.le)).chain(["+Inf".into()]);
            for (bound, count) in bounds.zip(shape.cumulative(observed.buckets)) {
                let labels = [labels, &[(BOUND, &*bound)]].concat();
                self.number("_bucket", &labels, since, float(Value::Count(count)));
                all = count;
            }
            self.number("_sum", labels, since, sum);
            self.number("_count", labels, since, float(Value::Count(all)));
        }
    }

    /// A metric of the process itself; its histograms are always classic.
    fn own(&mut self, metric: &Metric) {
        let labels: Vec<_> = metric.get_label().iter().map(|label| (label.name(), label.value())).collect();
        match self.family.kind {
            Kind::Counter => self.number("", &labels, None, metric.get_counter().get_value()),
            Kind::Gauge => self.number("", &labels, None, metric.get_gauge().get_value()),
            Kind::Histogram => {
                let histogram = metric.get_histogram();
                let count = |count| float(Value::Count(count));
                for bucket in histogram.get_bucket() {
                    let mut bound = Vec::new();
                    number::float(bucket.upper_bound(), &mut bound);
                    let bound = String::from_utf8_lossy(&bound);
                    let bound = canonical(&bound);
                    let labels = [labels.as_slice(), &[(BOUND, &*bound)]].concat();
                    self.number("_bucket", &labels, None, count(bucket.cumulative_count()));
                }
                let all = count(histogram.get_sample_count());
                self.number("_bucket", &[labels.as_slice(), &[(BOUND, "+Inf")]].concat(), None, all);
                self.number("_sum", &labels, None, histogram.get_sample_sum());
                self.number("_count", &labels, None, all);
            }
        }
    }
}
