//! The shared maps as userspace sees them: memory that the kernel writes while we read. No system call, no lock.
//!
//! Every word is loaded atomically, so each counter is right by itself; a row is not a consistent cut, and need not
//! be one, since its counters only grow.

use std::{
    io,
    marker::PhantomData,
    mem::MaybeUninit,
    os::fd::{AsFd, AsRawFd as _},
    slice,
    sync::atomic::{AtomicU64, Ordering},
};

use collector_ebpf::layout::{Health, UidCounters, UidEvents, UidHoldings};
use memmap2::{MmapOptions, MmapRaw};

/// The maps that are read at each tick, and those that a walk over all tasks fills.
pub(super) struct Banks {
    /// At `cpu * slots + slot`.
    pub(super) rows: Mapped<UidCounters>,
    pub(super) owners: Mapped<u64>,
    pub(super) events: Mapped<UidEvents>,
    pub(super) holdings: Mapped<UidHoldings>,
    /// Number of the last walk that met a ledger with the slot.
    pub(super) seen: Mapped<u64>,
    /// One a CPU.
    pub(super) health: Mapped<Health>,
    pub(super) cpus: u32,
    pub(super) slots: u32,
}

/// Words that tell whether a row has changed: its first cache line. No task runs without moving one of them.
const FINGERPRINT_WORDS: usize = 8;

impl Banks {
    /// Whether `slot` has been charged on any CPU since `marks`, one a CPU, was last brought up to date by this.
    pub(super) fn note_changes(&self, slot: u32, marks: &mut Vec<u64>) -> bool {
        marks.resize(self.cpus as usize, 0);
        let mut changed = false;
        for (cpu, mark) in (0..self.cpus).zip(marks) {
            // Counters only grow, so their sum stays the same only if they all do.
            let now = self.rows.sum_of_words(self.index(cpu, slot), FINGERPRINT_WORDS);
            changed |= *mark != now;
            *mark = now;
        }
        changed
    }

    /// What `slot` has been charged, summed over CPUs.
    pub(super) fn sum(&self, slot: u32) -> UidCounters {
        let mut sum = self.rows.load(self.index(0, slot));
        for cpu in 1..self.cpus {
            add(&mut sum, &self.rows.load(self.index(cpu, slot)));
        }
        sum
    }

    /// Brings `owners` up to date; tells whether anything changed.
    pub(super) fn copy_owners(&self, owners: &mut [u64]) -> bool {
        let mut changed = false;
        for (slot, entry) in owners.iter_mut().enumerate() {
            let now = self.owners.load(slot);
            changed |= *entry != now;
            *entry = now;
        }
        changed
    }

    /// The health counters, summed over CPUs.
    pub(super) fn total_health(&self) -> Health {
        let mut sum = Health::default();
        for cpu in 0..self.cpus as usize {
            add(&mut sum, &self.health.load(cpu));
        }
        sum
    }

    fn index(&self, cpu: u32, slot: u32) -> usize {
        cpu as usize * self.slots as usize + slot as usize
    }
}

/// Values that consist of `u64` only, so that any bits are a value.
///
/// # Safety
/// `Self` is `u64`, or has `repr(C)` and only fields made of `u64`, with nothing between them; what follows them up to the
/// next multiple of its alignment belongs to nobody.
pub(super) unsafe trait Words: Copy {
    /// Number of words that are values; padding may follow them.
    const WORDS: usize;
}
// SAFETY: the word itself.
unsafe impl Words for u64 {
    const WORDS: usize = 1;
}
// SAFETY: `repr(C)` with `u64` fields; what follows them is alignment.
unsafe impl Words for UidCounters {
    const WORDS: usize = std::mem::offset_of!(Self, latency) / 8 + collector_ebpf::latency::BUCKETS;
}
// SAFETY: as above.
unsafe impl Words for UidEvents {
    const WORDS: usize = std::mem::offset_of!(Self, exits) / 8 + 1;
}
// SAFETY: as above.
unsafe impl Words for UidHoldings {
    const WORDS: usize = std::mem::offset_of!(Self, threads) / 8 + 1;
}
// SAFETY: as above.
unsafe impl Words for Health {
    const WORDS: usize = std::mem::offset_of!(Self, no_row) / 8 + 1;
}

fn words<T: Words>(value: &T) -> &[u64] {
    // SAFETY: see the trait: the value begins with that many words.
    unsafe { slice::from_raw_parts((&raw const *value).cast(), T::WORDS) }
}

fn words_mut<T: Words>(value: &mut T) -> &mut [u64] {
    // SAFETY: as above; any bits are a value.
    unsafe { slice::from_raw_parts_mut((&raw mut *value).cast(), T::WORDS) }
}

/// Adds every counter of `other`.
pub(super) fn add<T: Words>(sum: &mut T, other: &T) {
    for (sum, word) in words_mut(sum).iter_mut().zip(words(other)) {
        *sum = sum.wrapping_add(*word);
    }
}

/// Takes every counter of `other` away.
pub(super) fn subtract<T: Words>(sum: &mut T, other: &T) {
    for (sum, word) in words_mut(sum).iter_mut().zip(words(other)) {
        *sum = sum.wrapping_sub(*word);
    }
}

/// A map of type array with `BPF_F_MMAPABLE`, mapped read-only.
pub(super) struct Mapped<T> {
    memory: MmapRaw,
    len: usize,
    value: PhantomData<T>,
}

impl<T: Words> Mapped<T> {
    pub(super) fn new(map: &impl AsFd, len: usize) -> io::Result<Self> {
        let memory = MmapOptions::new().len(len * size_of::<T>()).map_raw_read_only(map.as_fd().as_raw_fd())?;
        Ok(Self { memory, len, value: PhantomData })
    }

    pub(super) fn load(&self, index: usize) -> T {
        let mut value = MaybeUninit::<T>::zeroed();
        for word in 0..T::WORDS {
            let loaded = self.word(index, word);
            // SAFETY: a word of `value`.
            unsafe { value.as_mut_ptr().cast::<u64>().add(word).write(loaded) };
        }
        // SAFETY: any words are a `T: Words`, and what follows them was zeroed.
        unsafe { value.assume_init() }
    }

    fn sum_of_words(&self, index: usize, words: usize) -> u64 {
        (0..words.min(T::WORDS)).fold(0, |sum, word| sum.wrapping_add(self.word(index, word)))
    }

    #[inline]
    fn word(&self, index: usize, word: usize) -> u64 {
        assert!(index < self.len && word < T::WORDS, "word {word} of row {index} of {}", self.len);
        #[expect(clippy::cast_ptr_alignment, reason = "a mapping starts on a page")]
        let from = self.memory.as_ptr().cast::<u64>();
        let offset = index * (size_of::<T>() / size_of::<u64>()) + word;
        // SAFETY: `index < len`, so the word lies in the mapping, which lives as long as `self`. It is aligned: the mapping
        // starts on a page, and rows are multiples of 8. The kernel writes it by aligned 64-bit stores only.
        unsafe { AtomicU64::from_ptr(from.add(offset).cast_mut()).load(Ordering::Relaxed) }
    }
}
