//! Writes a file whole or not at all: into a temporary one beside it, to the disk, then by renaming.

use std::{
    fs::{File, Metadata, Permissions},
    io::{self, Write as _},
    os::{
        fd::AsFd as _,
        unix::fs::{MetadataExt as _, PermissionsExt as _},
    },
    path::Path,
};

use nix::unistd::{Gid, Group, Uid, User, fchown};

use super::TokenError;

/// To whom a file will belong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    uid: Uid,
    gid: Option<Gid>,
}

impl Owner {
    /// Of a file that is there.
    pub(crate) fn of(file: &Metadata) -> Self {
        Self { uid: Uid::from_raw(file.uid()), gid: Some(Gid::from_raw(file.gid())) }
    }

    /// From `USER` or `USER:GROUP`, by name or number.
    pub(crate) fn parse(text: &str) -> Result<Self, TokenError> {
        let (user, group) = text.split_once(':').map_or((text, None), |(user, group)| (user, Some(group)));
        let unknown = |what: &str, name: &str| TokenError::Usage(format!("--owner: there is no {what} {name:?}"));
        let known = match user.parse() {
            Ok(uid) => return Ok(Self { uid: Uid::from_raw(uid), gid: group.map(find_group).transpose()? }),
            Err(_) => User::from_name(user).ok().flatten().ok_or_else(|| unknown("user", user))?,
        };
        Ok(Self { uid: known.uid, gid: group.map(find_group).transpose()?.or(Some(known.gid)) })
    }
}

fn find_group(name: &str) -> Result<Gid, TokenError> {
    if let Ok(gid) = name.parse() {
        return Ok(Gid::from_raw(gid));
    }
    let group = Group::from_name(name).ok().flatten();
    group.map(|group| group.gid).ok_or_else(|| TokenError::Usage(format!("--owner: there is no group {name:?}")))
}

/// What stands at the path already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Present {
    /// Is kept, and nothing is written.
    Kept,
    /// Is replaced at once: who reads it sees the old or the new.
    Replaced,
}

/// Puts `bytes` into `path`.
pub(crate) fn put(
    path: &Path,
    bytes: &[u8],
    mode: u32,
    owner: Option<Owner>,
    present: Present,
) -> Result<(), TokenError> {
    let failed = |error: io::Error| TokenError::File(format!("{} cannot be written ({error})", path.display()));
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // For nobody else from the first byte on.
    let mut file = tempfile::Builder::new()
        .prefix(".uidmeter-")
        .permissions(Permissions::from_mode(0o600))
        .tempfile_in(folder)
        .map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    if let Some(owner) = owner {
        fchown(file.as_file().as_fd(), Some(owner.uid), owner.gid).map_err(|errno| failed(errno.into()))?;
    }
    file.as_file().set_permissions(Permissions::from_mode(mode)).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    match present {
        Present::Kept => file.persist_noclobber(path).map_err(|error| failed(error.error))?,
        Present::Replaced => file.persist(path).map_err(|error| failed(error.error))?,
    };
    // The new name must be on the disk, too.
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
}
