//! YAML as values, and the rules in it. JSON is YAML as well, so what a check has changed is written as JSON.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::fleet::kit::Kit;

/// One recording or alerting rule.
pub(in crate::fleet) struct Rule {
    pub(in crate::fleet) file: String,
    /// Name of the series or of the alert.
    pub(in crate::fleet) name: String,
    pub(in crate::fleet) alert: bool,
    pub(in crate::fleet) expression: String,
    pub(in crate::fleet) labels: Value,
    pub(in crate::fleet) annotations: Value,
}

/// A YAML file.
///
/// # Errors
/// It cannot be read, or is no YAML.
pub(in crate::fleet) fn yaml(path: &Path) -> Result<Value> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    parse(&text).with_context(|| format!("{} is no YAML", path.display()))
}

/// YAML in memory.
///
/// # Errors
/// It is none.
pub(in crate::fleet) fn parse(text: &str) -> Result<Value> {
    Ok(serde_saphyr::from_str(text)?)
}

/// Writes a value where a program expects YAML.
///
/// # Errors
/// The file cannot be written.
pub(in crate::fleet) fn write(path: &Path, value: &Value) -> Result<()> {
    fs::write(path, serde_json::to_string_pretty(value)?).with_context(|| format!("cannot write {}", path.display()))
}

/// The files of a folder in the order of their names.
///
/// # Errors
/// The folder cannot be read.
pub(in crate::fleet) fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.sort();
    Ok(files)
}

/// Copies a folder with all that is in it.
///
/// # Errors
/// Something cannot be read or written.
pub(in crate::fleet) fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for file in files(from)? {
        let goal = to.join(file.file_name().context("a file without a name")?);
        if file.is_dir() {
            copy(&file, &goal)?;
        } else {
            fs::copy(&file, &goal)?;
        }
    }
    Ok(())
}

/// Items of a list; nothing if it is none.
pub(in crate::fleet) fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// A text; empty if it is none.
pub(in crate::fleet) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Every rule that is shipped.
///
/// # Errors
/// A file cannot be read.
pub(in crate::fleet) fn rules(kit: &Kit<'_>) -> Result<Vec<Rule>> {
    let mut rules = Vec::new();
    for path in files(&kit.packaging("prometheus/rules"))? {
        let document = yaml(&path)?;
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        for rule in items(&document["groups"]).iter().flat_map(|group| items(&group["rules"])) {
            let alert = rule["alert"].is_string();
            rules.push(Rule {
                file: file.clone(),
                name: text(&rule[if alert { "alert" } else { "record" }]).to_owned(),
                alert,
                expression: text(&rule["expr"]).to_owned(),
                labels: rule["labels"].clone(),
                annotations: rule["annotations"].clone(),
            });
        }
    }
    Ok(rules)
}
