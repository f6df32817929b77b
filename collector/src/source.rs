//! Where snapshots come from. [`ebpf`] reads the running kernel and is the only module that knows aya; [`simulated`] makes
//! them up.

pub mod ebpf;

pub mod simulated;

use std::{borrow::Cow, fmt};

use crate::{
    snapshot::Snapshot,
    units::{Bytes, Nanos},
};

/// Something that yields snapshots. Its counters never go down during its life.
pub trait Source: Send {
    /// Replaces `snapshot` by the state of this moment, reusing its memory.
    fn read(&mut self, snapshot: &mut Snapshot);

    /// Looks after what [`Source::read`] must not spend time on. Called about once a second.
    fn maintain(&mut self);

    /// State and cost of each probe. Takes system calls: for scrapes, not for ticks.
    fn probes(&self) -> Vec<Probe>;

    /// Kernel memory held by maps and programs.
    fn kernel_memory(&self) -> Bytes;

    /// Most users that can have a row of their own.
    fn user_slots(&self) -> u32;
}

/// One kernel program and how it fares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Name of the program.
    pub name: &'static str,
    /// What it hooks, as the kernel names it.
    pub hook: &'static str,
    /// Whether the books are incomplete without it.
    pub needed: bool,
    /// Whether it is at work.
    pub state: ProbeState,
    /// What the kernel counted about its runs; zero while it is not loaded.
    pub runs: ProgramRuns,
}

/// Whether a probe is at work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeState {
    /// Attached.
    Active,
    /// Could not be attached; the others go on without it.
    Failed(Cow<'static, str>),
}

impl ProbeState {
    /// Whether the probe is at work.
    pub fn is_active(&self) -> bool {
        matches!(self, Self::Active)
    }
}

impl fmt::Display for ProbeState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Active => f.write_str("active"),
            Self::Failed(why) => write!(f, "failed: {why}"),
        }
    }
}

/// The kernel's own statistics of a program (`bpf_prog_show_fdinfo`, kernel/bpf/syscall.c).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProgramRuns {
    /// Events lost because the program was already running on that CPU.
    pub recursion_misses: u64,
    /// Runs; counted only while BPF statistics are switched on.
    pub count: u64,
    /// Time spent in them; likewise.
    pub time: Nanos,
}
