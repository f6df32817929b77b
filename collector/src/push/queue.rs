//! Requests that the receiver does not have yet, on the disk: bounded, in order, and there after a crash.
//!
//! A folder with numbered segments ([`segment`]) of records ([`record`]), and a cursor ([`cursor`]) that says how far they have
//! been sent. Records are appended to the last segment; one that is full is flushed to the disk and followed by a new one. What
//! has been sent is deleted by whole segments. When there is no room, the oldest segment goes.
//!
//! After a crash the last record may be torn: it is cut off. Whatever else is damaged is passed over with one sentence in the
//! log. Knows nothing of clocks and networks.

mod cursor;
mod record;
mod segment;

use std::{
    collections::VecDeque,
    fs::{self, File},
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

pub(super) use self::record::Record;
use self::{
    cursor::{Cursor, Place},
    segment::{Found, MAGIC, START, Segment},
};

/// A queue has about as many segments when it is full: so much goes at a time when there is no room.
const SEGMENTS: u64 = 16;
/// Bounds of a segment's size.
const LEAST_SEGMENT: u64 = 64 << 10;
const MOST_SEGMENT: u64 = 8 << 20;

/// Why the queue cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The folder cannot be used.
    #[error(
        "push.queue_folder {} cannot be used: {what}: {source}; it must be a folder of the user that the daemon becomes \
         (process.user), on a disk with room", folder.display()
    )]
    Unusable {
        /// Which.
        folder: PathBuf,
        /// The step.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
    /// Another process has it.
    #[error("push.queue_folder {} is in use by another process; give each daemon a folder of its own", folder.display())]
    Taken {
        /// Which.
        folder: PathBuf,
    },
    /// A request is longer than a record may be: a defect in uidmeter.
    #[error("a request of {0} bytes is too long for the queue")]
    TooLong(usize),
}

/// The queue.
#[derive(Debug)]
pub(super) struct Queue {
    folder: PathBuf,
    cursor: Cursor,
    /// Everything before it has been sent.
    sent: Place,
    /// From old to new. The last one is kept when it has been sent, too, as long as it has room.
    segments: VecDeque<Segment>,
    /// The last segment, if it can be written to.
    tail: Option<File>,
    /// The segment that is read.
    head: Option<(u64, File)>,
    next_number: u64,
}

/// A record, and where the queue goes on after it.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) record: Record,
    next: Place,
}

/// What has been lost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Lost {
    /// As far as it is known.
    pub(super) samples: u64,
    /// What happened.
    pub(super) sentence: String,
}

impl Queue {
    /// Opens the queue in `folder`, which exists, and tells what was mended.
    pub(super) fn open(folder: &Path) -> Result<(Self, Vec<Lost>), QueueError> {
        let cannot = |what| move |source| QueueError::Unusable { folder: folder.into(), what, source };
        let cursor = Cursor::open(folder).map_err(cannot("opening its file `cursor`"))?;
        let cursor = cursor.ok_or_else(|| QueueError::Taken { folder: folder.into() })?;
        let sent = cursor.load();
        let mut numbers = Vec::new();
        for entry in fs::read_dir(folder).map_err(cannot("listing it"))? {
            let entry = entry.map_err(cannot("listing it"))?;
            numbers.extend(entry.file_name().to_str().and_then(segment::number_of));
        }
        numbers.sort_unstable();
        let mut queue = Self {
            folder: folder.into(),
            cursor,
            sent,
            segments: VecDeque::new(),
            tail: None,
            head: None,
            next_number: numbers.last().copied().max(Some(sent.segment)).unwrap_or_default() + 1,
        };
        let mut lost = Vec::new();
        for number in &numbers {
            queue.take_up(*number, numbers.last() == Some(number), &mut lost).map_err(cannot("reading a segment"))?;
        }
        queue.settle();
        Ok((queue, lost))
    }

    /// Takes up the segment `number`, which is older than all that follow.
    fn take_up(&mut self, number: u64, is_last: bool, lost: &mut Vec<Lost>) -> io::Result<()> {
        let path = segment::path(&self.folder, number);
        if number < self.sent.segment {
            return fs::remove_file(path);
        }
        let file = segment::open(&path, false)?;
        let sent = if number == self.sent.segment { self.sent.offset } else { 0 };
        let mut segment = Segment::scan(&file, number, sent, is_last)?;
        if segment.is_damaged() {
            let (damage, name) = (segment.size - segment.end, path.display());
            let sentence = if is_last {
                file.set_len(segment.end)?;
                segment.size = segment.end;
                format!(
                    "cut {damage} bytes off the end of {name}: they were not written whole when uidmeter last ended"
                )
            } else {
                format!("{name} is damaged at byte {}: what follows in it, {damage} bytes, is passed over", segment.end)
            };
            lost.push(Lost { samples: 0, sentence });
        }
        if segment.end < START {
            // Nothing was ever in it, or nothing can be told.
            return fs::remove_file(path);
        }
        if number == self.sent.segment {
            // What was sent of what has been cut off now will be written anew.
            self.sent.offset = self.sent.offset.min(segment.end);
        }
        if is_last {
            self.tail = Some(file);
        }
        self.segments.push_back(segment);
        Ok(())
    }

    /// Appends `record`, and deletes the oldest while there is more than `most` bytes. Returns the samples that went for it.
    pub(super) fn append(&mut self, record: &Record, most: u64) -> Result<u64, QueueError> {
        let bytes = record.encode().ok_or(QueueError::TooLong(record.body.len()))?;
        let length = bytes.len() as u64;
        let segment_size = (most / SEGMENTS).clamp(LEAST_SEGMENT, MOST_SEGMENT);
        if self.tail.is_some() && self.segments.back().is_some_and(|last| last.end + length > segment_size) {
            self.rotate()?;
        }
        let mut dropped = 0;
        while self.size() + START + length > most && !self.segments.is_empty() {
            if self.segments.len() == 1 {
                self.rotate()?;
            }
            dropped += self.drop_oldest();
        }
        if self.tail.is_none() {
            self.begin()?;
        }
        let (Some(file), Some(last)) = (&self.tail, self.segments.back_mut()) else { return Ok(dropped) };
        if let Err(source) = file.write_all_at(&bytes, last.end) {
            // What stands there of it would be taken for damage after a crash.
            if file.set_len(last.end).is_err() {
                self.tail = None;
            }
            return Err(self.cannot("writing to it", source));
        }
        last.end += length;
        last.size = last.end;
        last.unsent += u64::from(record.samples);
        last.newest = last.newest.max(Some(record.timestamp));
        Ok(dropped)
    }

    /// The oldest record that has not been sent. What is damaged before it is told to `lost` and passed over.
    pub(super) fn peek(&mut self, lost: &mut Vec<Lost>) -> Result<Option<Waiting>, QueueError> {
        loop {
            self.settle();
            let (Some(first), false) = (self.segments.front().copied(), self.is_empty()) else { return Ok(None) };
            let place = self.place_in(&first);
            match self.read(&first, place) {
                Ok(Some(record)) => {
                    let next = place + record.whole();
                    return Ok(Some(Waiting { record, next: Place { segment: first.number, offset: next } }));
                }
                Ok(None) => {
                    let name = segment::path(&self.folder, first.number);
                    let sentence = format!(
                        "{} is damaged at byte {place}: what follows in it, {} bytes, is passed over",
                        name.display(),
                        first.end - place
                    );
                    lost.push(Lost { samples: first.unsent, sentence });
                    if self.segments.len() == 1 {
                        self.tail = None;
                    }
                    self.drop_oldest();
                }
                Err(source) => return Err(self.cannot("reading a segment", source)),
            }
        }
    }

    /// The record at `place`; `None` if there is something else.
    fn read(&mut self, first: &Segment, place: u64) -> io::Result<Option<Record>> {
        if self.head.as_ref().is_none_or(|(number, _)| *number != first.number) {
            match segment::open(&segment::path(&self.folder, first.number), false) {
                Ok(file) => self.head = Some((first.number, file)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        let Some((_, file)) = &self.head else { return Ok(None) };
        match segment::header(file, place, first.end)? {
            Found::Header(header) => segment::record(file, place, header),
            Found::End | Found::Damage => Ok(None),
        }
    }

    /// Takes out what [`Self::peek`] gave, unless it has gone already to make room.
    pub(super) fn remove(&mut self, waiting: &Waiting) -> Result<(), QueueError> {
        let samples = u64::from(waiting.record.samples);
        match self.segments.front_mut() {
            Some(first) if first.number == waiting.next.segment => first.unsent = first.unsent.saturating_sub(samples),
            _ => return Ok(()),
        }
        self.sent = waiting.next;
        self.settle();
        self.cursor.store(self.sent).map_err(|source| self.cannot("writing its file `cursor`", source))
    }

    /// Bytes that wait.
    pub(super) fn waiting(&self) -> u64 {
        let skipped = self.segments.front().map_or(0, |first| self.place_in(first).min(first.end));
        self.segments.iter().map(|segment| segment.end).sum::<u64>().saturating_sub(skipped)
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        match self.segments.front() {
            Some(first) => self.segments.len() == 1 && self.place_in(first) >= first.end,
            None => true,
        }
    }

    /// The greatest timestamp that is known here, whether sent or not.
    pub(super) fn newest(&self) -> Option<i64> {
        self.segments.iter().filter_map(|segment| segment.newest).max()
    }

    /// Where the first record that was not sent begins in `first`, the first segment.
    fn place_in(&self, first: &Segment) -> u64 {
        match first.number.cmp(&self.sent.segment) {
            std::cmp::Ordering::Less => first.end,
            std::cmp::Ordering::Equal => self.sent.offset.max(START),
            std::cmp::Ordering::Greater => START,
        }
    }

    /// Bytes on the disk.
    fn size(&self) -> u64 {
        self.segments.iter().map(|segment| segment.size).sum()
    }

    /// Deletes segments that have been sent, but for the last one while it can be written to.
    fn settle(&mut self) {
        while let Some(first) = self.segments.front() {
            let is_kept = self.segments.len() == 1 && self.tail.is_some();
            if self.place_in(first) < first.end || is_kept {
                return;
            }
            self.drop_oldest();
        }
    }

    /// Deletes the first segment; returns the samples in it that were not sent.
    fn drop_oldest(&mut self) -> u64 {
        let Some(first) = self.segments.pop_front() else { return 0 };
        if self.segments.is_empty() {
            self.tail = None;
        }
        self.head = None;
        let path = segment::path(&self.folder, first.number);
        if let Err(error) = fs::remove_file(&path) {
            // It counts no more, and is deleted when the daemon starts again.
            tracing::warn!("cannot delete {}: {error}; check the permissions of its folder", path.display());
        }
        self.sent = self.sent.max(Place { segment: first.number + 1, offset: 0 });
        if let Err(error) = self.cursor.store(self.sent) {
            tracing::warn!("cannot note in {} what was sent: {error}", self.folder.display());
        }
        first.unsent
    }

    /// Flushes the last segment to the disk: the next record begins a new one.
    fn rotate(&mut self) -> Result<(), QueueError> {
        if let Some(file) = self.tail.take() {
            file.sync_data().map_err(|source| self.cannot("flushing it to the disk", source))?;
        }
        self.settle();
        Ok(())
    }

    fn begin(&mut self) -> Result<(), QueueError> {
        let number = self.next_number;
        let path = segment::path(&self.folder, number);
        let begun = segment::open(&path, true).and_then(|file| {
            file.write_all_at(&MAGIC, 0)?;
            // So that the file itself is there after a power cut.
            File::open(&self.folder)?.sync_all()?;
            Ok(file)
        });
        self.next_number += 1;
        match begun {
            Ok(file) => {
                self.tail = Some(file);
                self.segments.push_back(Segment { number, end: START, size: START, unsent: 0, newest: None });
                self.settle();
                Ok(())
            }
            Err(source) => Err(self.cannot("beginning a segment", source)),
        }
    }

    fn cannot(&self, what: &'static str, source: io::Error) -> QueueError {
        QueueError::Unusable { folder: self.folder.clone(), what, source }
    }
}

#[cfg(test)]
mod tests;
