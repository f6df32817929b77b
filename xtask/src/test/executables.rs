//! Builds the collector's test executables as the current user, so that only the tests themselves run as root.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};

use crate::process::{self, heading};
use crate::project::Project;

/// A test target of the collector and the feature that turns it on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    name: &'static str,
    feature: &'static str,
}

/// What runs on a real kernel.
pub(crate) const KERNEL: Target = Target { name: "kernel", feature: "kernel-tests" };

/// What limits do to a whole machine.
pub(crate) const LIMITS: Target = Target { name: "limits", feature: "limits-tests" };

/// What runs against real servers.
pub(crate) const PEERS: Target = Target { name: "peers", feature: "peer-tests" };

/// Builds `target` and returns its path, which only cargo knows.
pub(crate) fn build(project: &Project, target: Target) -> Result<PathBuf> {
    let Target { name, feature } = target;
    heading(&format!("building the {name} tests"));
    let mut cargo = project.cargo();
    cargo
        .args(["test", "--package", "collector", "--features", feature])
        .args(["--test", name, "--no-run"])
        .arg("--message-format=json-render-diagnostics")
        .stdout(Stdio::piped());
    let shown = process::display(&cargo);
    let mut child = cargo.spawn().with_context(|| format!("cannot start `{shown}`"))?;
    let output = child.stdout.take().context("cargo without output")?;
    let mut found = None;
    for line in BufReader::new(output).lines() {
        found = executable(&line?, name).or(found);
    }
    let status = child.wait().with_context(|| format!("cannot wait for `{shown}`"))?;
    if !status.success() {
        bail!("`{shown}` failed: {status}");
    }
    found.with_context(|| format!("`{shown}` named no executable"))
}

/// The path in cargo's message about the test target `name`.
fn executable(message: &str, name: &str) -> Option<PathBuf> {
    let message: serde_json::Value = serde_json::from_str(message).ok()?;
    let target = message.get("target")?;
    let is_test = target.get("kind")?.as_array()?.iter().any(|kind| kind == "test");
    if !is_test || target.get("name")? != name {
        return None;
    }
    message.get("executable")?.as_str().map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_executable_is_found_among_cargos_messages() {
        let message = |kind: &str, name: &str| {
            format!(
                r#"{{"reason":"compiler-artifact","target":{{"kind":["{kind}"],"name":"{name}"}},"executable":"/t/x"}}"#
            )
        };
        assert_eq!(executable(&message("test", "kernel"), "kernel"), Some(PathBuf::from("/t/x")));
        assert_eq!(executable(&message("bin", "kernel"), "kernel"), None);
        assert_eq!(executable(&message("test", "peers"), "kernel"), None);
        assert_eq!(executable("not json", "kernel"), None);
    }
}
