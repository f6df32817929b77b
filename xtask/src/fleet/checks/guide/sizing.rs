//! The formula of `docs/FLEET.md` for the number of series, held against the pages of simulated hosts of two sizes.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

use super::super::super::kit::{Kit, debian};
use super::super::super::server::get;
use super::site::PROMTOOL;

/// A host that does not exist, of `loadtests simulate`; ends when it is dropped.
pub(super) struct Simulated {
    child: Child,
    /// `ADDRESS:PORT`.
    pub(super) address: String,
}

impl Simulated {
    /// With so many users.
    ///
    /// # Errors
    /// It does not start.
    pub(super) fn start(kit: &Kit<'_>, users: u32) -> Result<Self> {
        let program: PathBuf =
            std::env::var_os("UIDMETER_LOADTESTS").map_or_else(|| kit.loadtests(), |path| Ok(path.into()))?;
        let mut command = Command::new(program);
        command.args(["simulate", "--users", &users.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().context("cannot start loadtests")?;
        let mut line = String::new();
        if let Some(output) = child.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        let simulated = Self { child, address: line.trim().to_owned() };
        ensure!(simulated.address.contains(':'), "loadtests simulate says {line:?}");
        Ok(simulated)
    }

    /// Its page in the text format.
    ///
    /// # Errors
    /// It does not answer.
    pub(super) fn page(&self) -> Result<String> {
        get(&format!("http://{}/metrics", self.address))
    }
}

impl Drop for Simulated {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(super) fn check(kit: &Kit<'_>) -> Result<()> {
    let document = std::fs::read_to_string(kit.project().root().join("docs/FLEET.md"))?;
    let formula = document.split_once("series = ").and_then(|(_, rest)| rest.split_once(" × users"));
    let (fixed, each) = formula.and_then(|(text, _)| text.split_once(" + ")).context("docs/FLEET.md has no formula")?;
    let (fixed, each): (usize, usize) = (fixed.trim().parse()?, each.trim().parse()?);
    let count = |users| -> Result<usize> { Ok(series(&Simulated::start(kit, users)?.page()?)) };
    let (few, many) = (count(10)?, count(110)?);
    let slope = (many - few) / 100;
    ensure!(slope == each, "one more user makes {slope} series; docs/FLEET.md says {each}");
    // Which probes and pressures a host has changes the rest by a few.
    let rest = few - 10 * slope;
    ensure!(rest.abs_diff(fixed) <= fixed / 5, "a host without users has {rest} series; docs/FLEET.md says {fixed}");
    lints(kit, &Simulated::start(kit, 3)?.page()?)
}

fn series(page: &str) -> usize {
    page.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).count()
}

/// `promtool check metrics` with the page as its input.
fn lints(kit: &Kit<'_>, page: &str) -> Result<()> {
    let mut promtool = Command::new(debian(PROMTOOL, "usr/bin/promtool")?)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut input) = promtool.stdin.take() {
        input.write_all(page.as_bytes())?;
    }
    let output = promtool.wait_with_output()?;
    if !output.status.success() {
        bail!("promtool check metrics: {}", String::from_utf8_lossy(&output.stderr));
    }
    // The other half: every family that the page has is in the catalogue.
    let catalogue = catalogue(kit)?;
    let families = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    let unknown: Vec<&str> =
        families.filter(|name| name.starts_with("uidmeter_") && !catalogue.contains(*name)).collect();
    ensure!(unknown.is_empty(), "docs/METRICS.md lacks {unknown:?}");
    Ok(())
}

/// The names of all families in `docs/METRICS.md`.
///
/// # Errors
/// The document cannot be read.
pub(super) fn catalogue(kit: &Kit<'_>) -> Result<BTreeSet<String>> {
    let document = std::fs::read_to_string(kit.project().root().join("docs/METRICS.md"))?;
    let names = document.lines().filter_map(|line| line.strip_prefix("| `uidmeter_")?.split('`').next());
    Ok(names.map(|name| format!("uidmeter_{name}")).collect())
}
