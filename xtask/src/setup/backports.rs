//! A second try for packages that apt cannot install beside what is there: somebody has taken a relative of theirs from
//! the release's backports, so they must come from there, too.
//!
//! apt gets the backports for this one call, with package lists of its own; the machine's sources stay as they are.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::apt::Archives;
use crate::packages::{cache_folder, source_line};
use crate::process::{self, heading};

/// Installs `packages`, where the backports have them. `apt_get` makes a call of apt-get as root.
pub(super) fn install(packages: &[String], apt_get: impl Fn() -> Result<Command>) -> Result<()> {
    let release = fs::read_to_string("/etc/os-release").context("cannot read /etc/os-release")?;
    let Some(codename) = codename(&release) else {
        bail!("/etc/os-release names no release, so its backports are not known");
    };
    let suite = format!("{codename}-backports");
    heading(&format!("apt-get install from {suite}"));
    let home = cache_folder()?.join("apt").join(&suite);
    let lists = home.join("lists");
    fs::create_dir_all(lists.join("partial")).with_context(|| format!("cannot create {}", lists.display()))?;
    let sources = home.join("sources.list");
    // This file takes the place of the machine's own; the machine's folder of further sources is read as ever.
    let machines = fs::read_to_string("/etc/apt/sources.list").unwrap_or_default();
    let backports = source_line(&Archives::of_this_machine()?.main, &suite);
    fs::write(&sources, format!("{machines}\n{backports}"))
        .with_context(|| format!("cannot write {}", sources.display()))?;
    let call = || -> Result<Command> {
        let mut apt = apt_get()?;
        apt.arg(option("Dir::Etc::sourcelist", &sources)).arg(option("Dir::State::lists", &lists));
        Ok(apt)
    };
    process::run(call()?.arg("update"))?;
    process::run(
        call()?
            .args(["install", "--yes", "--no-remove", "--no-install-recommends", "--target-release", &suite])
            .args(packages),
    )
}

fn option(name: &str, path: &Path) -> String {
    format!("-o{name}={}", path.display())
}

/// `VERSION_CODENAME` of an os-release(5) file.
fn codename(os_release: &str) -> Option<&str> {
    let value = os_release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="))?;
    let name = value.trim().trim_matches('"');
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::codename;

    #[test]
    fn the_release_has_a_name_or_none() {
        assert_eq!(codename("ID=debian\nVERSION_CODENAME=bookworm\n"), Some("bookworm"));
        assert_eq!(codename("VERSION_CODENAME=\"jammy\"\n"), Some("jammy"));
        assert_eq!(codename("ID=arch\nVERSION_CODENAME=\n"), None);
    }
}
