//! The programs of the object: attaches them in the order that loses nothing, keeps them attached, tells how they fare.
//!
//! Order: first `task_newtask`, so that every task born from now on has a ledger; then the iterator, which gives one to
//! all others; only then `sched_switch` and the tick, which need ledgers.

use std::{
    borrow::Cow,
    io,
    io::Read as _,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::Duration,
};

use aya::{
    Btf, Ebpf,
    maps::Map,
    programs::{
        BtfTracePoint, Iter, PerfEvent, ProgramError,
        links::LinkError,
        perf_event::{PerfEventConfig, PerfEventScope, SamplePolicy, SoftwareEvent},
    },
};

use super::{fdinfo, load::LoadError};
use crate::{
    source::{Probe, ProbeState, ProgramRuns},
    units::{Bytes, Nanos},
};

/// A program of the object.
struct Program {
    name: &'static str,
    hook: &'static str,
    needed: bool,
}

const NEW_TASK: Program = Program { name: "task_newtask", hook: "tp_btf/task_newtask", needed: true };
const SEED: Program = Program { name: "seed_ledgers", hook: "iter/task", needed: true };
const SWITCH: Program = Program { name: "sched_switch", hook: "tp_btf/sched_switch", needed: true };
const TICK: Program = Program { name: "tick", hook: "perf_event/cpu-clock", needed: false };

/// Programs that are loaded, and attached until this is dropped.
pub(super) struct Attached {
    ebpf: Ebpf,
    states: Vec<(Program, ProbeState)>,
    /// Absent if the embedded programs were built without logs.
    #[cfg(feature = "debug-log")]
    log: Option<aya_log::EbpfLogger<&'static dyn log::Log>>,
}

impl Attached {
    /// Attaches every program of `ebpf`, the clock on each CPU of `online`. One that cannot be attached has its reason noted, and
    /// the others go on.
    ///
    /// # Errors
    /// `sched_switch` cannot be attached: without it there is nothing to tell.
    pub(super) fn attach(
        #[cfg_attr(not(feature = "debug-log"), expect(unused_mut, reason = "its log is taken out"))] mut ebpf: Ebpf,
        btf: &Btf,
        online: &[u32],
        tick: Duration,
    ) -> Result<Self, LoadError> {
        let mut attached = Self {
            #[cfg(feature = "debug-log")]
            log: aya_log::EbpfLogger::init(&mut ebpf).ok(),
            ebpf,
            states: Vec::new(),
        };
        attached.try_one(NEW_TASK, |ebpf| tracepoint(ebpf, NEW_TASK.name, btf));
        attached.try_one(SEED, |ebpf| {
            iterator(ebpf)?.load("task", btf)?;
            run_iterator(ebpf)
        });
        let switch = attached.try_one(SWITCH, |ebpf| tracepoint(ebpf, SWITCH.name, btf));
        if let ProbeState::Failed(why) = switch {
            return Err(LoadError::Refused { what: SWITCH.hook, why: why.clone().into_owned() });
        }
        attached.try_one(TICK, |ebpf| clock(ebpf, online, tick));
        Ok(attached)
    }

    fn try_one(&mut self, program: Program, how: impl FnOnce(&mut Ebpf) -> Result<(), AttachError>) -> &ProbeState {
        let state = match how(&mut self.ebpf) {
            Ok(()) => ProbeState::Active,
            Err(error) => ProbeState::Failed(Cow::Owned(error.to_string())),
        };
        &self.states.push_mut((program, state)).1
    }

    /// Gives a ledger to every task that has none; nothing where the iterator does not work at all.
    pub(super) fn seed_ledgers(&mut self) -> Result<(), AttachError> {
        let works = self.states.iter().any(|(program, state)| program.name == SEED.name && state.is_active());
        if works { run_iterator(&mut self.ebpf) } else { Ok(()) }
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

fn tracepoint(ebpf: &mut Ebpf, name: &'static str, btf: &Btf) -> Result<(), AttachError> {
    let program: &mut BtfTracePoint = ebpf.program_mut(name).ok_or(AttachError::Absent)?.try_into()?;
    program.load(name, btf)?;
    program.attach()?;
    Ok(())
}

fn iterator(ebpf: &mut Ebpf) -> Result<&mut Iter, AttachError> {
    Ok(ebpf.program_mut(SEED.name).ok_or(AttachError::Absent)?.try_into()?)
}

/// Runs the task iterator once over all tasks. It prints nothing; reading to the end is what makes it run.
fn run_iterator(ebpf: &mut Ebpf) -> Result<(), AttachError> {
    let program = iterator(ebpf)?;
    let link = program.attach()?;
    let mut file = program.take_link(link)?.into_file()?;
    let mut nothing = [0; 64];
    while file.read(&mut nothing)? > 0 {}
    Ok(())
}

fn clock(ebpf: &mut Ebpf, cpus: &[u32], tick: Duration) -> Result<(), AttachError> {
    let program: &mut PerfEvent = ebpf.program_mut(TICK.name).ok_or(AttachError::Absent)?.try_into()?;
    program.load()?;
    for &cpu in cpus {
        program.attach(
            PerfEventConfig::Software(SoftwareEvent::CpuClock),
            PerfEventScope::AllProcessesOneCpu { cpu },
            // The CPU clock counts nanoseconds.
            SamplePolicy::Period(Nanos::from(tick).0),
            false,
        )?;
    }
    Ok(())
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
            let verdict = log.lines().rev().find(is_verdict);
            format!("the verifier says {:?} ({io_error})", verdict.unwrap_or_default())
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
