//! The journal's file and its lock.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
};

use super::JournalError;

/// Between two attempts to get the lock.
const PAUSE: Duration = Duration::from_millis(50);

/// Bytes that survive this process, and the machine's power.
pub(in crate::enforce) trait Store {
    /// Returns once they are on storage.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Either the old content or `bytes` is there, whatever happens.
    fn replace(&mut self, bytes: &[u8]) -> io::Result<()>;
}

/// A file of root's.
pub(super) struct FileStore {
    path: PathBuf,
    file: File,
}

impl FileStore {
    /// Makes it if it is not there.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = options().append(true).open(path)?;
        file.sync_all()?;
        sync_folder(path)?;
        Ok(Self { path: path.to_owned(), file })
    }
}

impl Store for FileStore {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.file.sync_data()
    }

    fn replace(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            // Needs no room, so it works on a full disk, too.
            self.file.set_len(0)?;
            return self.file.sync_all();
        }
        let beside = self.path.with_extension("new");
        let mut file = options().write(true).truncate(true).open(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, &self.path)?;
        sync_folder(&self.path)?;
        self.file = options().append(true).open(&self.path)?;
        Ok(())
    }
}

/// The whole file, unless it is longer than `most`.
pub(super) fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(io::Error::other(format!("it is longer than {most} bytes, which no enforcer writes")));
    }
    Ok(bytes)
}

/// Tries for `patience`, since an enforcer that is told to end needs a moment to put everything back.
pub(super) fn lock(path: &Path, patience: Duration) -> Result<Flock<File>, JournalError> {
    let unreadable = |source| JournalError::Read { path: path.to_owned(), source };
    let mut file = options().write(true).open(path).map_err(unreadable)?;
    let until = Instant::now() + patience;
    loop {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(lock),
            Err((_, Errno::EWOULDBLOCK)) if Instant::now() >= until => {
                return Err(JournalError::Locked { path: path.to_owned() });
            }
            Err((again, Errno::EWOULDBLOCK)) => file = again,
            Err((_, error)) => return Err(unreadable(error.into())),
        }
        std::thread::sleep(PAUSE);
    }
}

/// Nobody else may read or write it, and a link that somebody left in its place is not followed.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.create(true).mode(0o600).custom_flags(libc::O_NOFOLLOW);
    options
}

fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
}
