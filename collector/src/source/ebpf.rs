//! Snapshots of the running kernel. The only module that knows aya, and the only one with `unsafe` code.
//!
//! Loading takes privileges and some megabytes for a moment; afterwards a reading is nothing but loads from shared
//! memory. Dropping the source detaches everything.

mod banks;
mod btf;
mod fdinfo;
mod load;
mod mode_split;
mod offsets;
mod preflight;
mod programs;

use std::{os::fd::OwnedFd, path::Path};

use collector_ebpf::layout::{FIRST_USER_SLOT, KERNEL_SLOT, OVERFLOW_SLOT, owner};

use self::{banks::Banks, mode_split::ModeSplit, programs::Attached};
pub use self::{
    load::{LoadError, Options, release_freed_memory},
    preflight::{Check, Finding, Lacking, check_host},
};
use crate::{
    snapshot::{Counters, Owner, Row, Snapshot, Unattributed},
    source::{Probe, ProgramRuns, Source},
    units::{Bytes, Nanos, Uid},
};

/// The running kernel.
pub struct EbpfSource {
    banks: Banks,
    kernel: Attached,
    /// Owners by slot as of the last reading, and the order in which their rows are reported.
    owners: Vec<u64>,
    order: Vec<(Uid, u32)>,
    splits: Vec<ModeSplit>,
    no_ledger_seen: u64,
}

impl EbpfSource {
    /// Loads and attaches the kernel programs.
    ///
    /// # Errors
    /// The host lacks something that is needed, or the kernel refuses; nothing stays attached.
    pub fn load(options: &Options) -> Result<Self, LoadError> {
        let (kernel, banks) = load::load(options)?;
        let slots = banks.slots() as usize;
        Ok(Self {
            banks,
            kernel,
            owners: vec![0; slots],
            order: Vec::new(),
            splits: vec![ModeSplit::default(); slots],
            no_ledger_seen: 0,
        })
    }

    /// File descriptors of the loaded programs by name, for measurements.
    ///
    /// # Errors
    /// A descriptor cannot be duplicated.
    pub fn program_fds(&self) -> std::io::Result<Vec<(&'static str, OwnedFd)>> {
        self.kernel.program_fds()
    }

    fn note_new_owners(&mut self) {
        if !self.banks.copy_owners(&mut self.owners) {
            return;
        }
        self.order.clear();
        for (slot, entry) in (0..).zip(&self.owners).skip(FIRST_USER_SLOT as usize) {
            if let Some(uid) = owner(*entry) {
                self.order.push((Uid(uid), slot));
            }
        }
        self.order.sort_unstable();
    }

    fn row(&mut self, owner: Owner, slot: u32) -> Row {
        let mut counters = Counters::default();
        let mut raw_user = 0;
        let mut raw_system = 0;
        for cpu in 0..self.banks.cpus() {
            let row = self.banks.row(cpu, slot);
            let books = &row.books;
            counters.cpu += Nanos(books.cpu_ns);
            counters.wait += Nanos(books.wait_ns);
            counters.voluntary_switches += books.voluntary_switches;
            counters.involuntary_switches += books.involuntary_switches;
            counters.migrations += books.migrations;
            counters.minor_faults += books.minor_faults;
            counters.major_faults += books.major_faults;
            raw_user += books.user_ns;
            raw_system += books.system_ns;
            for (sum, waits) in counters.latency.buckets.iter_mut().zip(&row.latency) {
                *sum += waits;
            }
        }
        (counters.user, counters.system) = if owner == Owner::Kernel {
            (Nanos(0), counters.cpu)
        } else {
            self.splits[slot as usize].adjust(counters.cpu, Nanos(raw_user), Nanos(raw_system))
        };
        Row { owner, counters }
    }
}

impl Source for EbpfSource {
    fn read(&mut self, snapshot: &mut Snapshot) {
        self.note_new_owners();
        snapshot.taken = load::monotonic_now();
        snapshot.rows.clear();
        for i in 0..self.order.len() {
            let (uid, slot) = self.order[i];
            let row = self.row(Owner::User(uid), slot);
            snapshot.rows.push(row);
        }
        let kernel = self.row(Owner::Kernel, KERNEL_SLOT);
        snapshot.rows.push(kernel);
        let overflow = self.row(Owner::Overflow, OVERFLOW_SLOT);
        if overflow.counters != Counters::default() {
            snapshot.rows.push(overflow);
        }
        let health = self.banks.health();
        snapshot.unattributed = Unattributed {
            no_ledger: health.no_ledger,
            overflow: health.overflow,
            overflow_users: health.overflow_uids,
            clamped: health.clamped,
            no_row: health.no_row,
        };
    }

    fn maintain(&mut self) {
        #[cfg(feature = "debug-log")]
        self.kernel.flush_log();
        let no_ledger = self.banks.health().no_ledger;
        if no_ledger != self.no_ledger_seen {
            self.no_ledger_seen = no_ledger;
            // The kernel had no memory for a ledger at fork. The task's work is charged as soon as it has one.
            if let Err(error) = self.kernel.seed_ledgers() {
                tracing::warn!(%error, "tasks without a ledger stay without");
            }
        }
    }

    fn probes(&self) -> Vec<Probe> {
        self.kernel.probes()
    }

    fn kernel_memory(&self) -> Bytes {
        self.kernel.memory()
    }

    fn user_slots(&self) -> u32 {
        self.banks.slots() - FIRST_USER_SLOT
    }
}

/// Byte offset of a structure's member in the kernel whose type information is `btf`; `None` if it has no such member.
///
/// # Errors
/// One sentence: the file cannot be read, or is no usable type information.
pub fn field_offset(btf: &Path, root: &str, members: &[&str]) -> Result<Option<u32>, String> {
    let named = |error: &dyn std::fmt::Display| format!("{}: {error}", btf.display());
    let bytes = std::fs::read(btf).map_err(|error| named(&error))?;
    let btf = btf::Btf::parse(&bytes).map_err(|error| named(&error))?;
    Ok(btf.member(root, members).map_err(|error| error.to_string())?.map(|member| member.offset))
}

/// What the kernel counted about a program's runs, from its file descriptor.
///
/// # Errors
/// `/proc` cannot be read.
pub fn program_runs(program: &impl std::os::fd::AsFd) -> std::io::Result<ProgramRuns> {
    fdinfo::program_runs(program)
}
