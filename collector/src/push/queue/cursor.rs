//! How far the queue has been sent: a small file that is written over and over.
//!
//! It is not flushed to the disk each time. After a power cut an older place may be read, and what follows it is sent once
//! more: the same samples with the same timestamps, which a receiver knows already.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::Path,
};

const NAME: &str = "cursor";
const LENGTH: usize = 20;

/// A place in the queue: everything before it has been sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// Number of a segment.
    pub(super) segment: u64,
    /// Bytes from its beginning.
    pub(super) offset: u64,
}

/// The file.
#[derive(Debug)]
pub(super) struct Cursor(File);

impl Cursor {
    /// Opens or makes it, and takes it for this process alone; `None` if another one has it.
    pub(super) fn open(folder: &Path) -> io::Result<Option<Self>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(folder.join(NAME))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self(file))),
            Err(std::fs::TryLockError::WouldBlock) => Ok(None),
            Err(std::fs::TryLockError::Error(error)) => Err(error),
        }
    }

    /// The place; the very beginning if the file has none.
    pub(super) fn load(&self) -> Place {
        let mut bytes = [0; LENGTH];
        if self.0.read_exact_at(&mut bytes, 0).is_err() {
            return Place::default();
        }
        place(&bytes).unwrap_or_default()
    }

    pub(super) fn store(&self, place: Place) -> io::Result<()> {
        let mut bytes = [place.segment.to_le_bytes(), place.offset.to_le_bytes()].concat();
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
        self.0.write_all_at(&bytes, 0)
    }
}

fn place(bytes: &[u8; LENGTH]) -> Option<Place> {
    let (numbers, checksum) = bytes.split_last_chunk::<4>()?;
    if crc32fast::hash(numbers) != u32::from_le_bytes(*checksum) {
        return None;
    }
    let (segment, offset) = (numbers.first_chunk()?, numbers.last_chunk()?);
    Some(Place { segment: u64::from_le_bytes(*segment), offset: u64::from_le_bytes(*offset) })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{Cursor, NAME, Place};

    #[test]
    fn a_place_survives_and_rubbish_is_the_beginning() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let place = Place { segment: 3, offset: 1 << 40 };
        let cursor = Cursor::open(folder.path())?.ok_or("taken")?;
        assert_eq!(cursor.load(), Place::default());
        cursor.store(place)?;
        assert!(Cursor::open(folder.path())?.is_none(), "two have it");
        drop(cursor);
        let cursor = Cursor::open(folder.path())?.ok_or("taken")?;
        assert_eq!(cursor.load(), place);
        let mut bytes = fs::read(folder.path().join(NAME))?;
        bytes[3] ^= 1;
        fs::write(folder.path().join(NAME), bytes)?;
        assert_eq!(cursor.load(), Place::default());
        Ok(())
    }
}
