//! The programs of the object: attaches them in the order that loses nothing, keeps them attached, changes their maps where userspace
//! must, tells how they fare.
//!
//! Order: first `task_newtask`, so that every task born from now on has a ledger; then the iterator, which gives one to
//! all others; only then `sched_switch` and the tick, which need ledgers.

use std::{
    borrow::Cow,
    collections::{BTreeMap, btree_map::Entry},
    io,
    io::Read as _,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::Duration,
};

use aya::{
    Btf, Ebpf,
    maps::{Array, HashMap, Map, MapError, Stack},
    programs::{
        BtfTracePoint, FEntry, Iter, PerfEvent, ProgramError,
        links::LinkError,
        perf_event::{PerfEventConfig, PerfEventLinkId, PerfEventScope, SamplePolicy, SoftwareEvent},
    },
};
use collector_ebpf::layout::maps;

use super::{
    fdinfo,
    load::{LoadError, Options, online_cpus},
};
use crate::{
    source::{Probe, ProbeGroup, ProbeState, ProgramRuns, Subject},
    units::{Bytes, Nanos, Uid},
};

/// A program of the object.
#[derive(Clone, Copy)]
struct Program {
    name: &'static str,
    hook: &'static str,
    /// Whether the books are incomplete without it.
    needed: bool,
    group: Option<ProbeGroup>,
}

impl Program {
    const fn new(name: &'static str, hook: &'static str) -> Self {
        Self { name, hook, needed: false, group: None }
    }

    const fn needed(name: &'static str, hook: &'static str) -> Self {
        Self { needed: true, ..Self::new(name, hook) }
    }

    const fn of(group: ProbeGroup, name: &'static str, hook: &'static str) -> Self {
        Self { group: Some(group), ..Self::new(name, hook) }
    }

    /// The kernel's name for what is hooked, behind the kind of hook.
    fn target(&self) -> &'static str {
        self.hook.rsplit('/').next().unwrap_or(self.hook)
    }
}

const NEW_TASK: Program = Program::needed("task_newtask", "tp_btf/task_newtask");
const WALK: Program = Program::needed("task_walk", "iter/task");
const EXIT: Program = Program::new("sched_process_exit", "tp_btf/sched_process_exit");
const EXEC: Program = Program::of(ProbeGroup::Executions, "sched_process_exec", "tp_btf/sched_process_exec");
const RECLAIM: [Program; 4] = [
    // The end before the beginning: what was entered with nobody there to see it end would stay open.
    Program::of(ProbeGroup::Reclaim, "direct_reclaim_end", "tp_btf/mm_vmscan_direct_reclaim_end"),
    Program::of(ProbeGroup::Reclaim, "direct_reclaim_begin", "tp_btf/mm_vmscan_direct_reclaim_begin"),
    Program::of(ProbeGroup::Reclaim, "group_reclaim_end", "tp_btf/mm_vmscan_memcg_reclaim_end"),
    Program::of(ProbeGroup::Reclaim, "group_reclaim_begin", "tp_btf/mm_vmscan_memcg_reclaim_begin"),
];
const STALLS: [Program; 2] = [
    Program::of(ProbeGroup::MemoryStalls, "memory_stall_end", "fentry/psi_memstall_leave"),
    Program::of(ProbeGroup::MemoryStalls, "memory_stall_begin", "fentry/psi_memstall_enter"),
];
const OOM: [Program; 2] =
    [Program::new("out_of_memory", "fentry/out_of_memory"), Program::new("mark_oom_victim", "fentry/mark_oom_victim")];
const SWITCH: Program = Program::needed("sched_switch", "tp_btf/sched_switch");
const TICK: Program = Program::new("tick", "perf_event/cpu-clock");

/// Programs that are loaded, and attached until this is dropped.
pub(super) struct Attached {
    ebpf: Ebpf,
    states: Vec<(Program, ProbeState)>,
    /// CPUs that have a tick.
    ticking: BTreeMap<u32, PerfEventLinkId>,
    tick: Duration,
    /// Number of the last walk over all tasks.
    walk: u64,
    /// Absent if the embedded programs were built without logs.
    #[cfg(feature = "debug-log")]
    log: Option<aya_log::EbpfLogger<&'static dyn log::Log>>,
}

impl Attached {
    /// Attaches every program of `ebpf` that `options` do not leave out. One that cannot be attached has its reason noted, and the
    /// others go on.
    ///
    /// # Errors
    /// `sched_switch` cannot be attached: without it there is nothing to tell.
    pub(super) fn attach(
        #[cfg_attr(not(feature = "debug-log"), expect(unused_mut, reason = "its log is taken out"))] mut ebpf: Ebpf,
        btf: &Btf,
        options: &Options,
    ) -> Result<Self, LoadError> {
        let mut attached = Self {
            #[cfg(feature = "debug-log")]
            log: aya_log::EbpfLogger::init(&mut ebpf).ok(),
            ebpf,
            states: Vec::new(),
            ticking: BTreeMap::new(),
            tick: options.tick,
            walk: 0,
        };
        let tracepoint = |program: Program| move |this: &mut Self| tracepoint(&mut this.ebpf, program, btf);
        attached.try_one(NEW_TASK, options, tracepoint(NEW_TASK));
        attached.try_one(EXIT, options, tracepoint(EXIT));
        attached.try_one(WALK, options, |this| {
            iterator(&mut this.ebpf)?.load("task", btf)?;
            this.run_walk()
        });
        attached.try_one(EXEC, options, tracepoint(EXEC));
        for program in RECLAIM {
            attached.try_one(program, options, tracepoint(program));
        }
        for program in STALLS.into_iter().chain(OOM) {
            attached.try_one(program, options, |this| function_entry(&mut this.ebpf, program, btf));
        }
        let switch = attached.try_one(SWITCH, options, tracepoint(SWITCH));
        if let ProbeState::Failed(why) = switch {
            return Err(LoadError::Refused { what: SWITCH.hook, why: why.clone().into_owned() });
        }
        attached.try_one(TICK, options, |this| {
            let program: &mut PerfEvent = this.ebpf.program_mut(TICK.name).ok_or(AttachError::Absent)?.try_into()?;
            program.load()?;
            this.follow_cpus()
        });
        Ok(attached)
    }

    fn try_one(
        &mut self,
        program: Program,
        options: &Options,
        how: impl FnOnce(&mut Self) -> Result<(), AttachError>,
    ) -> &ProbeState {
        let state = if program.group.is_some_and(|group| options.without.contains(&group)) {
            ProbeState::Off
        } else {
            match how(self) {
                Ok(()) => ProbeState::Active,
                Err(error) => ProbeState::Failed(Cow::Owned(error.to_string())),
            }
        };
        &self.states.push_mut((program, state)).1
    }

    fn is_active(&self, program: &Program) -> bool {
        self.states.iter().any(|(other, state)| other.name == program.name && state.is_active())
    }

    /// What the programs that are at work count.
    pub(super) fn subjects(&self) -> Vec<Subject> {
        [
            (Subject::Starts, self.is_active(&NEW_TASK)),
            (Subject::Exits, self.is_active(&EXIT)),
            (Subject::Execs, self.is_active(&EXEC)),
            (Subject::Census, self.is_active(&WALK)),
            (Subject::Reclaim, RECLAIM.iter().all(|program| self.is_active(program))),
            (Subject::MemoryStalls, STALLS.iter().all(|program| self.is_active(program))),
            (Subject::OomLimits, OOM.iter().all(|program| self.is_active(program))),
        ]
        .into_iter()
        .filter_map(|(subject, counted)| counted.then_some(subject))
        .collect()
    }

    /// Whether a slot can be taken back safely: that takes walks, and tasks that let go of their slots when they end.
    pub(super) fn can_recycle(&self) -> bool {
        self.is_active(&WALK) && self.is_active(&EXIT)
    }

    /// Visits every task: gives a ledger to each that has none, and counts what users hold. Yields the walk's number, or `None`
    /// where walks do not work at all.
    pub(super) fn walk(&mut self) -> Result<Option<u64>, AttachError> {
        if !self.is_active(&WALK) {
            return Ok(None);
        }
        self.run_walk()?;
        Ok(Some(self.walk))
    }

    /// Number of the last walk.
    pub(super) fn last_walk(&self) -> u64 {
        self.walk
    }

    /// It prints nothing; reading to the end is what makes it run.
    fn run_walk(&mut self) -> Result<(), AttachError> {
        self.walk += 1;
        let number: &mut Map = self.ebpf.map_mut(maps::WALK).ok_or(AttachError::Absent)?;
        Array::<_, u64>::try_from(number)?.set(0, self.walk, 0)?;
        let program = iterator(&mut self.ebpf)?;
        let link = program.attach()?;
        let mut file = program.take_link(link)?.into_file()?;
        let mut nothing = [0; 64];
        loop {
            match file.read(&mut nothing) {
                Ok(0) => return Ok(()),
                // The kernel pauses after a million tasks (bpf_seq_read, kernel/bpf/bpf_iter.c).
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error.into()),
                _ => {}
            }
        }
    }

    /// Takes `user` out of the table, so that the programs no longer find `slot`. `false` if they would not: whoever loses a race
    /// for a slot owns another one for a moment.
    pub(super) fn hide(&mut self, user: Uid, slot: u32) -> Result<bool, AttachError> {
        let map = self.ebpf.map_mut(maps::UID_SLOTS).ok_or(AttachError::Absent)?;
        let mut slots = HashMap::<_, u32, u32>::try_from(map)?;
        match slots.get(&user.0, 0) {
            Ok(found) if found == slot => {}
            Ok(_) | Err(MapError::KeyNotFound) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        slots.remove(&user.0)?;
        Ok(true)
    }

    /// Offers `slots` to new users.
    pub(super) fn give_back(&mut self, slots: &[u32]) -> Result<(), AttachError> {
        let owners = self.ebpf.map_mut(maps::SLOT_OWNERS).ok_or(AttachError::Absent)?;
        let mut owners: Array<_, u64> = Array::try_from(owners)?;
        for slot in slots {
            owners.set(*slot, 0, 0)?;
        }
        let free = self.ebpf.map_mut(maps::FREE_SLOTS).ok_or(AttachError::Absent)?;
        let mut free: Stack<_, u32> = Stack::try_from(free)?;
        for slot in slots {
            free.push(*slot, 0)?;
        }
        Ok(())
    }

    /// Gives a tick to CPUs that have come, and forgets that of CPUs that have gone: the kernel ends the clock of a CPU that goes
    /// offline, and a new one must be made when it is back.
    pub(super) fn follow_cpus(&mut self) -> Result<(), AttachError> {
        let online = online_cpus()?;
        let program: &mut PerfEvent = self.ebpf.program_mut(TICK.name).ok_or(AttachError::Absent)?.try_into()?;
        let gone: Vec<u32> = self.ticking.keys().copied().filter(|cpu| !online.contains(cpu)).collect();
        for cpu in gone {
            if let Some(link) = self.ticking.remove(&cpu) {
                program.detach(link)?;
            }
        }
        for cpu in online {
            if let Entry::Vacant(place) = self.ticking.entry(cpu) {
                place.insert(program.attach(
                    PerfEventConfig::Software(SoftwareEvent::CpuClock),
                    PerfEventScope::AllProcessesOneCpu { cpu },
                    // The CPU clock counts nanoseconds.
                    SamplePolicy::Period(Nanos::from(self.tick).0),
                    false,
                )?);
            }
        }
        Ok(())
    }

    /// Whether the tick works at all.
    pub(super) fn has_tick(&self) -> bool {
        self.is_active(&TICK)
    }

    /// Prints what the programs have logged meanwhile.
    #[cfg(feature = "debug-log")]
    pub(super) fn flush_log(&mut self) {
        if let Some(log) = &mut self.log {
            log.flush();
        }
    }

    pub(super) fn probes(&self) -> Vec<Probe> {
        let probe = |(program, state): &(Program, ProbeState)| Probe {
            name: program.name,
            hook: program.hook,
            needed: program.needed,
            state: state.clone(),
            runs: self.runs(program.name).unwrap_or_default(),
        };
        self.states.iter().map(probe).collect()
    }

    fn runs(&self, name: &str) -> Option<ProgramRuns> {
        fdinfo::program_runs(self.ebpf.program(name)?.fd().ok()?).ok()
    }

    pub(super) fn program_fds(&self) -> io::Result<Vec<(&'static str, OwnedFd)>> {
        let mut fds = Vec::new();
        for (program, _) in &self.states {
            if let Some(Ok(fd)) = self.ebpf.program(program.name).map(aya::programs::Program::fd) {
                fds.push((program.name, fd.as_fd().try_clone_to_owned()?));
            }
        }
        Ok(fds)
    }

    pub(super) fn memory(&self) -> Bytes {
        let of_maps = self.ebpf.maps().filter_map(|(_, map)| fdinfo::memory(&fd_of(map)?).ok());
        let of_programs = self.ebpf.programs().filter_map(|(_, program)| fdinfo::memory(program.fd().ok()?).ok());
        Bytes(of_maps.chain(of_programs).map(|bytes| bytes.0).sum())
    }
}

fn tracepoint(ebpf: &mut Ebpf, program: Program, btf: &Btf) -> Result<(), AttachError> {
    let hooked: &mut BtfTracePoint = ebpf.program_mut(program.name).ok_or(AttachError::Absent)?.try_into()?;
    hooked.load(program.target(), btf)?;
    hooked.attach()?;
    Ok(())
}

fn function_entry(ebpf: &mut Ebpf, program: Program, btf: &Btf) -> Result<(), AttachError> {
    let hooked: &mut FEntry = ebpf.program_mut(program.name).ok_or(AttachError::Absent)?.try_into()?;
    hooked.load(program.target(), btf)?;
    hooked.attach()?;
    Ok(())
}

fn iterator(ebpf: &mut Ebpf) -> Result<&mut Iter, AttachError> {
    Ok(ebpf.program_mut(WALK.name).ok_or(AttachError::Absent)?.try_into()?)
}

/// Why one program could not be attached.
#[derive(Debug, thiserror::Error)]
pub(super) enum AttachError {
    #[error("the object has no such program")]
    Absent,
    #[error("{}", program_error(.0))]
    Program(#[from] ProgramError),
    #[error("{}", with_causes(.0))]
    Link(#[from] LinkError),
    #[error("{}", with_causes(.0))]
    Map(#[from] MapError),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// One line: of the verifier's log only its verdict.
fn program_error(error: &ProgramError) -> String {
    match error {
        ProgramError::LoadError { io_error, verifier_log } => {
            let log = verifier_log.to_string();
            // The verdict is followed by statistics.
            let is_verdict = |line: &&str| {
                !["processed ", "stack depth ", "verification time "].iter().any(|start| line.starts_with(start))
                    && !line.is_empty()
            };
            match log.lines().rev().find(is_verdict) {
                Some(verdict) => format!("the verifier says {verdict:?} ({io_error})"),
                None => format!("the kernel refuses it: {io_error}"),
            }
        }
        other => with_causes(other),
    }
}

/// The message with those of its causes that it does not repeat.
pub(super) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let message = error.to_string();
        if !text.contains(&message) {
            text = format!("{text}: {message}");
        }
        cause = error.source();
    }
    text
}

/// Descriptor of a map of a kind that uidmeter has.
pub(super) fn fd_of(map: &Map) -> Option<BorrowedFd<'_>> {
    match map {
        Map::Array(data) | Map::HashMap(data) | Map::Stack(data) | Map::Unsupported(data) => Some(data.fd().as_fd()),
        _ => None,
    }
}
