//! Prometheus' rules and configurations, held against promtool and real Prometheus.

mod cases;
mod configs;
pub(super) mod documents;
mod expressions;
mod federation;
mod live;
mod runbooks;
mod words;

use std::process::Command;

use anyhow::Result;

use super::super::kit::{Kit, debian};
use super::Check;
use crate::packages::Wanted;
use crate::process;

pub(super) const CHECKS: &[Check] = &[
    Check { name: "rules-syntax", tells: "promtool accepts every rule and finds no fault of style", run: syntax },
    Check {
        name: "rules-configs",
        tells: "promtool accepts every configuration, and every way to find hosts with every way to authenticate",
        run: configs::run,
    },
    Check { name: "rules-tests", tells: "every rule has a case, and does what its case says", run: cases::run },
    Check {
        name: "rules-expressions",
        tells: "expressions name metrics that exist, of the right job, over enough scrapes; alerts say what they print",
        run: expressions::run,
    },
    Check {
        name: "rules-runbooks",
        tells: "every alert links to a section with commands that the program accepts",
        run: runbooks::run,
    },
    Check {
        name: "rules-live",
        tells: "a real Prometheus fires on a host that goes down, on harm, and on a limit that does not work",
        run: live::run,
    },
    Check {
        name: "rules-live-security",
        tells: "a real Prometheus fires when a real uidmeter refuses requests",
        run: live::security,
    },
    Check {
        name: "rules-federation",
        tells: "a central Prometheus gets the recorded series of two regions",
        run: federation::federation,
    },
    Check {
        name: "rules-remote-write",
        tells: "a hub gets everything from two agents, also what they read while it was away",
        run: federation::remote_write,
    },
];

/// Prometheus and promtool of each Debian: the oldest that somebody may run, one in between, the newest.
const SUITES: [&str; 3] = ["bookworm", "trixie", "sid"];

fn promtool(suite: &'static str) -> Result<Command> {
    // Only the older packages have both programs in one.
    let pattern = if ["bullseye", "bookworm"].contains(&suite) { "prometheus" } else { "promtool" };
    Ok(Command::new(debian(Wanted { suite, pattern }, "usr/bin/promtool")?))
}

fn prometheus() -> Result<std::path::PathBuf> {
    debian(Wanted { suite: "sid", pattern: "prometheus" }, "usr/bin/prometheus")
}

fn syntax(kit: &Kit<'_>) -> Result<()> {
    let files = documents::files(&kit.packaging("prometheus/rules"))?;
    process::capture(promtool("sid")?.args(["check", "rules", "--lint=all", "--lint-fatal"]).args(&files))?;
    for suite in SUITES {
        process::capture(promtool(suite)?.args(["check", "rules"]).args(&files))?;
    }
    Ok(())
}
