//! Replaces a file at once, so that whoever owns it and may read it stays the same.

use std::{
    fs,
    io::ErrorKind,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use super::FleetError;
use crate::{
    export::shown,
    token::place::{Owner, Present, put},
};

/// Puts `bytes` into `path` with owner and mode of the file that is there. If none is, it is ours, with the mode `mode`.
///
/// A symbolic link stays one: what it leads to is replaced.
///
/// # Errors
/// One sentence; the old file is as it was.
pub(super) fn replace(path: &Path, bytes: &[u8], mode: u32) -> Result<(), FleetError> {
    let path = behind_links(path)?;
    let (mode, owner) = match fs::metadata(&path) {
        Ok(old) if old.is_file() => (old.mode() & 0o7777, Some(Owner::of(&old))),
        Ok(_) => return Err(FleetError::File(format!("{} is not a regular file", shown(&path)))),
        Err(error) if error.kind() == ErrorKind::NotFound => (mode, None),
        Err(error) => return Err(FleetError::File(format!("{} cannot be read ({error})", shown(&path)))),
    };
    put(&path, bytes, mode, owner, Present::Replaced).map_err(|error| FleetError::File(error.to_string()))
}

/// The file itself.
pub(super) fn behind_links(path: &Path) -> Result<PathBuf, FleetError> {
    match fs::canonicalize(path) {
        Ok(path) => Ok(path),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(path.to_owned()),
        Err(error) => Err(FleetError::File(format!("{} cannot be read ({error})", shown(path)))),
    }
}
