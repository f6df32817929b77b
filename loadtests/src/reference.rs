//! The programs that uidmeter is compared with: an empty one, and the classic design with its time stamps and hashes.

use std::{os::fd::AsFd as _, path::Path};

use anyhow::{Context as _, Result, anyhow};
use aya::{
    Btf, Ebpf, EbpfLoader,
    programs::{BtfTracePoint, ProgramError, tp_btf::BtfTracePointLink},
};
use collector::source::ebpf::field_offset;

use crate::program::Program;

/// A program and the tracepoint that it belongs to.
type Hook = (&'static str, &'static str);

/// Does nothing: what the kernel and its statistics take for running any program at all.
pub(crate) const EMPTY: &[Hook] = &[("empty_switch", "sched_switch")];
/// Takes a time stamp at each wakeup and switch.
pub(crate) const CLASSIC: &[Hook] = &[
    ("classic_switch", "sched_switch"),
    ("classic_wakeup", "sched_wakeup"),
    ("classic_wakeup_new", "sched_wakeup_new"),
];

/// The reference programs, loaded, at work only while they are attached.
pub(crate) struct Reference(Ebpf);

/// Programs at work; dropping this detaches them.
pub(crate) struct Attached {
    /// Which.
    pub(crate) programs: Vec<Program>,
    links: Vec<BtfTracePointLink>,
}

impl Reference {
    /// Loads the programs in `object` into the kernel whose type information is `btf`.
    pub(crate) fn load(object: &Path, btf: &Path) -> Result<Self> {
        let field = |name| field_offset(btf, "task_struct", &[name]).map_err(|error| anyhow!(error));
        let pid = field("pid")?.context("this kernel's task_struct has no field pid")?;
        // Named `state` before Linux 5.14.
        let state = match field("__state")? {
            Some(offset) => offset,
            None => field("state")?.context("this kernel's task_struct has neither __state nor state")?,
        };
        let mut ebpf = EbpfLoader::new()
            // The programs carry offsets of their own instead of relocations.
            .btf(None)
            .override_global("OFFSET_PID", &pid, true)
            .override_global("OFFSET_STATE", &state, true)
            .load_file(object)
            .with_context(|| format!("cannot load {}; build it with `cargo xtask build-ebpf`", object.display()))?;
        let types = Btf::parse_file(btf, aya::Endianness::default())
            .with_context(|| format!("{} is not usable as type information", btf.display()))?;
        for (name, tracepoint) in EMPTY.iter().chain(CLASSIC) {
            program(&mut ebpf, name)?
                .load(tracepoint, &types)
                .map_err(|error| anyhow!("the kernel refuses the reference program {name}: {}", why(&error)))?;
        }
        Ok(Self(ebpf))
    }

    /// Sets programs to work.
    pub(crate) fn attach(&mut self, hooks: &[Hook]) -> Result<Attached> {
        let mut attached = Attached { programs: Vec::new(), links: Vec::new() };
        for (name, tracepoint) in hooks {
            let program = program(&mut self.0, name)?;
            let link = program.attach().with_context(|| format!("cannot attach {name} to {tracepoint}"))?;
            attached.links.push(program.take_link(link)?);
            attached.programs.push((name, program.fd()?.as_fd().try_clone_to_owned()?));
        }
        Ok(attached)
    }
}

fn program<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut BtfTracePoint> {
    let program = ebpf.program_mut(name).with_context(|| format!("the reference object has no program {name}"))?;
    Ok(program.try_into()?)
}

/// One line: of the verifier's log only its verdict.
fn why(error: &ProgramError) -> String {
    match error {
        ProgramError::LoadError { io_error, verifier_log } => {
            let log = verifier_log.to_string();
            format!("the verifier says {:?} ({io_error})", verdict(&log).unwrap_or_default())
        }
        other => other.to_string(),
    }
}

/// The last line of a verifier's log before its statistics.
fn verdict(log: &str) -> Option<&str> {
    const STATISTICS: [&str; 3] = ["verification time", "stack depth", "processed"];
    let is_verdict = |line: &&str| !line.is_empty() && !STATISTICS.iter().any(|start| line.starts_with(start));
    log.lines().rfind(is_verdict)
}

#[cfg(test)]
mod tests {
    use super::verdict;

    #[test]
    fn the_verdict_stands_before_the_statistics() {
        let log = "178: (79) r1 = *(u64 *)(r0 +24)\ninvalid access to map value\nverification time 482 usec\n\
                   stack depth 24\nprocessed 161 insns (limit 1000000)\n\n";
        assert_eq!(verdict(log), Some("invalid access to map value"));
        assert_eq!(verdict(""), None);
    }
}
