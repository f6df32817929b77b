//! The first file system of a test machine: busybox, the daemon, the suite, the libraries that they load, and
//! a few users. Writes one file; not compressed, because an emulated processor unpacks slower than QEMU copies.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::process;
use crate::vm::newc::Archive;

const INIT: &str = include_str!("init.sh");

/// Users with and without a name are both part of the suite: 1001 and 1002 have one.
const PASSWD: &str = "\
root:x:0:0:root:/:/bin/sh
daemon:x:1:1:daemon:/:/bin/false
alice:x:1001:1001:Alice:/tmp:/bin/sh
bob:x:1002:1002:Bob:/tmp:/bin/sh
nobody:x:65534:65534:nobody:/:/bin/false
";
const GROUP: &str = "root:x:0:\ndaemon:x:1:\nalice:x:1001:\nbob:x:1002:\nnogroup:x:65534:\n";

/// The executables that go in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Contents<'a> {
    /// A busybox without shared libraries.
    pub(super) busybox: &'a Path,
    /// The daemon.
    pub(super) uidmeter: &'a Path,
    /// The kernel suite.
    pub(super) suite: &'a Path,
}

/// Writes the archive to `goal`.
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
    archive.file("etc/passwd", 0o644, PASSWD.as_bytes());
    archive.file("etc/group", 0o644, GROUP.as_bytes());
    archive.file("etc/nsswitch.conf", 0o644, b"passwd: files\ngroup: files\n");
    archive.file("etc/hosts", 0o644, b"127.0.0.1 localhost\n");

    let folder = goal.parent().context("the archive needs a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    archive.file("uidmeter", 0o755, &stripped(contents.uidmeter, folder)?);
    archive.file("kernel-tests", 0o755, &stripped(contents.suite, folder)?);
    let mut needed = libraries(contents.uidmeter)?;
    needed.extend(libraries(contents.suite)?);
    for library in needed {
        archive.file(&library.to_string_lossy(), 0o755, &read(&library)?);
    }
    let bytes = archive.finish();
    fs::write(goal, &bytes).with_context(|| format!("cannot write {}", goal.display()))?;
    println!("    {} ({} MiB)", goal.display(), bytes.len() >> 20);
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
