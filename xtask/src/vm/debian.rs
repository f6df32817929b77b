//! A small Debian with systemd as its first process, as one archive in the user's cache: debootstrap unpacks and configures the
//! packages once, as root; what a machine without people does not need stays out.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::apt::Archives;
use crate::packages;
use crate::process::{self, Unavailable, heading};
use crate::vm::newc::Archive;

const SUITE: &str = "bookworm";

/// What the suite needs: the manager and its bus, sessions at login, and tools to look around.
const PACKAGES: &str = "systemd,systemd-sysv,dbus,libpam-systemd,procps";

/// Below the root; together two thirds of its size.
const LEFT_OUT: [&str; 15] = [
    "boot",
    "dev",
    "proc",
    "run",
    "sys",
    "tmp",
    "usr/bin/perl",
    "usr/lib/x86_64-linux-gnu/gconv",
    "usr/lib/x86_64-linux-gnu/perl-base",
    "usr/share/doc",
    "usr/share/info",
    "usr/share/locale",
    "usr/share/man",
    "var/cache",
    "var/lib/apt",
];

/// The root's archive, to which a suite of tests appends another one, and the users that it knows.
#[derive(Clone, Debug)]
pub(super) struct Root {
    /// The archive's file.
    pub(super) archive: PathBuf,
    /// Its `/etc/passwd`.
    pub(super) passwd: String,
    /// Its `/etc/group`.
    pub(super) group: String,
}

/// The archive, made unless it is there already.
pub(super) fn root() -> Result<Root> {
    find_or_make().with_context(|| Unavailable(format!("a Debian {SUITE} with systemd cannot be made here")))
}

fn find_or_make() -> Result<Root> {
    let folder = packages::cache_folder()?.join("roots");
    let finished = folder.join(SUITE);
    let root = Root { archive: finished.join("root.cpio"), passwd: String::new(), group: String::new() };
    if !root.archive.is_file() {
        make(&folder, &finished)?;
    }
    let text = |name: &str| {
        let path = finished.join(name);
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    };
    Ok(Root { passwd: text("passwd")?, group: text("group")?, ..root })
}

/// Makes everything beside the goal and renames, so that an interrupted run leaves nothing that looks complete.
fn make(folder: &Path, finished: &Path) -> Result<()> {
    let (tree, unfinished) = (folder.join("tree"), folder.join("unfinished"));
    remove_as_root(&tree)?;
    for path in [&unfinished, &finished.to_path_buf()] {
        if path.exists() {
            fs::remove_dir_all(path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    fs::create_dir_all(&unfinished).with_context(|| format!("cannot create {}", unfinished.display()))?;
    heading(&format!("debootstrap {SUITE} (a minute)"));
    bootstrap(&tree)?;

    let mut archive = Archive::default();
    pack(&mut archive, &tree, "")?;
    let write = |name: &str, bytes: &[u8]| {
        fs::write(unfinished.join(name), bytes).with_context(|| format!("cannot write {name} in the cache"))
    };
    write("root.cpio", &archive.finish())?;
    for name in ["passwd", "group"] {
        let bytes = fs::read(tree.join("etc").join(name)).with_context(|| format!("the new root has no {name}"))?;
        write(name, &bytes)?;
    }
    fs::rename(&unfinished, finished).with_context(|| format!("cannot move {} into place", unfinished.display()))?;
    remove_as_root(&tree)
}

fn bootstrap(tree: &Path) -> Result<()> {
    const WHY: &str = "unpacking a Debian with debootstrap";
    let program = process::find_program("debootstrap").context("debootstrap is not installed")?;
    let main = Archives::of_this_machine()?.main;
    let mut debootstrap = process::as_root(program, &[], WHY)?;
    debootstrap.args(["--variant=minbase", &format!("--include={PACKAGES}")]);
    if let Some(keyring) = &main.signed_by {
        debootstrap.arg(format!("--keyring={keyring}"));
    }
    debootstrap.arg(SUITE).arg(tree).arg(&main.uri);
    // Hundreds of lines, of interest only if it fails.
    process::capture(&mut debootstrap)
        .context("debootstrap failed; its log lies in the tree, debootstrap/debootstrap.log")?;
    // Whoever called reads everything now, password files (without passwords) too.
    process::run(process::as_root("chmod", &[], WHY)?.args(["-R", "a+rX"]).arg(tree))
}

fn remove_as_root(tree: &Path) -> Result<()> {
    if !tree.exists() {
        return Ok(());
    }
    process::run(
        process::as_root("rm", &[], "removing an unpacked Debian")?.args(["-rf", "--one-file-system"]).arg(tree),
    )
}

/// All files below `tree/folder`, in order, as root's own.
fn pack(archive: &mut Archive, tree: &Path, folder: &str) -> Result<()> {
    let here = tree.join(folder);
    let mut names: Vec<String> = fs::read_dir(&here)
        .with_context(|| format!("cannot list {}", here.display()))?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    names.sort();
    for name in names {
        let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
        let file = tree.join(&path);
        let about = file.symlink_metadata().with_context(|| format!("cannot look at {}", file.display()))?;
        let permissions = about.permissions().mode() & 0o7777;
        if about.is_symlink() {
            let goal = fs::read_link(&file).with_context(|| format!("cannot read {}", file.display()))?;
            archive.link(&path, &goal.to_string_lossy());
        } else if about.is_dir() {
            archive.directory_with(&path, permissions);
            if !LEFT_OUT.contains(&path.as_str()) {
                pack(archive, tree, &path)?;
            }
        } else if about.is_file() && !LEFT_OUT.contains(&path.as_str()) {
            let bytes = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
            archive.file(&path, permissions, &bytes);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_leaves_an_empty_folder() -> Result<()> {
        let tree = std::env::temp_dir().join(format!("uidmeter-xtask-tree-{}", std::process::id()));
        for folder in ["etc", "usr/share/doc/a", "tmp"] {
            fs::create_dir_all(tree.join(folder))?;
        }
        fs::set_permissions(tree.join("tmp"), fs::Permissions::from_mode(0o1777))?;
        for (name, text) in [("etc/passwd", "root"), ("usr/share/doc/a/copyright", "secret words"), ("tmp/x", "y")] {
            fs::write(tree.join(name), text)?;
        }
        std::os::unix::fs::symlink("usr/bin", tree.join("bin"))?;
        let mut archive = Archive::default();
        pack(&mut archive, &tree, "")?;
        fs::remove_dir_all(&tree)?;
        let entries = crate::vm::newc::entries(&archive.finish());
        let found: Vec<(&str, usize)> = entries.iter().map(|(path, mode, _)| (path.as_str(), *mode)).collect();
        let expected = [
            ("bin", 0o120_777),
            ("etc", 0o040_755),
            ("etc/passwd", 0o100_644),
            ("tmp", 0o041_777),
            ("usr", 0o040_755),
            ("usr/share", 0o040_755),
            ("usr/share/doc", 0o040_755),
            ("TRAILER!!!", 0o100_000),
        ];
        assert_eq!(found, expected);
        Ok(())
    }
}
