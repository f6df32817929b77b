//! Whose slice a cgroup belongs to: `/user.slice/user-UID.slice`, where limits on the user reach his tasks. A session of `su`, a
//! service, a job of cron or a container runs elsewhere.
//!
//! Asked only when a task's user or cgroup is not the one of its last drain, and when memory runs out, so reads may take their
//! time.

use aya_ebpf::helpers::{bpf_probe_read_kernel, bpf_probe_read_kernel_str_bytes};
use collector_ebpf::fields::{ABSENT, Field};

use crate::{object::Object, settings::offset, task::Task};

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
    is_known(group) && level(group) >= USERS_LEVEL && user_above(group) == Some(uid)
}

/// The user whose slice `group` itself is.
#[inline(always)]
pub fn owner(group: Object) -> Option<u32> {
    if is_known(group) && level(group) == USERS_LEVEL { user_above(group) } else { None }
}

#[inline(always)]
fn is_known(group: Object) -> bool {
    offset(Field::GroupAncestors) != ABSENT && !group.as_ptr().is_null()
}

#[inline(always)]
fn level(group: Object) -> usize {
    group.required::<u32>(Field::GroupLevel) as usize
}

/// The user in whose slice `group` is, or which it is; it is as deep as such a slice at least.
#[inline(always)]
fn user_above(group: Object) -> Option<u32> {
    let ancestors = group.as_ptr().wrapping_add(offset(Field::GroupAncestors) as usize);
    if !name_of(ancestors, USERS_LEVEL - 1)?.starts_with(b"user.slice\0") {
        return None;
    }
    user_of(&name_of(ancestors, USERS_LEVEL)?)
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

/// The UID in `user-UID.slice`, as systemd writes it.
#[inline(always)]
fn user_of(name: &[u8; NAME]) -> Option<u32> {
    if !name.starts_with(b"user-") {
        return None;
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
    if name[at..].starts_with(b".slice\0") { u32::try_from(number).ok() } else { None }
}
