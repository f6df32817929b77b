//! Prometheus' rules and configurations, held against promtool.

use std::process::Command;

use anyhow::Result;

use super::super::kit::{Kit, debian};
use super::Check;
use crate::packages::Wanted;
use crate::process;

pub(super) const CHECKS: &[Check] =
    &[Check { name: "rules-syntax", tells: "promtool accepts every rule and finds no fault of style", run: syntax }];

fn syntax(kit: &Kit<'_>) -> Result<()> {
    let promtool = debian(Wanted { suite: "sid", pattern: "promtool" }, "usr/bin/promtool")?;
    let mut command = Command::new(promtool);
    command.args(["check", "rules", "--lint=all", "--lint-fatal"]);
    for entry in std::fs::read_dir(kit.packaging("prometheus/rules"))? {
        command.arg(entry?.path());
    }
    process::capture(&mut command).map(|_| ())
}
