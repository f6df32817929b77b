//! `dashboards`: Grafana's dashboards, from the descriptions in packaging/grafana/source and the catalogue of metrics. A metric
//! that has been renamed, a unit that nobody knows or a rule of [`lint`] that is broken stops it before anything is written.

mod board;
pub(crate) mod catalogue;
mod configmap;
pub(crate) mod expression;
pub(crate) mod lint;
mod panel;
mod source;
mod units;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use self::catalogue::Catalogue;
use crate::process::heading;
use crate::project::Project;

/// One dashboard.
pub(crate) struct Dashboard {
    /// Of its file, without the ending.
    pub(crate) name: String,
    /// What Grafana reads.
    pub(crate) document: Value,
}

/// All of them, made anew.
///
/// # Errors
/// A description is wrong, or asks for what the catalogue does not have.
pub(crate) fn all(project: &Project, catalogue: &Catalogue) -> Result<Vec<Dashboard>> {
    let sources = source::read(&folder(project).join("source"))?;
    let mut made = Vec::new();
    for (name, source) in &sources {
        made.push(Dashboard { name: name.clone(), document: board::document(source, catalogue)? });
    }
    Ok(made)
}

/// All of them as they lie in packaging/grafana/dashboards.
///
/// # Errors
/// There is none, or one is no JSON.
pub(crate) fn shipped(project: &Project) -> Result<Vec<Dashboard>> {
    let mut found = Vec::new();
    for path in present(project)? {
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let document = serde_json::from_str(&text).with_context(|| format!("{} is no JSON", path.display()))?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        found.push(Dashboard { name, document });
    }
    if found.is_empty() {
        bail!("packaging/grafana/dashboards is empty: run `cargo xtask dashboards`");
    }
    found.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(found)
}

/// Every file that is generated, with its text.
///
/// # Errors
/// As [`all`]; or what came out breaks a rule.
pub(crate) fn files(project: &Project) -> Result<BTreeMap<PathBuf, String>> {
    let catalogue = Catalogue::read(project)?;
    let dashboards = all(project, &catalogue)?;
    let faults = lint::faults(&dashboards, &catalogue);
    if !faults.is_empty() {
        bail!("the dashboards break rules:\n{}", faults.join("\n"));
    }
    let folder = folder(project);
    let mut files = BTreeMap::new();
    for Dashboard { name, document } in &dashboards {
        let text = serde_json::to_string_pretty(document)?;
        files.insert(folder.join("dashboards").join(format!("{name}.json")), format!("{text}\n"));
    }
    files.insert(folder.join("kubernetes/dashboards.yaml"), configmap::document(&dashboards)?);
    Ok(files)
}

/// What differs between the files that are there and those that would be written.
///
/// # Errors
/// As [`files`].
pub(crate) fn stale(project: &Project) -> Result<Vec<String>> {
    let files = files(project)?;
    let mut stale = Vec::new();
    for (path, text) in &files {
        if fs::read_to_string(path).is_ok_and(|found| found == *text) {
            continue;
        }
        stale.push(format!("{} is not what would be written now", path.display()));
    }
    for path in present(project)? {
        if !files.contains_key(&path) {
            stale.push(format!("{} has no description any more", path.display()));
        }
    }
    Ok(stale)
}

/// Writes them.
///
/// # Errors
/// As [`files`], or a file cannot be written.
pub(crate) fn command(project: &Project) -> Result<()> {
    heading("writing packaging/grafana/dashboards and packaging/grafana/kubernetes/dashboards.yaml");
    let files = files(project)?;
    for path in present(project)?.into_iter().filter(|path| !files.contains_key(path)) {
        fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
    }
    for (path, text) in files {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        }
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// The dashboards that lie in the folder, generated or not.
fn present(project: &Project) -> Result<Vec<PathBuf>> {
    let folder = folder(project).join("dashboards");
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let entries = fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))?;
    entries.map(|entry| Ok(entry?.path())).collect()
}

/// `packaging/grafana`.
fn folder(project: &Project) -> PathBuf {
    Path::new(project.root()).join("packaging/grafana")
}

#[cfg(test)]
mod tests;
