//! Every shell script of `packaging/`, held against shellcheck, and called without what it needs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::super::super::kit::Kit;
use super::super::super::python::Python;
use crate::process;

/// Folders whose scripts this part of the kit has written; each is to tell how it is called.
const OURS: [&str; 3] = ["scripts", "proxy", "network"];

pub(super) fn check(kit: &Kit<'_>) -> Result<()> {
    let scripts = scripts(&kit.packaging(""))?;
    process::capture(Python::prepare()?.program("shellcheck").args(["--severity=style", "--"]).args(&scripts))?;
    let mut called = 0;
    for script in scripts.iter().filter(|script| OURS.iter().any(|folder| script.starts_with(kit.packaging(folder)))) {
        let output = Command::new(script).current_dir(kit.scratch()).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        if output.status.code() != Some(2) || !said.contains("usage: ") {
            bail!("{} without arguments: {}, and it says {said:?}", script.display(), output.status);
        }
        called += 1;
    }
    if called < OURS.len() {
        bail!("only {called} scripts were found");
    }
    Ok(())
}

/// Every file below `folder` whose first line names a shell.
fn scripts(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let entries = fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(scripts(&path)?);
        } else if fs::read(&path)?.starts_with(b"#!/bin/sh") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
