//! Where snapshots come from. [`ebpf`] reads the running kernel and is the only module that knows aya; [`simulated`] makes
//! them up.

pub mod ebpf;

pub mod simulated;

use std::{borrow::Cow, fmt, time::Duration};

use crate::{
    snapshot::Snapshot,
    units::{Bytes, Nanos, Uid},
};

/// Something that yields snapshots. Its counters never go down during its life.
pub trait Source: Send {
    /// Replaces `snapshot` by the state of this moment, reusing its memory.
    fn read(&mut self, snapshot: &mut Snapshot);

    /// Looks after what [`Source::read`] must not spend time on. Called about once a second; every `census` it finds out what
    /// users hold.
    fn maintain(&mut self, census: Duration);

    /// State and cost of each probe. Takes system calls: for scrapes, not for ticks.
    fn probes(&self) -> Vec<Probe>;

    /// Kernel memory held by maps and programs.
    fn kernel_memory(&self) -> Bytes;

    /// Most users that can have a row of their own.
    fn user_slots(&self) -> u32;

    /// What is counted here at present.
    fn kept(&self) -> Kept;

    /// Drops what `uid` ever did, unless he may still have a task: then nothing happens, and the answer is `false`. If he comes
    /// back, his counters begin at zero.
    fn forget(&mut self, uid: Uid) -> bool;
}

/// A subject that not every kernel or configuration counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Subject {
    /// [`crate::snapshot::Io`].
    Io,
    /// [`crate::snapshot::Delays`]: the kernel can be told to time them, and is.
    Delays,
    /// [`crate::snapshot::Counters::outside`].
    Outside,
    /// Reclaim in [`crate::snapshot::Events`].
    Reclaim,
    /// Stalls in [`crate::snapshot::Events`].
    MemoryStalls,
    /// Forks and starts of threads in [`crate::snapshot::Events`].
    Starts,
    /// Executions in [`crate::snapshot::Events`].
    Execs,
    /// Ends and OOM kills in [`crate::snapshot::Events`].
    Exits,
    /// [`crate::snapshot::Census`], but for memory.
    Census,
    /// Memory in [`crate::snapshot::Census`].
    Memory,
    /// OOM kills by whose limit was reached in [`crate::snapshot::Events`].
    OomLimits,
}

/// A set of subjects. What is not in it is left out rather than told as zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept(u32);

impl Kept {
    /// Every subject.
    pub const ALL: Self = Self(u32::MAX);

    /// Whether `subject` is counted.
    pub fn has(self, subject: Subject) -> bool {
        self.0 >> subject as u8 & 1 == 1
    }
}

impl FromIterator<Subject> for Kept {
    fn from_iter<T: IntoIterator<Item = Subject>>(subjects: T) -> Self {
        Self(subjects.into_iter().fold(0, |set, subject| set | 1 << subject as u8))
    }
}

/// Probes that can be left out together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeGroup {
    /// Reclaim of memory.
    Reclaim,
    /// Executions of programs. (Forks and exits cost nothing extra: their hooks are needed anyway.)
    Executions,
    /// Stalls on memory.
    MemoryStalls,
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
    /// Left out as configured.
    Off,
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
            Self::Off => f.write_str("off"),
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
