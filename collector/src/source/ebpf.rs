//! Snapshots of the running kernel. The only module that knows aya, and the only one with `unsafe` code.
//!
//! Loading takes privileges and some megabytes for a moment; afterwards a reading is nothing but loads from shared
//! memory. Dropping the source detaches everything.

mod banks;
mod barrier;
mod btf;
mod fdinfo;
mod footprint;
mod load;
mod mode_split;
mod offsets;
mod preflight;
mod programs;
mod running;
mod slot_table;

use std::{fs, os::fd::OwnedFd, path::Path, sync::Arc, time::Duration};

use collector_ebpf::layout::{FIRST_USER_SLOT, KERNEL_SLOT, OVERFLOW_SLOT, UidCounters};

use self::{
    banks::Banks,
    load::Loaded,
    mode_split::ModeSplit,
    programs::{AttachError, Attached},
    slot_table::{SlotTable, Tally},
};
pub use self::{
    footprint::{let_go_of_code, release_freed_memory},
    load::{LoadError, Options, TableSize, monotonic_now, table_size},
    preflight::{Check, Finding, Lacking, check_host, require_host},
    running::{HeldProgram, count_runs, programs_of},
};
use crate::{
    snapshot::{Census, Counters, Delays, Events, Io, Latency, Owner, Row, Snapshot, Unattributed},
    source::{Kept, Probe, ProgramRuns, Source, Subject},
    units::{Bytes, Nanos, Uid},
};

/// Walks that find a user without a task before his slot is taken back, while slots are plenty.
const PATIENCE: u32 = 6;
/// Slots run short when fewer than one in this many is free: walks are taken at each round of maintenance then.
const SCARCE: usize = 4;

/// The running kernel.
pub struct EbpfSource {
    banks: Banks,
    kernel: Attached,
    table: SlotTable,
    kernel_split: ModeSplit,
    overflow_split: ModeSplit,
    census: Arc<Census>,
    fields: Vec<Subject>,
    walked: Nanos,
    no_ledger_seen: u64,
}

impl EbpfSource {
    /// Loads and attaches the kernel programs.
    ///
    /// # Errors
    /// The host lacks something that is needed, or the kernel refuses; nothing stays attached.
    pub fn load(options: &Options) -> Result<Self, LoadError> {
        require_host(&options.btf)?;
        Self::load_on_fit_host(options)
    }

    /// The same on a host that [`require_host`] has found fit.
    ///
    /// # Errors
    /// The kernel refuses; nothing stays attached.
    pub fn load_on_fit_host(options: &Options) -> Result<Self, LoadError> {
        let Loaded { kernel, banks, fields } = load::load(options)?;
        let mut source = Self {
            table: SlotTable::new(banks.slots),
            banks,
            kernel,
            kernel_split: ModeSplit::default(),
            overflow_split: ModeSplit::default(),
            census: Arc::default(),
            fields,
            walked: load::monotonic_now(),
            no_ledger_seen: 0,
        };
        // Loading has walked over all tasks already.
        source.take_census();
        Ok(source)
    }

    /// File descriptors of the loaded programs by name, for measurements.
    ///
    /// # Errors
    /// A descriptor cannot be duplicated.
    pub fn program_fds(&self) -> std::io::Result<Vec<(&'static str, OwnedFd)>> {
        self.kernel.program_fds()
    }

    /// Whether this process can still do what goes on after loading: visit all tasks and change maps. Up to Linux 5.18 either
    /// needs `CAP_BPF` where `kernel.unprivileged_bpf_disabled` is set (`__sys_bpf` in kernel/bpf/syscall.c).
    pub fn can_go_on(&mut self) -> bool {
        self.walk(u32::MAX).is_ok()
    }

    /// What the last walk found.
    fn take_census(&mut self) {
        self.table.note_owners(&self.banks);
        let walk = self.kernel.last_walk();
        let page = page_size();
        self.census = Arc::new(self.table.census(&self.banks, walk, page, load::monotonic_now()));
    }

    /// One walk over all tasks, and what it tells: who holds what, and whose slots can be taken back. Those whose users were found
    /// gone before are given back now.
    fn walk(&mut self, patience: u32) -> Result<(), AttachError> {
        self.walked = load::monotonic_now();
        let recycles = self.kernel.can_recycle();
        // A program that found a slot before it was hidden has put it into a ledger by then, where the walk sees it.
        let hidden_for_all = self.table.has_detached() && barrier::wait_for_running_programs();
        let Some(walk) = self.kernel.walk()? else {
            return Ok(());
        };
        self.take_census();
        if hidden_for_all {
            let free = self.table.release(&self.banks, walk);
            self.kernel.give_back(&free)?;
        }
        if recycles {
            for (slot, user) in self.table.unused(&self.banks, walk, patience) {
                if self.kernel.hide(user, slot)? {
                    self.table.detach(slot);
                }
            }
        }
        Ok(())
    }
}

/// Whether the kernel times delays now: it can be switched at any time (sysctl/kernel.rst, `task_delayacct`); before Linux 5.14 there
/// was no switch, and it did.
fn delay_accounting() -> bool {
    fs::read_to_string("/proc/sys/kernel/task_delayacct").map_or(true, |switch| switch.trim() == "1")
}

/// Size of a page of memory, in bytes.
fn page_size() -> u64 {
    let size = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok().flatten();
    size.and_then(|size| u64::try_from(size).ok()).unwrap_or(4096)
}

/// One owner's counters; `split` is what remembers how his CPU time was last split.
fn counters(tally: &Tally, split: &mut ModeSplit, owner: Owner) -> Counters {
    let UidCounters { books, outside_ns, latency } = &tally.counters;
    let events = &tally.events;
    let cpu = Nanos(books.cpu_ns);
    let (user, system) = if owner == Owner::Kernel {
        (Nanos(0), cpu)
    } else {
        split.adjust(cpu, Nanos(books.user_ns), Nanos(books.system_ns))
    };
    Counters {
        cpu,
        user,
        system,
        wait: Nanos(books.wait_ns),
        latency: Latency { buckets: *latency },
        voluntary_switches: books.voluntary_switches,
        involuntary_switches: books.involuntary_switches,
        migrations: books.migrations,
        minor_faults: books.minor_faults,
        major_faults: books.major_faults,
        outside: Nanos(*outside_ns),
        io: Io {
            read_chars: Bytes(books.read_chars),
            written_chars: Bytes(books.written_chars),
            read_bytes: Bytes(books.read_bytes),
            written_bytes: Bytes(books.written_bytes),
            cancelled_bytes: Bytes(books.cancelled_bytes),
        },
        delays: Delays {
            block_io: Nanos(books.block_io_delay_ns),
            swap_in: Nanos(books.swap_in_delay_ns),
            thrashing: Nanos(books.thrashing_delay_ns),
        },
        events: Events {
            direct_reclaims: events.direct_reclaims,
            direct_reclaim: Nanos(events.direct_reclaim_ns),
            group_reclaims: events.group_reclaims,
            group_reclaim: Nanos(events.group_reclaim_ns),
            memory_stalls: events.memory_stalls,
            memory_stall: Nanos(events.memory_stall_ns),
            oom_kills: events.oom_kills,
            oom_kills_slice: events.oom_kills_slice,
            oom_kills_group: events.oom_kills_group,
            oom_kills_host: events.oom_kills_host,
            forks: events.forks,
            thread_starts: events.thread_starts,
            execs: events.execs,
            exits: events.exits,
        },
    }
}

impl Source for EbpfSource {
    fn read(&mut self, snapshot: &mut Snapshot) {
        self.table.note_owners(&self.banks);
        snapshot.taken = load::monotonic_now();
        snapshot.rows.clear();
        for (uid, split, tally) in self.table.tallies(&self.banks) {
            let owner = Owner::User(uid);
            snapshot.rows.push(Row { owner, counters: counters(&tally, split, owner) });
        }
        let kernel = self.table.tally(&self.banks, KERNEL_SLOT);
        let kernel = counters(&kernel, &mut self.kernel_split, Owner::Kernel);
        snapshot.rows.push(Row { owner: Owner::Kernel, counters: kernel });
        let overflow = self.table.tally(&self.banks, OVERFLOW_SLOT);
        let overflow = counters(&overflow, &mut self.overflow_split, Owner::Overflow);
        if overflow != Counters::default() {
            snapshot.rows.push(Row { owner: Owner::Overflow, counters: overflow });
        }
        snapshot.census = Arc::clone(&self.census);
        let health = self.banks.total_health();
        snapshot.unattributed = Unattributed {
            no_ledger: health.no_ledger,
            overflow: health.overflow,
            overflow_users: health.overflow_uids,
            clamped: health.clamped,
            no_row: health.no_row,
        };
    }

    fn maintain(&mut self, census: Duration) {
        #[cfg(feature = "debug-log")]
        self.kernel.flush_log();
        if self.kernel.has_tick()
            && let Err(error) = self.kernel.follow_cpus()
        {
            tracing::warn!(%error, "a CPU that has come or gone has no tick: its running task is seen late");
        }
        // The kernel had no memory for a ledger at fork. The task's work is charged as soon as it has one.
        let no_ledger = self.banks.total_health().no_ledger;
        let lacking = std::mem::replace(&mut self.no_ledger_seen, no_ledger) != no_ledger;
        let scarce = self.table.free() < (self.banks.slots as usize) / SCARCE;
        let due = load::monotonic_now().since(self.walked).is_none_or(|since| since >= census.into());
        if (lacking || scarce || due || self.table.has_detached())
            && let Err(error) = self.walk(if scarce { 0 } else { PATIENCE })
        {
            tracing::warn!(%error, "cannot visit all tasks: what users hold is not known, and no slot becomes free");
        }
    }

    fn probes(&self) -> Vec<Probe> {
        self.kernel.probes()
    }

    fn kernel_memory(&self) -> Bytes {
        self.kernel.memory()
    }

    fn user_slots(&self) -> u32 {
        self.banks.slots - FIRST_USER_SLOT
    }

    fn kept(&self) -> Kept {
        let programs = self.kernel.subjects();
        let walks = programs.contains(&Subject::Census);
        let of_fields = self.fields.iter().copied().filter(|subject| match subject {
            Subject::Delays => delay_accounting(),
            Subject::Memory => walks,
            _ => true,
        });
        of_fields.chain(programs.iter().copied()).collect()
    }

    fn forget(&mut self, uid: Uid) -> bool {
        self.table.forget(uid)
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
