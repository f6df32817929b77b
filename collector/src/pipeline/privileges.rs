//! Giving up what is needed no longer. The process that reads what strangers send becomes an ordinary user without
//! capabilities, but for one: `CAP_PERFMON`, with which a CPU that comes later gets its tick. Older kernels want `CAP_BPF`, too,
//! which is tried out. It must therefore happen when everything is loaded, bound and started that needs more, and before
//! there is a second thread: capabilities belong to threads (`capabilities(7)`).

use std::{ffi::CString, io, os::unix::ffi::OsStrExt as _};

use caps::{CapSet, Capability, CapsHashSet, errors::CapsError};
use nix::{
    sys::prctl,
    unistd::{Gid, Uid, User, geteuid, getgrouplist, setgroups, setresgid, setresuid},
};

/// Who the daemon becomes when nothing else is said.
const USUAL: &str = "uidmeter";
/// Who it becomes where there is no such user.
const ANYBODY: &str = "nobody";
/// The number that the kernel itself has for nobody (`DEFAULT_OVERFLOWUID` in `include/linux/highuid.h`).
const ANYBODYS_NUMBER: u32 = 65_534;
/// What is kept, and what is kept only if it does not go without.
const KEPT: [Capability; 2] = [Capability::CAP_PERFMON, Capability::CAP_BPF];

/// Why privileges cannot be given up.
#[derive(Debug, thiserror::Error)]
pub enum PrivilegeError {
    /// There is no such user.
    #[error("process.user is {0:?}, and there is no such user; create it, or name another one")]
    NoUser(String),
    /// The system refuses.
    #[error("cannot give up privileges: {what}: {source}")]
    Refused {
        /// The step.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
}

/// Who the process is to become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ordinary {
    name: String,
    uid: Uid,
    gid: Gid,
    groups: Vec<Gid>,
}

impl Ordinary {
    /// The user named `wanted`, or the usual one. `None` if this process is an ordinary user already.
    pub(super) fn find(wanted: Option<&str>) -> Result<Option<Self>, PrivilegeError> {
        if !geteuid().is_root() {
            return Ok(None);
        }
        let find = |name: &str| {
            User::from_name(name)
                .map_err(|errno| refused("looking up the user")(errno.into()))
                .map(|user| user.map(Self::from))
        };
        if let Some(name) = wanted {
            return find(name)?.map(Some).ok_or_else(|| PrivilegeError::NoUser(name.into()));
        }
        let found = match find(USUAL)? {
            None => find(ANYBODY)?,
            found => found,
        };
        let (uid, gid) = (Uid::from_raw(ANYBODYS_NUMBER), Gid::from_raw(ANYBODYS_NUMBER));
        Ok(Some(found.unwrap_or_else(|| Self { name: ANYBODY.into(), uid, gid, groups: vec![gid] })))
    }
}

impl Ordinary {
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn uid(&self) -> u32 {
        self.uid.as_raw()
    }

    pub(super) fn gid(&self) -> u32 {
        self.gid.as_raw()
    }
}

impl From<User> for Ordinary {
    fn from(user: User) -> Self {
        let name = CString::new(std::ffi::OsStr::new(&user.name).as_bytes()).unwrap_or_default();
        let groups = getgrouplist(&name, user.gid).unwrap_or_else(|_| vec![user.gid]);
        Self { name: user.name, uid: user.uid, gid: user.gid, groups }
    }
}

/// Becomes `ordinary`, if there is one to become, and gives up all capabilities but those that `can_go_on` turns out to
/// need. What was opened stays open.
pub(super) fn give_up(ordinary: Option<&Ordinary>, can_go_on: impl FnOnce() -> bool) -> Result<(), PrivilegeError> {
    let permitted = caps::read(None, CapSet::Permitted).map_err(capability("reading capabilities"))?;
    if let Some(Ordinary { uid, gid, groups, .. }) = ordinary {
        // Otherwise the change of user would take the one that is kept, too.
        prctl::set_keepcaps(true).map_err(errno("keeping a capability"))?;
        drop_bounding()?;
        setgroups(groups).map_err(errno("leaving groups"))?;
        setresgid(*gid, *gid, *gid).map_err(errno("changing the group"))?;
        setresuid(*uid, *uid, *uid).map_err(errno("changing the user"))?;
        prctl::set_keepcaps(false).map_err(errno("keeping a capability"))?;
    }
    prctl::set_no_new_privs().map_err(errno("forbidding new privileges"))?;
    for (set, what) in [(CapSet::Ambient, "ambient capabilities"), (CapSet::Inheritable, "inheritable capabilities")] {
        caps::clear(None, set).map_err(capability(what))?;
    }
    let kept = |count: usize| -> CapsHashSet {
        KEPT[..count].iter().copied().filter(|capability| permitted.contains(capability)).collect()
    };
    caps::set(None, CapSet::Effective, &kept(1)).map_err(capability("effective capabilities"))?;
    let kept = kept(if can_go_on() { 1 } else { KEPT.len() });
    for set in [CapSet::Effective, CapSet::Permitted] {
        caps::set(None, set, &kept).map_err(capability("kept capabilities"))?;
    }
    let user = ordinary.map_or("the same user", |ordinary| &ordinary.name);
    tracing::info!("gave up privileges: goes on as {user} with {}", names(&kept));
    Ok(())
}

/// A capability outside of the bounding set cannot come back by executing a program. Needs `CAP_SETPCAP`; without it there
/// is nothing to drop that counts.
fn drop_bounding() -> Result<(), PrivilegeError> {
    if caps::has_cap(None, CapSet::Effective, Capability::CAP_SETPCAP).map_err(capability("reading capabilities"))? {
        for each in caps::runtime::thread_all_supported() {
            caps::drop(None, CapSet::Bounding, each).map_err(capability("the bounding set"))?;
        }
    }
    Ok(())
}

fn names(capabilities: &CapsHashSet) -> String {
    let names: Vec<String> = capabilities.iter().map(ToString::to_string).collect();
    if names.is_empty() { "no capability at all".into() } else { names.join(" ") }
}

fn refused(what: &'static str) -> impl Fn(io::Error) -> PrivilegeError {
    move |source| PrivilegeError::Refused { what, source }
}

fn errno(what: &'static str) -> impl Fn(nix::Error) -> PrivilegeError {
    move |errno| refused(what)(errno.into())
}

fn capability(what: &'static str) -> impl Fn(CapsError) -> PrivilegeError {
    move |error| refused(what)(io::Error::other(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::{ANYBODY, Ordinary, PrivilegeError, geteuid};

    #[test]
    fn a_user_who_does_not_exist_is_named() {
        if geteuid().is_root() {
            let error = Ordinary::find(Some("no-such-user")).map_err(|error| error.to_string());
            assert!(error.is_err_and(|error| error.contains("\"no-such-user\"")));
        } else {
            assert_eq!(Ordinary::find(Some("no-such-user")).ok(), Some(None));
        }
    }

    #[test]
    fn whoever_is_root_becomes_somebody_else() -> Result<(), PrivilegeError> {
        let found = Ordinary::find(None)?;
        assert_eq!(found.is_some(), geteuid().is_root());
        assert!(found.is_none_or(|found| !found.uid.is_root() && !found.groups.iter().any(|gid| gid.as_raw() == 0)));
        assert_eq!(Ordinary::find(Some(ANYBODY))?.is_some(), geteuid().is_root());
        Ok(())
    }
}
