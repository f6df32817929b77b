//! The pages of one reading, each made once.

use std::{io, sync::Arc, time::Instant};

use bytes::Bytes;
use prometheus::proto::MetricFamily;

use super::{FEW_ROWS, Want, spare::Spare};
use crate::{
    export::{
        compress::compress,
        content::Content,
        filter::Filter,
        negotiate::{Encoding, Format},
        protobuf,
        text::{self, Dialect},
    },
    view::View,
};

/// So many pages of one reading are kept: all formats and codings of everything, and some choices.
const MOST: usize = 16;

/// A reading with what has been made of it.
#[derive(Default)]
pub(super) struct Kept {
    /// When somebody last asked for a reading that has been answered: what is kept is of a later moment.
    asked: Option<Instant>,
    /// The answer; `None` if there was none.
    reading: Option<Reading>,
    pages: Vec<(Want, Bytes)>,
    /// Length of the last page of each format with everything on it, to begin the next one with enough room.
    lengths: [usize; Format::ALL.len()],
    spare: Spare,
}

/// All that pages are made of: their numbers are of one moment.
#[derive(Clone)]
pub(super) struct Reading {
    view: Arc<View>,
    own: Arc<[MetricFamily]>,
}

impl Kept {
    /// Whether nothing has been asked for since `moment`.
    pub(super) fn is_older_than(&self, moment: Instant) -> bool {
        self.asked < Some(moment)
    }

    /// Moves on to the answer to what was asked for at `asked`, unless what is here is as new. `own` yields the process's
    /// metrics.
    pub(super) fn move_on(&mut self, asked: Instant, view: Option<Arc<View>>, own: impl FnOnce() -> Vec<MetricFamily>) {
        self.asked = self.asked.max(Some(asked));
        let Some(view) = view else {
            self.clear_pages();
            self.reading = None;
            return;
        };
        if self.reading.as_ref().is_none_or(|reading| reading.view.generation < view.generation) {
            self.clear_pages();
            self.reading = Some(Reading { view, own: own().into() });
        }
    }

    fn clear_pages(&mut self) {
        for (_, page) in self.pages.drain(..) {
            self.spare.offer(page);
        }
    }

    pub(super) fn reading(&self) -> Option<Reading> {
        self.reading.clone()
    }

    pub(super) fn page(&self, want: Want) -> Option<Bytes> {
        self.pages.iter().find(|(made, _)| *made == want).map(|(_, page)| page.clone())
    }

    pub(super) fn keep(&mut self, want: Want, page: Bytes) {
        if want.filter == Filter::ALL && want.encoding == Encoding::Identity {
            self.lengths[want.format as usize] = page.len();
        }
        if self.pages.len() == MOST {
            self.pages.remove(0);
        }
        self.pages.push((want, page));
    }

    /// Where the next page finds room, and how much it is likely to need.
    pub(super) fn room(&self, want: Want) -> (Spare, usize) {
        let length = if want.filter == Filter::ALL { self.lengths[want.format as usize] } else { 0 };
        (self.spare.clone(), length)
    }
}

impl Reading {
    pub(super) fn is_long(&self) -> bool {
        self.view.rows().len() > FEW_ROWS
    }

    /// Writes a page to `out`, uncompressed.
    pub(super) fn write(&self, format: Format, filter: Filter, mut out: Vec<u8>) -> Bytes {
        let content = Content::new(&self.view, &self.own, filter);
        match format {
            Format::Text => text::encode(&content, Dialect::Prometheus, &mut out),
            Format::OpenMetrics => text::encode(&content, Dialect::OpenMetrics, &mut out),
            Format::Protobuf => protobuf::encode(&content, &mut out),
        }
        out.into()
    }
}

/// `page` in `encoding`.
pub(super) fn compressed(page: &Bytes, encoding: Encoding) -> io::Result<Bytes> {
    Ok(compress(page, encoding)?.map_or_else(|| page.clone(), Bytes::from))
}
