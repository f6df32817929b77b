//! Finds in the running kernel's BTF what the programs must know: field offsets and the place of arguments.

use collector_ebpf::{
    fields::{ABSENT, ANY_SIZE, FIELDS, Field, FieldPath, PATHS},
    layout::{SETTINGS, Setting},
};

use super::btf::{Btf, BtfError};
use crate::source::Subject;

/// Byte offsets, in the order of [`collector_ebpf::fields::Field`].
pub(super) type Offsets = [u32; FIELDS];

/// Looks up every field; the second list names optional ones that this kernel lacks.
pub(super) fn offsets(btf: &Btf<'_>) -> Result<(Offsets, Vec<&'static FieldPath>), FieldError> {
    let mut offsets = [ABSENT; FIELDS];
    let mut lacking = Vec::new();
    for path in &PATHS {
        match btf.member(path.root, path.members)? {
            Some(member) if path.size == ANY_SIZE || member.size == path.size => {
                offsets[path.field as usize] = member.offset
            }
            Some(member) => {
                return Err(FieldError::Size { field: name(path), found: member.size, expected: path.size });
            }
            None if path.required => return Err(FieldError::Missing { field: name(path) }),
            None => lacking.push(path),
        }
    }
    Ok((offsets, lacking))
}

/// Settings as far as BTF decides them; the numbers of slots and CPUs are the caller's.
pub(super) fn settings(btf: &Btf<'_>, slots: u32, cpus: u32) -> Result<[u32; SETTINGS], BtfError> {
    let mut settings = [0; SETTINGS];
    let mut set = |setting: Setting, value| settings[setting as usize] = value;
    set(Setting::Slots, slots);
    set(Setting::Cpus, cpus);
    set(Setting::SwitchPrevArgument, task_argument(btf, "sched_switch")?);
    set(Setting::NewTaskArgument, task_argument(btf, "task_newtask")?);
    let rss = rss_shape(btf)?;
    set(Setting::RssStride, rss.stride);
    set(Setting::RssCount, rss.count);
    set(Setting::RssPerCpu, rss.per_cpu);
    Ok(settings)
}

/// What these fields allow to count.
pub(super) fn subjects(offsets: &Offsets, settings: &[u32; SETTINGS]) -> Vec<Subject> {
    let has = |fields: &[Field]| fields.iter().all(|field| offsets[*field as usize] != ABSENT);
    let rss = settings[Setting::RssStride as usize] != 0;
    [
        (
            Subject::Io,
            has(&[Field::ReadChars, Field::WrittenChars, Field::ReadBytes, Field::WrittenBytes, Field::CancelledBytes]),
        ),
        (Subject::Delays, has(&[Field::Delays, Field::BlockIoDelay, Field::SwapInDelay, Field::ThrashingDelay])),
        (
            Subject::Outside,
            has(&[
                Field::CssSet,
                Field::CssDefaultGroup,
                Field::GroupLevel,
                Field::GroupAncestors,
                Field::GroupNode,
                Field::NodeName,
            ]),
        ),
        (Subject::Memory, rss && has(&[Field::Memory, Field::MemoryOwner, Field::MemoryRss])),
    ]
    .into_iter()
    .filter_map(|(subject, counted)| counted.then_some(subject))
    .collect()
}

/// How `mm_struct.rss_stat` counts pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct RssShape {
    stride: u32,
    count: u32,
    per_cpu: u32,
}

/// `struct mm_rss_stat` with an array of 64-bit counts up to Linux 6.1; later an array of `struct percpu_counter`
/// (commit f1a7941243c1, "mm: convert mm's rss stats into percpu_counter").
fn rss_shape(btf: &Btf<'_>) -> Result<RssShape, BtfError> {
    let unknown = RssShape { stride: 0, count: 0, per_cpu: ABSENT };
    if let Some(count) = btf.member("mm_rss_stat", &["count"])? {
        return Ok(RssShape { stride: 8, count: count.offset, ..unknown });
    }
    let (Some(size), Some(count)) = (btf.struct_size("percpu_counter")?, btf.member("percpu_counter", &["count"])?)
    else {
        return Ok(unknown);
    };
    // Without SMP there is nothing kept back.
    let per_cpu = btf.member("percpu_counter", &["counters"])?.map_or(ABSENT, |counters| counters.offset);
    Ok(if count.size == 8 { RssShape { stride: size, count: count.offset, per_cpu } } else { unknown })
}

/// Position of the first `struct task_struct *` among a tracepoint's arguments. (In `sched_switch` that is `prev`;
/// what stands around it has changed over time.) For a tracepoint that does not exist, a position that no program
/// accepts.
fn task_argument(btf: &Btf<'_>, tracepoint: &str) -> Result<u32, BtfError> {
    Ok(btf.tracepoint_argument(tracepoint, "task_struct")?.unwrap_or(u32::MAX))
}

/// The name under which people know a field.
pub(super) fn name(path: &FieldPath) -> String {
    format!("{}.{}", path.root, path.members.join("."))
}

/// A field that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum FieldError {
    /// Not there, or renamed.
    #[error("this kernel's BTF has no field {field}")]
    Missing { field: String },
    /// There, but of another size.
    #[error("this kernel's {field} has {found} bytes where {expected} were expected")]
    Size { field: String, found: u32, expected: u32 },
    /// The BTF itself is damaged.
    #[error(transparent)]
    Btf(#[from] BtfError),
}
