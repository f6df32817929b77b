//! Reads small files whole: bounded in size, regular files only, and secrets only if nobody else can read them.
//!
//! Everything is checked on the open file, so that nobody can exchange it in between.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::Path,
};

use zeroize::Zeroizing;

/// Real paths are shorter.
const MOST_SHOWN: usize = 300;

/// Who may be able to read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Readers {
    /// Everybody: it holds nothing secret.
    Anybody,
    /// Its owner alone.
    Owner,
}

/// A file, read.
pub(super) struct Contents {
    pub(super) bytes: Zeroizing<Vec<u8>>,
    /// Permission bits.
    pub(super) mode: u32,
}

/// The contents of `path`, which is `what` in messages ("the private key").
///
/// # Errors
/// One sentence.
pub(super) fn read(what: &str, path: &Path, most: usize, readers: Readers) -> Result<Contents, String> {
    let shown = shown(path);
    let unreadable = |error: io::Error| format!("{what} {shown} cannot be read ({error})");
    let file = open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(format!("{what} {shown} is not a regular file"));
    }
    let mode = metadata.mode() & 0o7777;
    if readers == Readers::Owner && is_open_to_others(mode) {
        return Err(format!("{what} {shown} is open to others (mode {mode:04o}); run chmod 0600 {shown}"));
    }
    if mode & 0o002 != 0 {
        return Err(format!("{what} {shown} can be changed by everybody (mode {mode:04o}); run chmod o-w {shown}"));
    }
    // One more than allowed shows that there is more; the room is made once, so that no copy is left behind.
    let size = usize::try_from(metadata.len()).unwrap_or(usize::MAX).min(most);
    let mut bytes = Zeroizing::new(Vec::with_capacity(size + 1));
    file.take(most as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() > most {
        return Err(format!("{what} {shown} has more than {most} bytes"));
    }
    Ok(Contents { bytes, mode })
}

/// `path` for messages, which are one line each: of bounded length, without anything that a terminal obeys.
pub(super) fn shown(path: &Path) -> String {
    let shown = path.to_string_lossy();
    let ends = if shown.chars().nth(MOST_SHOWN).is_some() { "…" } else { "" };
    shown.chars().take(MOST_SHOWN).flat_map(char::escape_debug).collect::<String>() + ends
}

/// The contents of a key or token that nobody else can read; `what` it is in messages.
///
/// # Errors
/// One sentence.
pub fn read_private(what: &str, path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    read(what, path, super::document::MOST_BYTES, Readers::Owner).map(|contents| contents.bytes)
}

/// The contents of a file that holds nothing secret, such as certificates; `what` it is in messages.
///
/// # Errors
/// One sentence.
pub fn read_public(what: &str, path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    read(what, path, super::document::MOST_BYTES, Readers::Anybody).map(|contents| contents.bytes)
}

/// Whether anybody but the owner may do anything with a file of this mode.
pub(super) const fn is_open_to_others(mode: u32) -> bool {
    mode & 0o077 != 0
}

/// Does not wait for a writer if it is a pipe.
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC).open(path)
}

#[cfg(test)]
mod tests {
    use std::{error::Error, fs, os::unix::fs::PermissionsExt as _, path::Path};

    use super::{Readers, read};

    fn sentence(what: &str, path: &Path, most: usize, readers: Readers) -> String {
        read(what, path, most, readers).map_or_else(|sentence| sentence, |_| "read".to_owned())
    }

    #[test]
    fn a_secret_that_others_can_read_is_refused_with_file_mode_and_fix() -> Result<(), Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("key.pem");
        fs::write(&file, "secret")?;
        for (mode, fine) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false), (0o620, false)] {
            fs::set_permissions(&file, fs::Permissions::from_mode(mode))?;
            let said = sentence("the private key", &file, 100, Readers::Owner);
            assert_eq!(said == "read", fine, "{mode:o}: {said}");
            if !fine {
                let shown = file.display();
                assert_eq!(
                    said,
                    format!("the private key {shown} is open to others (mode {mode:04o}); run chmod 0600 {shown}")
                );
            }
            assert_eq!(sentence("the certificate", &file, 100, Readers::Anybody), "read");
        }
        Ok(())
    }

    #[test]
    fn what_everybody_can_change_is_not_believed() -> Result<(), Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("ca.pem");
        fs::write(&file, "ca")?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o646))?;
        let said = sentence("the client CA", &file, 100, Readers::Anybody);
        assert!(said.contains("can be changed by everybody (mode 0646); run chmod o-w"), "{said}");
        Ok(())
    }

    #[test]
    fn messages_stay_one_short_line_whatever_the_path() {
        for path in ["/none/a\nb".to_owned(), "/none/\u{1b}[2J".to_owned(), format!("/none/{}", "x".repeat(10_000))] {
            let said = sentence("the file", Path::new(&path), 1, Readers::Anybody);
            assert!(said.contains("cannot be read") && said.len() < 500, "{said}");
            assert!(!said.contains(char::is_control), "{said}");
        }
    }

    #[test]
    fn neither_pipes_nor_folders_nor_long_files_are_read() -> Result<(), Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        let pipe = folder.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU)?;
        assert!(sentence("the file", &pipe, 10, Readers::Owner).ends_with("is not a regular file"));
        assert!(sentence("the file", folder.path(), 10, Readers::Anybody).ends_with("is not a regular file"));
        assert!(sentence("the file", Path::new("/dev/zero"), 10, Readers::Anybody).ends_with("is not a regular file"));
        let file = folder.path().join("file");
        fs::write(&file, "0123456789")?;
        assert_eq!(sentence("the file", &file, 10, Readers::Anybody), "read");
        assert!(sentence("the file", &file, 9, Readers::Anybody).ends_with("has more than 9 bytes"));
        assert!(sentence("the file", &folder.path().join("none"), 9, Readers::Anybody).contains("cannot be read"));
        Ok(())
    }
}
