//! What the daemon and its enforcer read for limits: the policy, users and groups by name, and what the enforcer is started with.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use nix::unistd::{Group, User};

use crate::{
    config::{Driver, LimitOptions},
    enforce::{
        Guard,
        start::{Choice, Settings},
    },
    limits::Order,
    policy::{self, Directory, Person, Policy, PolicyErrors},
    units::Uid,
    users::Users,
};

/// How long the guard waits for the name service.
const PATIENCE: Duration = Duration::from_millis(500);

/// Users and groups of this host, by its name service, which is waited for.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemDirectory;

impl Directory for SystemDirectory {
    fn user(&self, name: &str) -> Result<Option<Uid>, String> {
        let user = User::from_name(name).map_err(|error| error.desc().to_owned())?;
        Ok(user.map(|user| Uid(user.uid.as_raw())))
    }

    fn group(&self, name: &str) -> Result<Option<u32>, String> {
        let group = Group::from_name(name).map_err(|error| error.desc().to_owned())?;
        Ok(group.map(|group| group.gid.as_raw()))
    }
}

/// The policy in `file`, with this host's users and groups.
///
/// # Errors
/// All that is wrong with it.
pub fn policy(file: &Path) -> Result<Policy, PolicyErrors> {
    Policy::parse(&policy::read(file)?, &file.display().to_string(), &SystemDirectory)
}

/// What the enforcer is told of the configuration.
pub fn enforcer_settings(options: &LimitOptions) -> Settings {
    let driver = match options.driver {
        Driver::Auto => Choice::Auto,
        Driver::Systemd => Choice::Systemd,
        Driver::Cgroupfs => Choice::Cgroupfs,
    };
    Settings {
        driver,
        root: options.cgroup_root.clone(),
        journal: options.journal.clone(),
        audit: options.audit_log.clone(),
        lease: options.lease,
    }
}

/// What holds each order of the daemon against the policy in `file`, which is read again when it has changed. With no policy, or
/// one that has become unreadable, nobody is limited.
///
/// # Errors
/// The threads that look up users cannot be started.
pub fn guard(file: Option<PathBuf>) -> io::Result<Guard> {
    let mut users = Users::from_system()?;
    let mut known = Known::default();
    Ok(Box::new(move |order: &Order| {
        if order.uid == Uid(0) {
            return Err("root is never limited".into());
        }
        let file = file.as_deref().ok_or("there is no limits.policy_file")?;
        let policy = known.policy(file)?;
        let names = users.names_within([order.uid].into_iter(), Instant::now(), PATIENCE);
        let (name, groups) = (names.get(order.uid).cloned(), names.groups(order.uid).cloned());
        let person = Person { uid: order.uid, name, groups };
        policy.permits(order, &person).map_err(|refusal| refusal.to_string())
    }))
}

/// The policy as it was last read.
#[derive(Default)]
struct Known {
    mark: Option<Mark>,
    policy: Option<Arc<Policy>>,
}

/// Differs when a file has been replaced or written to.
type Mark = (u64, u64, u64, i64, i64);

impl Known {
    fn policy(&mut self, file: &Path) -> Result<Arc<Policy>, String> {
        let found = fs::metadata(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
        let mark = (found.dev(), found.ino(), found.len(), found.mtime(), found.mtime_nsec());
        if self.mark != Some(mark) {
            let policy = policy(file).map_err(|errors| format!("the policy has mistakes: {errors}"))?;
            (self.mark, self.policy) = (Some(mark), Some(Arc::new(policy)));
        }
        self.policy.clone().ok_or_else(|| "there is no policy".into())
    }
}
