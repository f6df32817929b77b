//! The pages of one reading, each made once.

use std::{io, sync::Arc, time::Instant};

use bytes::Bytes;
use prometheus::proto::MetricFamily;

use super::{FEW_ROWS, Want};
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
/// Room for a page that was never made before.
const FIRST_ROOM: usize = 16 * 1024;

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
            *self = Self { asked: self.asked, lengths: self.lengths, ..Self::default() };
            return;
        };
        if self.reading.as_ref().is_none_or(|reading| reading.view.generation < view.generation) {
            self.pages.clear();
            self.reading = Some(Reading { view, own: own().into() });
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

    /// Room for the next page: a little more than last time, since numbers grow and users come.
    pub(super) fn room(&self, want: Want) -> usize {
        if want.filter == Filter::ALL {
            let length = self.lengths[want.format as usize];
            (length + length / 16).max(FIRST_ROOM)
        } else {
            FIRST_ROOM
        }
    }
}

impl Reading {
    pub(super) fn is_long(&self) -> bool {
        self.view.rows().len() > FEW_ROWS
    }

    /// Writes a page, uncompressed.
    pub(super) fn write(&self, format: Format, filter: Filter, room: usize) -> Bytes {
        let content = Content::new(&self.view, &self.own, filter);
        let mut out = Vec::with_capacity(room);
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
