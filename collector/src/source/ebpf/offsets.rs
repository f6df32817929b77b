//! Finds in the running kernel's BTF what the programs must know: field offsets and the place of arguments.

use collector_ebpf::{
    fields::{ABSENT, FIELDS, FieldPath, PATHS},
    layout::{SETTINGS, Setting},
};

use super::btf::{Btf, BtfError};

/// Byte offsets, in the order of [`collector_ebpf::fields::Field`].
pub(super) type Offsets = [u32; FIELDS];

/// Looks up every field; the second list names optional ones that this kernel lacks.
pub(super) fn offsets(btf: &Btf<'_>) -> Result<(Offsets, Vec<&'static FieldPath>), FieldError> {
    let mut offsets = [ABSENT; FIELDS];
    let mut lacking = Vec::new();
    for path in &PATHS {
        match btf.member(path.root, path.members)? {
            Some(member) if member.size == path.size => offsets[path.field as usize] = member.offset,
            Some(member) => {
                return Err(FieldError::Size { field: name(path), found: member.size, expected: path.size });
            }
            None if path.required => return Err(FieldError::Missing { field: name(path) }),
            None => lacking.push(path),
        }
    }
    Ok((offsets, lacking))
}

/// Settings as far as BTF decides them; the number of slots is the caller's.
pub(super) fn settings(btf: &Btf<'_>, slots: u32) -> Result<[u32; SETTINGS], BtfError> {
    let mut settings = [0; SETTINGS];
    settings[Setting::Slots as usize] = slots;
    settings[Setting::SwitchPrevArgument as usize] = task_argument(btf, "sched_switch")?;
    settings[Setting::NewTaskArgument as usize] = task_argument(btf, "task_newtask")?;
    Ok(settings)
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
