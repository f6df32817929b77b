//! Labels as text, escaped the same way in both text formats.

use super::super::{catalog::ROW_LABELS, content::Content};
use crate::view::{RowView, View};

/// What stands between a set of labels and its number.
pub(super) const CLOSE: &[u8] = b"} ";

/// Rows with their labels already written.
pub(super) struct Rows<'a> {
    views: &'a [RowView<'a>],
    labels: Vec<u8>,
    /// Where each row's labels end in `labels`, [`CLOSE`] included.
    ends: Vec<usize>,
}

/// One row's labels as text: two copies make a sample's name, whether more labels follow or not.
#[derive(Clone, Copy)]
pub(super) struct RowLabels<'a>(&'a [u8]);

impl<'a> RowLabels<'a> {
    /// For samples without further labels: with [`CLOSE`].
    #[inline(always)]
    pub(super) fn closed(self) -> &'a [u8] {
        self.0
    }

    /// For samples with further labels.
    #[inline(always)]
    pub(super) fn open(self) -> &'a [u8] {
        self.0.strip_suffix(CLOSE).unwrap_or(self.0)
    }
}

impl<'a> Rows<'a> {
    pub(super) fn of(content: &'a Content<'_>) -> Self {
        let views = content.rows.as_slice();
        let mut labels = Vec::new();
        let mut ends = Vec::with_capacity(views.len());
        for RowView { owner, .. } in views {
            pair(ROW_LABELS[0], &View::uid_label(*owner), &mut labels);
            labels.push(b',');
            pair(ROW_LABELS[1], &content.view.user_label(*owner), &mut labels);
            labels.extend_from_slice(CLOSE);
            ends.push(labels.len());
        }
        Self { views, labels, ends }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (RowLabels<'_>, &RowView<'a>)> {
        let mut start = 0;
        self.ends.iter().zip(self.views).map(move |(end, row)| {
            let labels = RowLabels(&self.labels[start..*end]);
            start = *end;
            (labels, row)
        })
    }
}

/// `name="value",…`, without braces.
pub(super) fn pairs<'a>(labels: impl IntoIterator<Item = (&'a str, &'a str)>, out: &mut Vec<u8>) {
    for (number, (name, value)) in labels.into_iter().enumerate() {
        if number > 0 {
            out.push(b',');
        }
        pair(name, value, out);
    }
}

/// Appends `name="value"`. Backslash, double quote and newline are escaped; the formats take all else as it is.
pub(super) fn pair(name: &str, value: &str, out: &mut Vec<u8>) {
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
