//! The units of `packaging/systemd` that rotate a token, and when the timer runs.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::super::super::kit::Kit;
use crate::process::{self, Unavailable};

/// Hours between two tokens, by the timer.
const EVERY: u64 = 6;

pub(super) fn check(kit: &Kit<'_>) -> Result<()> {
    let analyze = process::find_program("systemd-analyze")
        .with_context(|| Unavailable("systemd-analyze is not on this machine".to_owned()))?;
    // Its exit code is 0 for most mistakes; what it says is not empty. The program that is started need not be installed.
    let folder = tempfile::tempdir_in(kit.scratch())?;
    let mut verify = Command::new(&analyze);
    verify.args(["verify", "--man=no"]);
    for entry in std::fs::read_dir(kit.packaging("systemd"))? {
        let unit = entry?.path();
        let name = unit.file_name().unwrap_or_default();
        if unit.extension().is_some_and(|kind| ["service", "timer", "socket"].iter().any(|known| kind == *known)) {
            let text = std::fs::read_to_string(&unit)?.replace("/usr/bin/uidmeter", "/bin/true");
            std::fs::write(folder.path().join(name), text)?;
            verify.arg(folder.path().join(name));
        }
    }
    let output = verify.output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success() && said.trim().is_empty(), "systemd-analyze verify: {said}");
    let timer = std::fs::read_to_string(kit.packaging("systemd/uidmeter-token.timer"))?;
    let calendar =
        timer.lines().find_map(|line| line.strip_prefix("OnCalendar=")).context("the timer has no OnCalendar")?;
    let mut next = Command::new(&analyze);
    let twice = process::capture(next.env("TZ", "UTC").args(["calendar", "--iterations=2", calendar]))?;
    let hours: Vec<u64> = twice
        .lines()
        .filter(|line| line.contains("elapse:") || line.contains("Iter"))
        .filter_map(|line| line.split_whitespace().find_map(|word| word.strip_suffix(":00:00")?.parse().ok()))
        .collect();
    let apart = hours.iter().zip(hours.iter().skip(1)).all(|(first, second)| (second + 24 - first) % 24 == EVERY);
    ensure!(hours.len() >= 2 && apart, "the timer does not run every {EVERY} hours: {twice}");
    let service = std::fs::read_to_string(kit.packaging("systemd/uidmeter-token.service"))?;
    let lifetime = service.split_once("LIFETIME=").and_then(|(_, rest)| rest.split('h').next()?.parse::<u64>().ok());
    ensure!(lifetime.is_some_and(|hours| hours >= 3 * EVERY), "a token ends before two rotations may fail");
    Ok(())
}
