//! One file of the queue: eight bytes that say what it is, then records, one after the other.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use super::record::{HEADER, Header, Record};

/// What a segment begins with.
pub(super) const MAGIC: [u8; 8] = *b"UIDPUSH1";
/// Where its first record begins.
pub(super) const START: u64 = MAGIC.len() as u64;
/// More is no number of a segment: one a nanosecond would take a century to get there.
const MOST_NUMBER: u64 = 1 << 62;
const SUFFIX: &str = ".segment";

/// What is known of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) number: u64,
    /// Bytes up to the end of the last intact record.
    pub(super) end: u64,
    /// Bytes of the file.
    pub(super) size: u64,
    /// Samples that have not been sent yet.
    pub(super) unsent: u64,
    /// The greatest timestamp in it.
    pub(super) newest: Option<i64>,
}

/// What is found at a place in a segment.
#[derive(Debug)]
pub(super) enum Found {
    /// A header that has not been tampered with.
    Header(Header),
    /// Its end.
    End,
    /// Something else.
    Damage,
}

/// The path of segment `number`.
pub(super) fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:020}{SUFFIX}"))
}

/// The number of the segment with this file name.
pub(super) fn number_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SUFFIX)?;
    let fine = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|number| fine && *number < MOST_NUMBER)
}

/// Opens a segment for reading and writing, or makes it.
pub(super) fn open(path: &Path, create: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(create).mode(0o600).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    options.open(path)
}

/// What begins at `at` in a file of which the first `size` bytes count.
pub(super) fn header(file: &File, at: u64, size: u64) -> io::Result<Found> {
    if at >= size {
        return Ok(Found::End);
    }
    let mut bytes = [0; HEADER];
    if size - at < HEADER as u64 || !read(file, &mut bytes, at)? {
        return Ok(Found::Damage);
    }
    let fits = |header: &Header| header.whole() <= size - at;
    Ok(Header::decode(&bytes).filter(fits).map_or(Found::Damage, Found::Header))
}

/// The record whose header stands at `at`; `None` if its body is damaged.
pub(super) fn record(file: &File, at: u64, header: Header) -> io::Result<Option<Record>> {
    let mut body = vec![0; header.length as usize];
    Ok(if read(file, &mut body, at + HEADER as u64)? { header.with(body) } else { None })
}

/// Reads all of `bytes`; `false` if the file ends before.
fn read(file: &File, bytes: &mut [u8], at: u64) -> io::Result<bool> {
    match file.read_exact_at(bytes, at) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

impl Segment {
    /// Looks at a whole file, and counts as unsent what stands at `sent` and after. With `bodies`, bodies are checked, too.
    pub(super) fn scan(file: &File, number: u64, sent: u64, bodies: bool) -> io::Result<Self> {
        let size = file.metadata()?.len();
        let mut segment = Self { number, end: 0, size, unsent: 0, newest: None };
        let mut magic = [0; MAGIC.len()];
        if size < START || !read(file, &mut magic, 0)? || magic != MAGIC {
            return Ok(segment);
        }
        segment.end = START;
        while let Found::Header(header) = header(file, segment.end, size)? {
            if bodies && record(file, segment.end, header)?.is_none() {
                break;
            }
            if segment.end >= sent {
                segment.unsent += u64::from(header.samples);
            }
            segment.newest = segment.newest.max(Some(header.timestamp));
            segment.end += header.whole();
        }
        Ok(segment)
    }

    /// Whether something in it is no record.
    pub(super) fn is_damaged(&self) -> bool {
        self.end < self.size
    }
}
