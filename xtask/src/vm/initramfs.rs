//! The first file system of a test machine: busybox or a Debian, the daemon, the suite, the libraries that they load, and
//! a few users. Writes one file; not compressed, because an emulated processor unpacks slower than QEMU copies.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::process;
use crate::vm::debian::Root;
use crate::vm::newc::Archive;

const INIT: &str = include_str!("init.sh");
const RUN_TESTS: &str = include_str!("run-tests.sh");
const SERVICE: &str = include_str!("uidmeter-test.service");

/// The accounts of a system without a distribution.
const SYSTEM_PASSWD: &str = "\
root:x:0:0:root:/:/bin/sh
daemon:x:1:1:daemon:/:/bin/false
nobody:x:65534:65534:nobody:/:/bin/false
";
const SYSTEM_GROUP: &str = "root:x:0:\ndaemon:x:1:\nnogroup:x:65534:\n";

/// Users with and without a name are both part of the suites; these have one, which is the name of their group, too.
const USERS: [(&str, u32); 6] =
    [("alice", 1001), ("bob", 1002), ("ann", 20_001), ("joanna", 20_002), ("mallory", 20_003), ("victor", 20_004)];

/// Units that a machine without people and without devices needs not wait for.
const MASKED: [&str; 7] = [
    "apt-daily-upgrade.timer",
    "apt-daily.timer",
    "dpkg-db-backup.timer",
    "getty.target",
    // Without udev its device would be waited for.
    "serial-getty@ttyS0.service",
    "systemd-tmpfiles-clean.timer",
    // One manager per user takes seconds to start here, and delegates the cpu controller: without it, as on many login nodes,
    // all sessions compete as one crowd until somebody is limited.
    "user@.service",
];

/// The executables that go in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Contents<'a> {
    /// A busybox without shared libraries.
    pub(super) busybox: &'a Path,
    /// The daemon.
    pub(super) uidmeter: &'a Path,
    /// The suite of tests.
    pub(super) suite: &'a Path,
}

/// Writes an archive with a busybox to `goal`.
pub(super) fn write(goal: &Path, contents: &Contents<'_>) -> Result<()> {
    let mut archive = Archive::default();
    for folder in ["bin", "dev", "proc", "run", "sys", "tmp"] {
        archive.directory(folder);
    }
    // The kernel opens it before anything is mounted.
    archive.device("dev/console", 5, 1);
    archive.file("init", 0o755, INIT.as_bytes());
    archive.file("bin/busybox", 0o755, &read(contents.busybox)?);
    archive.link("bin/sh", "busybox");
    users(&mut archive, SYSTEM_PASSWD, SYSTEM_GROUP);
    archive.file("etc/nsswitch.conf", 0o644, b"passwd: files\ngroup: files\n");
    archive.file("etc/hosts", 0o644, b"127.0.0.1 localhost\n");
    executables(&mut archive, goal, contents)?;
    let mut needed = libraries(contents.uidmeter)?;
    needed.extend(libraries(contents.suite)?);
    for library in needed {
        archive.file(&library.to_string_lossy(), 0o755, &read(&library)?);
    }
    finish(goal, Vec::new(), archive)
}

/// Writes an archive with a Debian to `goal`. The executables use the Debian's own libraries.
pub(super) fn write_onto(root: &Root, goal: &Path, contents: &Contents<'_>) -> Result<()> {
    let mut archive = Archive::default();
    archive.device("dev/console", 5, 1);
    archive.link("init", "usr/lib/systemd/systemd");
    users(&mut archive, &root.passwd, &root.group);
    archive.file("run-tests", 0o755, RUN_TESTS.as_bytes());
    archive.file("etc/systemd/system/uidmeter-test.service", 0o644, SERVICE.as_bytes());
    archive.link("etc/systemd/system/multi-user.target.wants/uidmeter-test.service", "../uidmeter-test.service");
    for unit in MASKED {
        archive.link(&format!("etc/systemd/system/{unit}"), "/dev/null");
    }
    executables(&mut archive, goal, contents)?;
    // The kernel unpacks one archive after the other; what comes later wins.
    finish(goal, read(&root.archive)?, archive)
}

/// Everybody's account, after those of the system. No password and no entry in a shadow file: only root can become them.
fn users(archive: &mut Archive, passwd: &str, group: &str) {
    let people: String = USERS.map(|(name, id)| format!("{name}:*:{id}:{id}:{name}:/tmp:/bin/sh\n")).concat();
    let groups: String = USERS.map(|(name, id)| format!("{name}:x:{id}:\n")).concat();
    archive.file("etc/passwd", 0o644, format!("{passwd}{people}").as_bytes());
    archive.file("etc/group", 0o644, format!("{group}{groups}").as_bytes());
}

fn executables(archive: &mut Archive, goal: &Path, contents: &Contents<'_>) -> Result<()> {
    let folder = goal.parent().context("the archive needs a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    archive.file("uidmeter", 0o755, &stripped(contents.uidmeter, folder)?);
    archive.file("tests", 0o755, &stripped(contents.suite, folder)?);
    Ok(())
}

/// Writes `base` and after it the archive.
fn finish(goal: &Path, mut base: Vec<u8>, archive: Archive) -> Result<()> {
    base.extend(archive.finish());
    fs::write(goal, &base).with_context(|| format!("cannot write {}", goal.display()))?;
    println!("    {} ({} MiB)", goal.display(), base.len() >> 20);
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// The executable without its debug information, which is most of a test executable; whole if that fails.
fn stripped(path: &Path, folder: &Path) -> Result<Vec<u8>> {
    let small = folder.join("stripped");
    let mut strip = Command::new("strip");
    strip.arg("--strip-debug").arg("-o").arg(&small).arg(path);
    match process::capture(&mut strip) {
        Ok(_) => read(&small),
        Err(_) => read(path),
    }
}

/// The shared libraries that the dynamic linker would load, and the dynamic linker itself.
fn libraries(executable: &Path) -> Result<BTreeSet<PathBuf>> {
    // A static executable has none, and ldd calls that a failure.
    let Ok(listed) = process::capture(Command::new("ldd").arg(executable)) else {
        return Ok(BTreeSet::new());
    };
    let found = paths(&listed);
    if let Some(missing) = listed.lines().find(|line| line.ends_with("not found")) {
        anyhow::bail!("{} cannot start here: {}", executable.display(), missing.trim());
    }
    Ok(found)
}

/// Both forms of ldd's lines: `libc.so.6 => /lib/libc.so.6 (0x…)` and `/lib64/ld-linux.so.2 (0x…)`.
fn paths(listed: &str) -> BTreeSet<PathBuf> {
    listed
        .lines()
        .filter_map(|line| {
            let path = line.split_once("=>").map_or(line, |(_, path)| path);
            let path = path.split_whitespace().next()?;
            path.starts_with('/').then(|| PathBuf::from(path))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_and_the_dynamic_linker_are_found() {
        let listed = "\tlinux-vdso.so.1 (0x7f)\n\tlibc.so.6 => /lib/x/libc.so.6 (0x7f)\n\t/lib64/ld.so.2 (0x7f)\n";
        let expected = ["/lib/x/libc.so.6", "/lib64/ld.so.2"].map(PathBuf::from);
        assert_eq!(paths(listed), BTreeSet::from(expected));
        assert!(paths("\tstatically linked\n").is_empty());
    }
}
