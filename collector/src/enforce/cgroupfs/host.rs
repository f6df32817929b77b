//! What the driver for cgroupfs needs of a host: files of cgroups, and processes. Tests have a kernel of their own.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use super::super::disks;
use crate::units::Uid;

/// Files of cgroups and of `/proc` are short; a list of all processes of a large host is not.
const MOST_BYTES: u64 = 16 << 20;

/// A process as it was when it was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Number.
    pub pid: u32,
    /// Start, in clock ticks since boot (`proc_pid_stat(5)`, field 22).
    pub start: u64,
    /// Parent's number.
    pub parent: u32,
    /// Real user.
    pub uid: Uid,
    /// Nothing of it runs any more.
    pub is_dead: bool,
}

/// A host with cgroups.
pub trait Host {
    /// Whether `path` is a cgroup of version 2.
    fn is_cgroup2(&self, path: &Path) -> io::Result<bool>;

    /// The content of a file.
    fn read(&self, path: &Path) -> io::Result<String>;

    /// One write of the whole text. Does not wait for memory to be reclaimed, where the kernel can do without (Linux 6.16,
    /// `memory_high_write`).
    fn write(&mut self, path: &Path, text: &str) -> io::Result<()>;

    /// Makes a cgroup.
    fn make(&mut self, path: &Path) -> io::Result<()>;

    /// Removes a cgroup.
    fn remove(&mut self, path: &Path) -> io::Result<()>;

    /// The cgroups directly below one.
    fn children(&self, path: &Path) -> io::Result<Vec<PathBuf>>;

    /// Differs between two cgroups of one name.
    fn identity(&self, path: &Path) -> io::Result<u64>;

    /// All processes by number.
    fn processes(&self) -> io::Result<Vec<u32>>;

    /// Whose process it is; cheaper than [`Self::process`].
    fn owner(&self, pid: u32) -> Option<Uid>;

    /// `None` if there is none.
    fn process(&self, pid: u32) -> Option<Process>;

    /// The cgroup of a process, as a path where cgroups are mounted; `None` if it cannot be seen from here.
    fn cgroup(&self, pid: u32) -> Option<PathBuf>;

    /// Numbers of all whole disks, such as `8:0`.
    fn disks(&self) -> Vec<String>;
}

/// The host that this process runs on.
#[derive(Debug)]
pub struct RealHost {
    mount: PathBuf,
}

impl RealHost {
    /// With cgroup v2 mounted at or above `root`.
    pub fn new(root: &Path) -> Self {
        let is_in_mount = |path: &&Path| is_cgroup2(path).unwrap_or(false);
        let mount = root.ancestors().take_while(is_in_mount).last().unwrap_or(root);
        Self { mount: mount.to_owned() }
    }
}

/// By the type of the file system (`statfs(2)`).
pub(in crate::enforce) fn is_cgroup2(path: &Path) -> io::Result<bool> {
    Ok(nix::sys::statfs::statfs(path)?.filesystem_type() == nix::sys::statfs::CGROUP2_SUPER_MAGIC)
}

/// A file's text, up to a bound.
pub(in crate::enforce) fn read_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MOST_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

impl Host for RealHost {
    fn is_cgroup2(&self, path: &Path) -> io::Result<bool> {
        is_cgroup2(path)
    }

    fn read(&self, path: &Path) -> io::Result<String> {
        read_text(path)
    }

    fn write(&mut self, path: &Path, text: &str) -> io::Result<()> {
        let flags = libc::O_NONBLOCK | libc::O_NOFOLLOW;
        let mut file = OpenOptions::new().write(true).custom_flags(flags).open(path)?;
        // The kernel takes each write as a whole text.
        let written = file.write(text.as_bytes())?;
        if written == text.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
    }

    fn make(&mut self, path: &Path) -> io::Result<()> {
        fs::create_dir(path)
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    fn children(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        let entries = fs::read_dir(path)?.collect::<io::Result<Vec<_>>>()?;
        let is_folder = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
        Ok(entries.iter().filter(|entry| is_folder(entry)).map(fs::DirEntry::path).collect())
    }

    fn identity(&self, path: &Path) -> io::Result<u64> {
        Ok(fs::symlink_metadata(path)?.ino())
    }

    fn processes(&self) -> io::Result<Vec<u32>> {
        let names = fs::read_dir("/proc")?.filter_map(|entry| Some(entry.ok()?.file_name()));
        Ok(names.filter_map(|name| name.to_str()?.parse().ok()).collect())
    }

    fn owner(&self, pid: u32) -> Option<Uid> {
        owner(&fs::read(format!("/proc/{pid}/status")).ok()?)
    }

    fn process(&self, pid: u32) -> Option<Process> {
        let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
        let uid = self.owner(pid)?;
        // Both are of one process only if it is still there, and still the same.
        let process = process(pid, uid, &stat)?;
        let again = fs::read(format!("/proc/{pid}/stat")).ok()?;
        (self::process(pid, uid, &again)?.start == process.start).then_some(process)
    }

    fn cgroup(&self, pid: u32) -> Option<PathBuf> {
        let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
        Some(self.mount.join(cgroup(&text)?))
    }

    fn disks(&self) -> Vec<String> {
        disks::whole(Path::new("/sys"))
    }
}

/// The real user of `/proc/PID/status`.
fn owner(status: &[u8]) -> Option<Uid> {
    // The name comes first, with its line ends escaped (`proc_task_name`), so it cannot imitate a line.
    let line = status.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"Uid:"))?;
    let text = std::str::from_utf8(line).ok()?;
    text.split_ascii_whitespace().next()?.parse().ok().map(Uid)
}

/// `/proc/PID/stat`: the name is in brackets and may contain anything, brackets too.
fn process(pid: u32, uid: Uid, stat: &[u8]) -> Option<Process> {
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let text = std::str::from_utf8(stat.get(end + 1..)?).ok()?;
    let mut fields = text.split_ascii_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    // Fields 3 and 4 are taken, so the next one is number 5.
    let threads: u64 = fields.nth(20 - 5)?.parse().ok()?;
    let began = fields.nth(22 - 21)?.parse().ok()?;
    // A process whose first thread has ended is a zombie as long as others run, and counts it.
    let is_dead = matches!(state, "Z" | "X" | "x") && threads <= 1;
    Some(Process { pid, start: began, parent, uid, is_dead })
}

/// The line of cgroup v2 in `/proc/PID/cgroup`, without its leading slash. A path that leads out of this process' own view of
/// the tree cannot be used, nor that of a cgroup that is gone.
fn cgroup(text: &str) -> Option<&str> {
    let path = text.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let is_inside = path.split('/').all(|name| name != ".." && name != ".");
    (is_inside && !path.ends_with(" (deleted)")).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::{Process, Uid, cgroup, owner, process};

    #[test]
    fn a_name_that_imitates_fields_gains_nothing() {
        let stat = b"77 (a) R 1 ) x) S 12 77 77 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 3 0 4242 1000 200";
        let expected = Process { pid: 77, start: 4_242, parent: 12, uid: Uid(5), is_dead: false };
        assert_eq!(process(77, Uid(5), stat), Some(expected.clone()));
        let zombie = b"77 (a) Z 12 77 77 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 4242 0 0";
        assert_eq!(process(77, Uid(5), zombie), Some(Process { is_dead: true, ..expected }));
        for cut in 0..zombie.len() {
            // Whatever it gives, it does not stop anybody.
            let _ = process(77, Uid(5), &zombie[..cut]);
        }
        assert_eq!(owner(b"Name:\ta\\nUid:\t0\nState:\tR\nUid:\t20001\t0\t0\t0\n"), Some(Uid(20_001)));
        assert_eq!(owner(b"Name:\tx\n"), None);
    }

    #[test]
    fn a_cgroup_that_cannot_be_reached_is_unknown() {
        assert_eq!(cgroup("1:name=systemd:/a\n0::/user.slice/x\n"), Some("user.slice/x"));
        assert_eq!(cgroup("0::/\n"), Some(""));
        assert_eq!(cgroup("0::/../other\n"), None);
        assert_eq!(cgroup("0::/gone (deleted)\n"), None);
        assert_eq!(cgroup("4:cpu:/x\n"), None);
    }
}
