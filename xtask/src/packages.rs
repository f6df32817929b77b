//! Debian packages unpacked into the user's cache, from any suite, without installing anything.
//!
//! Works as an ordinary user: apt runs with lists, cache and an empty package database of its own, so the
//! machine's apt never notices. What has been unpacked once is used again without asking the network.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result, bail};

use crate::apt::{Archives, Source};
use crate::process::{self, Unavailable, heading};

/// Suites whose lists this process has fetched: once is enough, however many packages follow.
static FETCHED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// A package by the pattern of its name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    /// Debian's release name.
    pub(crate) suite: &'static str,
    /// The name, with one `*` for anything or none; the newest version wins.
    pub(crate) pattern: &'static str,
}

/// The folder with the package's files, fetched and unpacked unless it is there already.
pub(crate) fn unpacked(wanted: Wanted) -> Result<PathBuf> {
    find_or_fetch(wanted).with_context(|| {
        let Wanted { suite, pattern } = wanted;
        Unavailable(format!("the package {pattern} of Debian {suite} cannot be had"))
    })
}

fn find_or_fetch(wanted: Wanted) -> Result<PathBuf> {
    let cache = cache_folder()?;
    let folder = cache.join("packages").join(wanted.suite);
    // Remembers what a pattern stood for, so that the second run needs no package lists.
    let chosen = folder.join(format!("{}.chosen", wanted.pattern.replace('*', "_")));
    if let Ok(name) = fs::read_to_string(&chosen) {
        let present = folder.join(name.trim());
        if present.is_dir() {
            return Ok(present);
        }
    }
    heading(&format!("fetching {} from Debian {}", wanted.pattern, wanted.suite));
    let apt = PrivateApt::prepare(&cache, wanted.suite)?;
    let package = apt.newest(wanted)?;
    let archive = apt.download(&package)?;
    let unpacked = unpack(&archive, &folder)?;
    let name = unpacked.file_name().unwrap_or_default();
    fs::write(&chosen, name.as_encoded_bytes()).with_context(|| format!("cannot write {}", chosen.display()))?;
    Ok(unpacked)
}

/// `${XDG_CACHE_HOME:-~/.cache}/uidmeter`.
pub(crate) fn cache_folder() -> Result<PathBuf> {
    let base = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))
        .context("neither XDG_CACHE_HOME nor HOME says where a cache may be kept")?;
    Ok(base.join("uidmeter"))
}

/// Unpacks beside the goal and renames, so that an interrupted run leaves nothing that looks complete.
fn unpack(archive: &Path, folder: &Path) -> Result<PathBuf> {
    let name = archive.file_stem().context("a package file without a name")?;
    let goal = folder.join(name);
    if goal.is_dir() {
        return Ok(goal);
    }
    let unfinished = folder.join(format!("{}.unfinished", name.to_string_lossy()));
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished).with_context(|| format!("cannot remove {}", unfinished.display()))?;
    }
    create(&unfinished)?;
    process::run(Command::new("dpkg").arg("-x").arg(archive).arg(&unfinished))?;
    fs::rename(&unfinished, &goal).with_context(|| format!("cannot move {} into place", unfinished.display()))?;
    fs::remove_file(archive).with_context(|| format!("cannot remove {}", archive.display()))?;
    Ok(goal)
}

fn create(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))
}

/// apt with folders of its own for one suite.
struct PrivateApt {
    home: PathBuf,
    options: Vec<String>,
}

impl PrivateApt {
    /// Sets the folders up and fetches the suite's package lists.
    fn prepare(cache: &Path, suite: &str) -> Result<Self> {
        for program in ["apt-get", "apt-cache", "dpkg"] {
            if process::find_program(program).is_none() {
                bail!("fetching Debian packages needs {program}, which this machine lacks");
            }
        }
        let archives = Archives::of_this_machine()?;
        let home = cache.join("apt").join(suite);
        for folder in ["lists/partial", "archives/partial", "downloads"] {
            create(&home.join(folder))?;
        }
        let write = |name: &str, text: &str| {
            fs::write(home.join(name), text).with_context(|| format!("cannot write {}", home.join(name).display()))
        };
        write("status", "")?;
        let apt = Self { options: options(&home), home: home.clone() };
        let mut fetched = FETCHED.lock().unwrap_or_else(PoisonError::into_inner);
        if fetched.contains(&home) {
            return Ok(apt);
        }

        let main = source_line(&archives.main, suite);
        let security = archives
            .security
            .filter(|_| has_security(suite))
            .map(|source| source_line(&source, &format!("{suite}-security")));
        if let Some(security) = security {
            write("sources.list", &format!("{main}{security}"))?;
            if process::run(apt.call("apt-get").args(["update", "--error-on=any"])).is_ok() {
                fetched.push(home);
                return Ok(apt);
            }
            // Not every mirror carries the security archive of every release.
            println!("    without {suite}-security, then");
        }
        write("sources.list", &main)?;
        process::run(apt.call("apt-get").args(["update", "--error-on=any"]))?;
        fetched.push(home.clone());
        Ok(apt)
    }

    fn call(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.args(&self.options);
        command
    }

    /// The newest package that fits, as `name=version`.
    fn newest(&self, wanted: Wanted) -> Result<String> {
        let stem = wanted.pattern.split('*').next().unwrap_or_default();
        let names = process::capture(self.call("apt-cache").args(["pkgnames", stem]))?;
        let names: Vec<&str> = names.lines().filter(|name| fits(wanted.pattern, name)).collect();
        let nothing = || format!("Debian {} has no package like {}", wanted.suite, wanted.pattern);
        if names.is_empty() {
            bail!(nothing());
        }
        let records = process::capture(self.call("apt-cache").args(["show", "--no-all-versions"]).args(&names))?;
        let mut best: Option<(String, String)> = None;
        for (name, version) in versions(&records) {
            let newer = match &best {
                Some((_, old)) => is_newer(&version, old)?,
                None => true,
            };
            if newer {
                best = Some((name, version));
            }
        }
        let (name, version) = best.with_context(nothing)?;
        Ok(format!("{name}={version}"))
    }

    fn download(&self, package: &str) -> Result<PathBuf> {
        let folder = self.home.join("downloads");
        fs::remove_dir_all(&folder).with_context(|| format!("cannot empty {}", folder.display()))?;
        create(&folder)?;
        let mut get = self.call("apt-get");
        process::run(get.current_dir(&folder).args(["download", package]))?;
        fs::read_dir(&folder)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
            .with_context(|| format!("apt-get download {package} left no file"))
    }
}

/// Everything that apt would otherwise share with the machine. Its proxy settings stay.
fn options(home: &Path) -> Vec<String> {
    let file = |name: &str| home.join(name).display().to_string();
    [
        ("Dir::State::lists", file("lists")),
        ("Dir::State::status", file("status")),
        ("Dir::Cache", home.display().to_string()),
        ("Dir::Etc::sourcelist", file("sources.list")),
        ("Dir::Etc::sourceparts", "/dev/null".to_owned()),
        ("Dir::Etc::preferences", "/dev/null".to_owned()),
        ("Dir::Etc::preferencesparts", "/dev/null".to_owned()),
        ("Acquire::Languages", "none".to_owned()),
        // Releases that get no more updates have lists that are past their date.
        ("Acquire::Check-Valid-Until", "false".to_owned()),
        // As root, apt would drop to a user that cannot read a home folder.
        ("APT::Sandbox::User", "root".to_owned()),
    ]
    .into_iter()
    .map(|(name, value)| format!("-o{name}={value}"))
    .collect()
}

/// apt's line for one suite of an archive.
pub(crate) fn source_line(source: &Source, suite: &str) -> String {
    let keyring = source.signed_by.as_ref().map_or_else(String::new, |keyring| format!(" signed-by={keyring}"));
    format!("deb [target=Packages{keyring}] {} {suite} main\n", source.uri)
}

fn has_security(suite: &str) -> bool {
    !["sid", "unstable"].contains(&suite)
}

/// Whether `name` is what `pattern` stands for.
fn fits(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((start, end)) => name.len() >= start.len() + end.len() && name.starts_with(start) && name.ends_with(end),
    }
}

/// `(package, version)` of each record.
fn versions(records: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut package = None;
    for line in records.lines() {
        if let Some(name) = line.strip_prefix("Package: ") {
            package = Some(name.to_owned());
        } else if let Some(version) = line.strip_prefix("Version: ") {
            found.extend(package.take().map(|name| (name, version.to_owned())));
        }
    }
    found
}

/// Debian's order of versions is intricate; dpkg knows it.
fn is_newer(left: &str, right: &str) -> Result<bool> {
    process::succeeds(Command::new("dpkg").args(["--compare-versions", left, "gt", right]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_fits_the_image_and_neither_its_debug_nor_its_unsigned_twin() {
        let pattern = "linux-image-6.1.*-cloud-amd64";
        assert!(fits(pattern, "linux-image-6.1.0-50-cloud-amd64"));
        for other in [
            "linux-image-6.1.0-50-cloud-amd64-dbg",
            "linux-image-6.1.0-50-cloud-amd64-unsigned",
            "linux-image-6.12.107+deb12-cloud-amd64",
            "linux-image-cloud-amd64",
        ] {
            assert!(!fits(pattern, other), "{other}");
        }
        assert!(fits("prometheus", "prometheus"));
        assert!(!fits("prometheus", "prometheus-node-exporter"));
    }

    #[test]
    fn records_are_read_as_pairs() {
        let records = "Package: a\nArchitecture: amd64\nVersion: 1.0\n\nPackage: b\nVersion: 2.0-1\n";
        let expected = [("a", "1.0"), ("b", "2.0-1")].map(|(name, version)| (name.to_owned(), version.to_owned()));
        assert_eq!(versions(records), expected);
    }
}
