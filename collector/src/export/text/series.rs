//! What the samples of one family share, written once.

use std::borrow::Cow;

use super::{
    Dialect,
    labels::{CLOSE, RowLabels, pair},
};
use crate::{
    export::{
        catalog::{Family, Value},
        number,
    },
    units::UnixTime,
};

/// All samples of one name that have no labels but their row's.
pub(super) struct Series {
    /// Name and opening brace.
    name: Vec<u8>,
}

impl Series {
    pub(super) fn new(name: &str, suffix: &str) -> Self {
        Self { name: [name, suffix, "{"].concat().into_bytes() }
    }

    /// The moment at which a counter or histogram began, for formats and families that have it.
    pub(super) fn created(family: &Family, dialect: Dialect) -> Option<Self> {
        let known = dialect == Dialect::OpenMetrics && family.began_with_its_row();
        known.then(|| Self::new(family.stem(), "_created"))
    }

    #[inline(always)]
    pub(super) fn write(&self, labels: RowLabels<'_>, value: Value, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.name);
        out.extend_from_slice(labels.closed());
        number::line(value, out);
    }

    /// What the samples of one row share that have a further label, in place of what is in `start`.
    #[inline(always)]
    pub(super) fn start(&self, labels: RowLabels<'_>, start: &mut Vec<u8>) {
        start.clear();
        start.extend_from_slice(&self.name);
        start.extend_from_slice(labels.open());
    }
}

/// One value of a further label: comma, label, closing brace, space.
pub(super) struct Part(Vec<u8>);

impl Part {
    pub(super) fn new(label: &str, value: &str) -> Self {
        let mut text = vec![b','];
        pair(label, value, &mut text);
        text.extend_from_slice(CLOSE);
        Self(text)
    }

    /// Appends the sample that begins with `start`.
    #[inline(always)]
    pub(super) fn write(&self, start: &[u8], value: Value, out: &mut Vec<u8>) {
        out.extend_from_slice(start);
        out.extend_from_slice(&self.0);
        number::line(value, out);
    }
}

/// Appends a `_created` sample if there is something to tell.
#[inline]
pub(super) fn write_created(
    series: Option<&Series>,
    labels: RowLabels<'_>,
    since: Option<UnixTime>,
    out: &mut Vec<u8>,
) {
    if let (Some(series), Some(since)) = (series, created_at(since)) {
        series.write(labels, since, out);
    }
}

/// The number of a `_created` sample, if there is something to tell.
#[inline]
pub(super) fn created_at(since: Option<UnixTime>) -> Option<Value> {
    since.map(|UnixTime(since)| Value::Time(since))
}

/// Appends what stands before a family's samples.
pub(super) fn header(family: &Family, dialect: Dialect, out: &mut Vec<u8>) {
    let name = match dialect {
        Dialect::Prometheus => family.name,
        Dialect::OpenMetrics => family.stem(),
    };
    for part in ["# HELP ", name, " ", family.help, "\n# TYPE ", name, " ", family.kind.word(), "\n"] {
        out.extend_from_slice(part.as_bytes());
    }
    if let (Dialect::OpenMetrics, Some(unit)) = (dialect, family.unit.word()) {
        for part in ["# UNIT ", name, " ", unit, "\n"] {
            out.extend_from_slice(part.as_bytes());
        }
    }
}

/// A bucket's bound: OpenMetrics wants it to look like a floating-point number.
pub(super) fn le(bound: &str, dialect: Dialect) -> Cow<'_, str> {
    let is_whole = bound.bytes().all(|byte| byte.is_ascii_digit());
    match dialect {
        Dialect::OpenMetrics if is_whole => Cow::Owned(format!("{bound}.0")),
        _ => Cow::Borrowed(bound),
    }
}

/// Suffixes of a histogram's own samples.
pub(super) const BUCKET: &str = "_bucket";
pub(super) const SUM: &str = "_sum";
pub(super) const COUNT: &str = "_count";
