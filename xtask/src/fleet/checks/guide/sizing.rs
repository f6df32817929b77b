//! The formula of `docs/FLEET.md` for the number of series, held against the pages of simulated hosts of two sizes.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

use super::super::super::kit::{Kit, debian};
use super::super::super::simulated::Host;
use super::site::PROMTOOL;

pub(super) fn check(kit: &Kit<'_>) -> Result<()> {
    let document = std::fs::read_to_string(kit.project().root().join("docs/FLEET.md"))?;
    let formula = document.split_once("series = ").and_then(|(_, rest)| rest.split_once(" × users"));
    let (fixed, each) = formula.and_then(|(text, _)| text.split_once(" + ")).context("docs/FLEET.md has no formula")?;
    let (fixed, each): (usize, usize) = (fixed.trim().parse()?, each.trim().parse()?);
    let count = |users| -> Result<usize> { Ok(series(&Host::start(kit, users, 1)?.page()?)) };
    let (few, many) = (count(10)?, count(110)?);
    let slope = (many - few) / 100;
    ensure!(slope == each, "one more user makes {slope} series; docs/FLEET.md says {each}");
    // Which probes and pressures a host has changes the rest by a few.
    let rest = few - 10 * slope;
    ensure!(rest.abs_diff(fixed) <= fixed / 5, "a host without users has {rest} series; docs/FLEET.md says {fixed}");
    lints(kit, &Host::start(kit, 3, 1)?.page()?)
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
