//! Whether a task runs within its own user's slice, `/user.slice/user-UID.slice` of the unified cgroup hierarchy, where limits
//! on the user reach it. A session of `su`, a service, a job of cron or a container runs elsewhere.
//!
//! Asked only when a task's user or cgroup is not the one of its last drain, so reads may take their time.

use aya_ebpf::helpers::{bpf_probe_read_kernel, bpf_probe_read_kernel_str_bytes};
use collector_ebpf::fields::{ABSENT, Field};

use crate::{settings::offset, task::Task};

/// Level of `user-UID.slice`; the root is 0 and `user.slice` 1.
const USERS_LEVEL: usize = 2;
/// Room for `user-4294967295.slice` and its end.
const NAME: usize = 24;

/// Whether `task`'s cgroup is, or is below, the slice of `uid`.
#[inline(always)]
pub fn is_own(task: Task, uid: u32) -> bool {
    let Some(group) = task.default_group() else {
        return false;
    };
    if offset(Field::GroupAncestors) == ABSENT || (group.required::<u32>(Field::GroupLevel) as usize) < USERS_LEVEL {
        return false;
    }
    let ancestors = group.as_ptr().wrapping_add(offset(Field::GroupAncestors) as usize);
    name_of(ancestors, USERS_LEVEL - 1).is_some_and(|name| name.starts_with(b"user.slice\0"))
        && name_of(ancestors, USERS_LEVEL).is_some_and(|name| is_slice_of(&name, uid))
}

/// The name of the ancestor at `level`.
#[inline(always)]
fn name_of(ancestors: *const u8, level: usize) -> Option<[u8; NAME]> {
    let group = pointer(ancestors, level * size_of::<u64>())?;
    let node = pointer(group, offset(Field::GroupNode) as usize)?;
    let text = pointer(node, offset(Field::NodeName) as usize)?;
    let mut name = [0; NAME];
    // SAFETY: the helper checks the address; what does not fit is cut off.
    unsafe { bpf_probe_read_kernel_str_bytes(text, &mut name) }.ok()?;
    Some(name)
}

#[inline(always)]
fn pointer(base: *const u8, offset: usize) -> Option<*const u8> {
    // SAFETY: the helper checks the address.
    unsafe { bpf_probe_read_kernel(base.wrapping_add(offset).cast::<*const u8>()) }.ok()
}

/// Whether `name` is `user-UID.slice`, as systemd writes it.
#[inline(always)]
fn is_slice_of(name: &[u8; NAME], uid: u32) -> bool {
    if !name.starts_with(b"user-") {
        return false;
    }
    let mut number: u64 = 0;
    let mut at = b"user-".len();
    // A UID has ten digits at most.
    while at < b"user-".len() + 10 {
        let digit = name[at].wrapping_sub(b'0');
        if digit > 9 {
            break;
        }
        number = number * 10 + u64::from(digit);
        at += 1;
    }
    number == u64::from(uid) && name[at..].starts_with(b".slice\0")
}
