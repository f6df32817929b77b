//! The programs that uidmeter is compared with: an empty one, and the classic design with its time stamps and hashes.

use std::{os::fd::AsFd as _, path::Path};

use anyhow::{Context as _, Result, anyhow};
use aya::{Btf, Ebpf, EbpfLoader, programs::BtfTracePoint, programs::tp_btf::BtfTracePointLink};
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
        let field =
            |name| field_offset(btf, "task_struct", &[name]).map_err(|error| anyhow!(error));
        let pid = field("pid")?.context("this kernel's task_struct has no field pid")?;
        // Named `state` before Linux 5.14.
        let state = match field("__state")? {
            Some(offset) => offset,
            None => field("state")?
                .context("this kernel's task_struct has neither __state nor state")?,
        };
        let mut ebpf = EbpfLoader::new()
            // The programs carry offsets of their own instead of relocations.
            .btf(None)
            .override_global("OFFSET_PID", &pid, true)
            .override_global("OFFSET_STATE", &state, true)
            .load_file(object)
            .with_context(|| {
                format!(
                    "cannot load {}; build it with `cargo xtask build-ebpf`",
                    object.display()
                )
            })?;
        let types = Btf::parse_file(btf, aya::Endianness::default())
            .with_context(|| format!("{} is not usable as type information", btf.display()))?;
        for (name, tracepoint) in EMPTY.iter().chain(CLASSIC) {
            program(&mut ebpf, name)?
                .load(tracepoint, &types)
                .with_context(|| format!("the kernel refuses the reference program {name}"))?;
        }
        Ok(Self(ebpf))
    }

    /// Sets programs to work.
    pub(crate) fn attach(&mut self, hooks: &[Hook]) -> Result<Attached> {
        let mut attached = Attached {
            programs: Vec::new(),
            links: Vec::new(),
        };
        for (name, tracepoint) in hooks {
            let program = program(&mut self.0, name)?;
            let link = program
                .attach()
                .with_context(|| format!("cannot attach {name} to {tracepoint}"))?;
            attached.links.push(program.take_link(link)?);
            attached
                .programs
                .push((name, program.fd()?.as_fd().try_clone_to_owned()?));
        }
        Ok(attached)
    }
}

fn program<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut BtfTracePoint> {
    let program = ebpf
        .program_mut(name)
        .with_context(|| format!("the reference object has no program {name}"))?;
    Ok(program.try_into()?)
}
