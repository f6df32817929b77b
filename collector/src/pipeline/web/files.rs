//! Whether files have changed: by their place on the disk, their times and their contents.
//!
//! Times alone miss an edit within the file system's clock tick; contents alone miss that a secret became readable by
//! others. A name that leads elsewhere now (a symbolic link that was swapped) is another file.

use std::{
    fs::File,
    io::{self, Read as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::SystemTime,
};

use aws_lc_rs::digest::{Context, SHA256};

/// More is not read: none of our files may be that long.
const LONGEST: u64 = 4 * 1024 * 1024;

/// What a number of files looked like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Prints(Vec<(PathBuf, Print)>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Print {
    Read { device: u64, inode: u64, mode: u32, size: u64, modified: Option<SystemTime>, digest: [u8; 32] },
    Unreadable(io::ErrorKind),
}

impl Prints {
    /// What `files` look like now.
    pub(super) fn of(files: &[PathBuf]) -> Self {
        Self(files.iter().map(|path| (path.clone(), print(path))).collect())
    }

    /// What the same files look like now.
    pub(super) fn again(&self) -> Self {
        Self(self.0.iter().map(|(path, _)| (path.clone(), print(path))).collect())
    }
}

fn print(path: &Path) -> Print {
    read(path).unwrap_or_else(|error| Print::Unreadable(error.kind()))
}

fn read(path: &Path) -> io::Result<Print> {
    // Does not wait for a writer if it is a pipe.
    let mut file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut context = Context::new(&SHA256);
    let mut chunk = [0; 16 * 1024];
    let mut bounded = (&mut file).take(LONGEST);
    loop {
        let length = bounded.read(&mut chunk)?;
        if length == 0 {
            break;
        }
        context.update(&chunk[..length]);
    }
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    Ok(Print::Read {
        device: metadata.dev(),
        inode: metadata.ino(),
        mode: metadata.mode(),
        size: metadata.len(),
        modified: metadata.modified().ok(),
        digest,
    })
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _, os::unix::fs::symlink};

    use super::{File, Prints};

    type Outcome = std::io::Result<()>;

    #[test]
    fn an_edit_that_leaves_time_and_size_alone_is_seen() -> Outcome {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("a");
        fs::write(&path, "one")?;
        let before = Prints::of(std::slice::from_ref(&path));
        assert_eq!(before.again(), before);
        let modified = fs::metadata(&path)?.modified()?;
        fs::write(&path, "two")?;
        File::options().write(true).open(&path)?.set_modified(modified)?;
        assert_ne!(before.again(), before);
        Ok(())
    }

    #[test]
    fn another_file_of_the_same_contents_and_another_mode_are_seen() -> Outcome {
        let folder = tempfile::tempdir()?;
        let [one, two, link] = ["one", "two", "link"].map(|name| folder.path().join(name));
        fs::write(&one, "same")?;
        fs::write(&two, "same")?;
        symlink(&one, &link)?;
        let before = Prints::of(std::slice::from_ref(&link));
        fs::remove_file(&link)?;
        symlink(&two, &link)?;
        let after = before.again();
        assert_ne!(after, before);
        fs::set_permissions(&two, fs::Permissions::from_mode(0o600))?;
        assert_ne!(after.again(), after);
        Ok(())
    }

    #[test]
    fn a_file_that_goes_and_one_that_comes_are_seen() -> Outcome {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("a");
        let missing = Prints::of(std::slice::from_ref(&path));
        assert_eq!(missing.again(), missing);
        fs::write(&path, "")?;
        let there = missing.again();
        assert_ne!(there, missing);
        fs::remove_file(&path)?;
        assert_eq!(there.again(), missing);
        Ok(())
    }
}
