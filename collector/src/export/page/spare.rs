//! Memory of a page that nobody reads any more, for the next one. Given to the allocator in between, it would be cut up by what is
//! small, and the next page would take new memory.

use std::{
    mem,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;

/// Room for a page that was never made before.
const FIRST_ROOM: usize = 16 * 1024;

/// At most one buffer, shared by its clones.
#[derive(Clone, Debug, Default)]
pub(super) struct Spare(Arc<Mutex<Vec<u8>>>);

impl Spare {
    /// Keeps the memory of `page` if it is more than what is here, unless somebody still reads it.
    pub(super) fn offer(&self, page: Bytes) {
        self.with(|spare| {
            if let Ok(page) = page.try_into_mut()
                && page.capacity() > spare.capacity()
            {
                *spare = page.into();
            }
        });
    }

    /// An empty buffer for a page of about `length` bytes. A new one is a little longer, since numbers grow and users come.
    pub(super) fn take(&self, length: usize) -> Vec<u8> {
        let mut buffer = self.with(mem::take);
        buffer.clear();
        if buffer.capacity() < length.max(FIRST_ROOM) {
            // First, so that there are never two.
            drop(buffer);
            buffer = Vec::with_capacity((length + length / 16).max(FIRST_ROOM));
        }
        buffer
    }

    /// What is here is whole at any time, also after a panic.
    fn with<T>(&self, act: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::{Bytes, FIRST_ROOM, Spare};

    fn page(length: usize) -> Bytes {
        let mut page = Vec::with_capacity(length + 7);
        page.resize(length, b'x');
        page.into()
    }

    #[test]
    fn the_next_page_is_written_where_the_last_one_was() {
        let spare = Spare::default();
        let old = page(100_000);
        let place = old.as_ptr();
        spare.offer(old);
        let buffer = spare.clone().take(100_007);
        assert!(buffer.is_empty() && buffer.as_ptr() == place);
        let other = spare.take(100_007);
        assert_ne!(other.as_ptr(), place, "handed out twice");
    }

    #[test]
    fn what_somebody_still_reads_is_not_written_to() {
        let spare = Spare::default();
        let read = page(100_000);
        spare.offer(read.clone());
        let buffer = spare.take(1);
        assert_ne!(buffer.as_ptr(), read.as_ptr());
        assert!(read.iter().all(|byte| *byte == b'x'));
    }

    #[test]
    fn the_largest_is_kept_and_one_that_is_too_small_is_replaced() {
        let spare = Spare::default();
        let large = page(200_000);
        let place = large.as_ptr();
        for page in [page(100_000), large, page(50_000)] {
            spare.offer(page);
        }
        let buffer = spare.take(FIRST_ROOM);
        assert_eq!(buffer.as_ptr(), place);
        spare.offer(buffer.into());
        assert!(spare.take(1_600_000).capacity() >= 1_700_000);
    }
}
