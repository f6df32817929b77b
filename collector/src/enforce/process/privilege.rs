//! What the enforcer does without: descriptors of the daemon's that it has not asked for, and every right that it does not need.

use std::{fs, io, os::fd::RawFd};

use caps::{CapSet, Capability, CapsHashSet};

/// Writing files of cgroups takes the user root, and no capability, where root owns them; in a subtree that belongs to another
/// user it takes this one. Moving processes takes write access to `cgroup.procs` and nothing else
/// (`cgroup_attach_permissions`, kernel/cgroup/cgroup.c).
const KEPT: [Capability; 1] = [Capability::CAP_DAC_OVERRIDE];

/// Closes everything but standard input, output and error. To be called before anything is opened.
pub fn close_inherited() -> io::Result<()> {
    let names: Vec<_> = fs::read_dir("/proc/self/fd")?.filter_map(|entry| Some(entry.ok()?.file_name())).collect();
    for fd in names.iter().filter_map(|name| name.to_str()?.parse::<RawFd>().ok()).filter(|fd| *fd > 2) {
        // The listing's own descriptor is closed already.
        let _ = nix::unistd::close(fd);
    }
    Ok(())
}

/// Gives up every capability that is not needed, for good.
pub fn shed() -> io::Result<()> {
    nix::sys::prctl::set_no_new_privs()?;
    let had = caps::read(None, CapSet::Permitted).map_err(io::Error::other)?;
    let kept: CapsHashSet = KEPT.into_iter().filter(|capability| had.contains(capability)).collect();
    caps::clear(None, CapSet::Ambient).map_err(io::Error::other)?;
    if had.contains(&Capability::CAP_SETPCAP) {
        for capability in caps::read(None, CapSet::Bounding).map_err(io::Error::other)? {
            caps::drop(None, CapSet::Bounding, capability).map_err(io::Error::other)?;
        }
    }
    caps::clear(None, CapSet::Inheritable).map_err(io::Error::other)?;
    caps::set(None, CapSet::Effective, &kept).map_err(io::Error::other)?;
    caps::set(None, CapSet::Permitted, &kept).map_err(io::Error::other)
}
