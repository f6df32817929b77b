//! The shared maps as userspace sees them: memory that the kernel writes while we read. No system call, no lock.
//!
//! Every word is loaded atomically, so each counter is right by itself; a row is not a consistent cut, and need not
//! be one, since its counters only grow.

use std::{
    io,
    marker::PhantomData,
    mem::MaybeUninit,
    os::fd::{AsFd, AsRawFd as _},
    sync::atomic::{AtomicU64, Ordering},
};

use collector_ebpf::layout::{Health, UidCounters};
use memmap2::{MmapOptions, MmapRaw};

/// The maps that are read at each tick.
pub(super) struct Banks {
    rows: Mapped<UidCounters>,
    owners: Mapped<u64>,
    health: Mapped<Health>,
    cpus: u32,
    slots: u32,
}

impl Banks {
    /// Maps the arrays behind three descriptors into memory.
    pub(super) fn map(
        rows: &impl AsFd,
        owners: &impl AsFd,
        health: &impl AsFd,
        cpus: u32,
        slots: u32,
    ) -> io::Result<Self> {
        Ok(Self {
            rows: Mapped::new(rows, cpus as usize * slots as usize)?,
            owners: Mapped::new(owners, slots as usize)?,
            health: Mapped::new(health, cpus as usize)?,
            cpus,
            slots,
        })
    }

    pub(super) fn cpus(&self) -> u32 {
        self.cpus
    }

    pub(super) fn slots(&self) -> u32 {
        self.slots
    }

    /// What `slot` has been charged on `cpu`.
    pub(super) fn row(&self, cpu: u32, slot: u32) -> UidCounters {
        self.rows.load(cpu as usize * self.slots as usize + slot as usize)
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
    pub(super) fn health(&self) -> Health {
        let mut sum = Health::default();
        for cpu in 0..self.cpus as usize {
            let row = self.health.load(cpu);
            sum.no_ledger += row.no_ledger;
            sum.overflow += row.overflow;
            sum.overflow_uids += row.overflow_uids;
            sum.clamped += row.clamped;
            sum.no_row += row.no_row;
        }
        sum
    }
}

/// Values that consist of `u64` only, so that any bits are a value.
///
/// # Safety
/// `Self` is `u64`, or has `repr(C)` and only fields made of `u64`; its size is a multiple of 8.
unsafe trait Words: Copy {}
// SAFETY: the word itself.
unsafe impl Words for u64 {}
// SAFETY: `repr(C)` with `u64` fields.
unsafe impl Words for UidCounters {}
// SAFETY: `repr(C)` with `u64` fields.
unsafe impl Words for Health {}

/// A map of type array with `BPF_F_MMAPABLE`, mapped read-only.
struct Mapped<T> {
    memory: MmapRaw,
    len: usize,
    value: PhantomData<T>,
}

impl<T: Words> Mapped<T> {
    fn new(map: &impl AsFd, len: usize) -> io::Result<Self> {
        let memory = MmapOptions::new().len(len * size_of::<T>()).map_raw_read_only(map.as_fd().as_raw_fd())?;
        Ok(Self { memory, len, value: PhantomData })
    }

    fn load(&self, index: usize) -> T {
        assert!(index < self.len, "row {index} of {}", self.len);
        let mut value = MaybeUninit::<T>::uninit();
        #[expect(clippy::cast_ptr_alignment, reason = "a mapping starts on a page")]
        let from = self.memory.as_ptr().cast::<u64>();
        let words = size_of::<T>() / size_of::<u64>();
        for word in 0..words {
            // SAFETY: `index < len`, so the word lies in the mapping, which lives as long as `self`. It is aligned: the
            // mapping starts on a page, and rows are multiples of 8. The kernel writes it by aligned 64-bit stores
            // only. The copy goes to a word of `value`; all of them are written.
            unsafe {
                let loaded = AtomicU64::from_ptr(from.add(index * words + word).cast_mut()).load(Ordering::Relaxed);
                value.as_mut_ptr().cast::<u64>().add(word).write(loaded);
            }
        }
        // SAFETY: every word was written, and any words are a `T: Words`.
        unsafe { value.assume_init() }
    }
}
