//! What the samples of one family share, written once.

use std::borrow::Cow;

use super::{Dialect, labels::pair};
use crate::{
    export::{
        catalog::{Family, Value},
        number,
    },
    units::UnixTime,
};

/// All samples of one family with one value of its further label.
pub(super) struct Series {
    /// Name and opening brace.
    before_row: Vec<u8>,
    /// Further label, closing brace, space.
    after_row: Vec<u8>,
}

impl Series {
    pub(super) fn new(name: &str, suffix: &str, label: Option<(&str, &str)>) -> Self {
        let before_row = [name, suffix, "{"].concat().into_bytes();
        let mut after_row = Vec::new();
        if let Some((label, value)) = label {
            after_row.push(b',');
            pair(label, value, &mut after_row);
        }
        after_row.extend_from_slice(b"} ");
        Self { before_row, after_row }
    }

    /// The moment at which a counter or histogram began, for formats and families that have it.
    pub(super) fn created(family: &Family, dialect: Dialect, label: Option<(&str, &str)>) -> Option<Self> {
        let known = dialect == Dialect::OpenMetrics && family.began_with_its_row();
        known.then(|| Self::new(family.stem(), "_created", label))
    }

    #[inline(always)]
    pub(super) fn write(&self, row_labels: &[u8], value: Value, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.before_row);
        out.extend_from_slice(row_labels);
        out.extend_from_slice(&self.after_row);
        number::value(value, out);
        out.push(b'\n');
    }
}

/// Appends a `_created` sample if there is something to tell.
#[inline]
pub(super) fn write_created(series: Option<&Series>, row_labels: &[u8], since: Option<UnixTime>, out: &mut Vec<u8>) {
    if let (Some(series), Some(UnixTime(since))) = (series, since) {
        series.write(row_labels, Value::Time(since), out);
    }
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
