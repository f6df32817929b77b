//! What a person writes about a dashboard: `packaging/grafana/source/*.toml`, read strictly. docs/DASHBOARDS.md tells what each key
//! means.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

/// One dashboard.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Source {
    /// Never changes: links, bookmarks and alerts name it.
    pub(crate) uid: String,
    pub(crate) title: String,
    /// What question it answers.
    pub(crate) description: String,
    /// Shown at first, as `6h`.
    pub(crate) span: String,
    /// As `1m`.
    pub(crate) refresh: String,
    /// Whether users can be chosen.
    #[serde(default)]
    pub(crate) users: bool,
    pub(crate) row: Vec<Row>,
}

/// Panels under one heading.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Row {
    pub(crate) title: String,
    /// Folded until somebody asks: its queries cost nothing until then.
    #[serde(default)]
    pub(crate) folded: bool,
    pub(crate) panel: Vec<Panel>,
}

/// One panel.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Panel {
    pub(crate) title: String,
    /// What it shows, and what to do when it looks bad.
    pub(crate) description: String,
    pub(crate) show: Show,
    /// Of 24 columns.
    pub(crate) width: u32,
    /// In steps of 30 pixels.
    pub(crate) height: u32,
    /// Grafana's name; without it, that of the metric's unit.
    pub(crate) unit: Option<String>,
    pub(crate) decimals: Option<u32>,
    pub(crate) min: Option<f64>,
    pub(crate) max: Option<f64>,
    pub(crate) thresholds: Option<Thresholds>,
    /// Words for values, as `{ "0" = "down" }`.
    #[serde(default)]
    pub(crate) words: BTreeMap<String, String>,
    /// What a number panel says when there is no series; an empty result often is good news.
    pub(crate) nothing: Option<String>,
    /// One series upon the other.
    #[serde(default)]
    pub(crate) stacked: bool,
    /// A click on a series opens this dashboard for its instance or user.
    pub(crate) opens: Option<Target>,
    pub(crate) query: Vec<Query>,
}

/// One expression of a panel.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Query {
    /// Without the matchers that every series gets.
    pub(crate) expression: String,
    #[serde(default)]
    pub(crate) legend: String,
    /// Of the column, in a table.
    pub(crate) unit: Option<String>,
    /// Whether users that are not chosen count, too.
    #[serde(default)]
    pub(crate) everybody: bool,
}

/// How a panel looks.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Show {
    /// One number each.
    Number,
    Lines,
    /// One row for each set of labels, one column for each query.
    Table,
    /// How many of each size, over time.
    Heatmap,
    /// One bar each, longest first.
    Bars,
}

/// From where on a value is worth a look, and bad; downwards if bad is less than warn.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Thresholds {
    pub(crate) warn: f64,
    pub(crate) bad: f64,
}

/// What a click can open.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Target {
    Host,
    User,
}

/// All descriptions in `folder`, by the name of their file.
///
/// # Errors
/// One cannot be read, or says something unknown; two dashboards share a uid.
pub(crate) fn read(folder: &Path) -> Result<Vec<(String, Source)>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let source: Source =
            toml::from_str(&text).with_context(|| format!("{} cannot be understood", path.display()))?;
        if source.uid != format!("uidmeter-{name}") {
            bail!("{}: its uid is {:?}, but must be uidmeter-{name}", path.display(), source.uid);
        }
        found.insert(name, source);
    }
    if found.is_empty() {
        bail!("{} describes no dashboard", folder.display());
    }
    Ok(found.into_iter().collect())
}
