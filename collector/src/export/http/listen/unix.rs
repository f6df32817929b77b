//! A Unix socket of our own: mode 0660 from the first moment, in place of a stale one, never in place of anything else.
//!
//! The socket is made under a temporary name beside its path and renamed when it is ready, in a way that fails if
//! something is there. So two processes that start at the same time cannot both believe that they own the path.

use std::{
    fs, io,
    os::unix::{
        fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
};

use nix::{
    fcntl::{AT_FDCWD, RenameFlags, renameat2},
    unistd::geteuid,
};

use super::{Address, ListenError};

const MODE: u32 = 0o660;

/// The socket's file, removed when dropped if it still is the one that we made.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

/// Listens on `path`.
pub(super) fn bind(path: &Path) -> Result<(UnixListener, SocketFile), ListenError> {
    let address = || Address::Unix(path.into());
    let failed = |source| ListenError::Address { address: address(), source };
    clear(path)?;
    let temporary = temporary(path);
    // Left over by a process with our number that was killed between two lines of this function.
    let _ = fs::remove_file(&temporary);
    let listener = UnixListener::bind(&temporary).map_err(failed)?;
    let placed = place(&listener, &temporary, path);
    if placed.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    match placed {
        Ok(file) => Ok((listener, file)),
        // Somebody else was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(ListenError::InUse(address())),
        Err(error) => Err(failed(error)),
    }
}

/// Removes a socket that nobody serves on; refuses to remove anything else.
fn clear(path: &Path) -> Result<(), ListenError> {
    let address = || Address::Unix(path.into());
    let failed = |source| ListenError::Address { address: address(), source };
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    let foreign = |what| Err(ListenError::Foreign { address: address(), what });
    if !found.file_type().is_socket() {
        return foreign("something that is not a socket");
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
        Ok(_) => return Err(ListenError::InUse(address())),
        // For example a full queue: somebody is there.
        Err(error) => return Err(failed(error)),
    }
    if found.uid() != geteuid().as_raw() {
        return foreign("a socket of another user");
    }
    fs::remove_file(path).map_err(failed)
}

fn place(listener: &UnixListener, temporary: &Path, path: &Path) -> io::Result<SocketFile> {
    listener.set_nonblocking(true)?;
    fs::set_permissions(temporary, fs::Permissions::from_mode(MODE))?;
    let made = fs::symlink_metadata(temporary)?;
    renameat2(AT_FDCWD, temporary, AT_FDCWD, path, RenameFlags::RENAME_NOREPLACE)?;
    Ok(SocketFile { path: path.into(), device: made.dev(), inode: made.ino() })
}

/// Short, for a socket's path may have 107 bytes only (unix(7)).
fn temporary(path: &Path) -> PathBuf {
    path.with_file_name(format!(".{}", std::process::id()))
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_ours =
            fs::symlink_metadata(&self.path).is_ok_and(|found| (found.dev(), found.ino()) == (self.device, self.inode));
        if is_ours && let Err(error) = fs::remove_file(&self.path) {
            // The next start removes it: nobody serves on it any more.
            tracing::debug!(path = %self.path.display(), %error, "cannot remove the socket");
        }
    }
}
