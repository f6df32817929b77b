//! The table of features: what a fleet needs, which files of this project give it, and which checks show that they work. Written
//! by hand in `features/*.toml`, read strictly: a file that is not there, a check that does not exist, or a feature that nobody
//! claims is an error, so that nothing counts as done by being mentioned.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use super::checks;
use crate::project::Project;

/// One file for each part of the kit.
const TABLES: [(&str, &str); 6] = [
    ("rules", include_str!("features/rules.toml")),
    ("alerts", include_str!("features/alerts.toml")),
    ("boards", include_str!("features/boards.toml")),
    ("kube", include_str!("features/kube.toml")),
    ("discovery", include_str!("features/discovery.toml")),
    ("guide", include_str!("features/guide.toml")),
];

/// The guides whose features the kit covers: short name, title, number of features.
const GUIDES: [(&str, &str, u32); 5] = [
    ("S0", "running a per-user exporter on many hosts", 61),
    ("S1", "monitoring an exporter in production", 32),
    ("S2", "several clusters, hub and spokes", 24),
    ("S3", "federation with agents and remote write", 25),
    ("S4", "a monitoring stack on Kubernetes", 48),
];

/// One feature, or several that the same files give and the same checks show.
pub(super) struct Feature {
    /// Guide and number, as `S0-15`.
    pub(super) ids: Vec<String>,
    pub(super) what: String,
    /// Paths from the root of the project, each perhaps with `#` and a text that the file contains.
    pub(super) files: Vec<String>,
    pub(super) proof: Proof,
}

/// What shows that a feature works.
pub(super) enum Proof {
    /// Names of checks.
    Checks(Vec<String>),
    /// Why it cannot be shown by a test.
    NotHere(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    #[serde(default)]
    feature: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: Vec<String>,
    what: String,
    #[serde(default)]
    files: Vec<String>,
    #[serde(default)]
    checks: Vec<String>,
    not_here: Option<String>,
}

/// All features in the order of the guides.
///
/// # Errors
/// The first thing that is wrong with an entry.
pub(super) fn load(project: &Project) -> Result<Vec<Feature>> {
    let mut features = Vec::new();
    for (name, text) in TABLES {
        let table: Table = toml::from_str(text).with_context(|| format!("features/{name}.toml cannot be read"))?;
        for entry in table.feature {
            let ids = entry.id.join(", ");
            features.push(feature(project, entry).with_context(|| format!("features/{name}.toml, {ids}"))?);
        }
    }
    features.sort_by_cached_key(|feature| feature.ids.iter().filter_map(|id| number(id).ok()).min());
    Ok(features)
}

/// That each feature of each guide is in the table.
///
/// # Errors
/// Those that nobody claims.
pub(super) fn complete(features: &[Feature]) -> Result<()> {
    let claimed: BTreeSet<&str> = features.iter().flat_map(|feature| &feature.ids).map(String::as_str).collect();
    let all = GUIDES.iter().flat_map(|(name, _, count)| (1..=*count).map(move |at| format!("{name}-{at}")));
    let missing: Vec<String> = all.filter(|id| !claimed.contains(id.as_str())).collect();
    if !missing.is_empty() {
        bail!("nobody claims these features: {}", missing.join(" "));
    }
    Ok(())
}

fn feature(project: &Project, entry: Entry) -> Result<Feature> {
    for file in &entry.files {
        let (path, text) = file.split_once('#').map_or((file.as_str(), None), |(path, text)| (path, Some(text)));
        let whole = project.root().join(path);
        if let Some(text) = text {
            let content = std::fs::read_to_string(&whole).with_context(|| format!("{path} cannot be read"))?;
            if !content.contains(text) {
                bail!("{path} does not contain {text:?}");
            }
        } else if !whole.exists() {
            bail!("{path} does not exist");
        }
    }
    if let Some(unknown) = entry.checks.iter().find(|name| checks::all().all(|check| check.name != **name)) {
        bail!("there is no check {unknown:?}");
    }
    let proof = match (entry.checks.is_empty(), entry.not_here) {
        (false, None) => Proof::Checks(entry.checks),
        (true, Some(reason)) => Proof::NotHere(reason),
        _ => bail!("needs either `checks` or `not_here`"),
    };
    for id in &entry.id {
        number(id)?;
    }
    Ok(Feature { ids: entry.id, what: entry.what, files: entry.files, proof })
}

/// Which guide, and which of its features.
fn number(id: &str) -> Result<(usize, u32)> {
    let parsed = id.split_once('-').and_then(|(guide, number)| {
        let guide = GUIDES.iter().position(|(name, ..)| *name == guide)?;
        Some((guide, number.parse().ok()?)).filter(|(guide, number)| (1..=GUIDES[*guide].2).contains(number))
    });
    parsed.with_context(|| format!("{id:?} is no feature of a guide"))
}

/// `docs/FEATURES.md`.
///
/// # Errors
/// As [`load`].
pub(super) fn document(project: &Project) -> Result<String> {
    let mut text = String::from(
        "# Features of the fleet kit\n\nWritten by `cargo xtask docs` from the tables in `xtask/src/fleet/features`; do not edit.\n\n\
         Five published guides describe how exporters are run on many hosts. Each of their features is here, with the files that \
         give it and the checks that show it; `cargo xtask test fleet` runs all checks and prints this table with their results.\n",
    );
    let features = load(project)?;
    complete(&features)?;
    for (guide, (name, title, _)) in GUIDES.iter().enumerate() {
        write!(text, "\n## {name}: {title}\n\n| feature | what | files | shown by |\n|---|---|---|---|\n")?;
        for feature in &features {
            let ids: Vec<&str> = feature
                .ids
                .iter()
                .map(String::as_str)
                .filter(|id| number(id).is_ok_and(|(of, _)| of == guide))
                .collect();
            if ids.is_empty() {
                continue;
            }
            let paths = feature.files.iter().map(|file| format!("`{}`", file.split('#').next().unwrap_or_default()));
            let proof = match &feature.proof {
                Proof::Checks(names) => names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" "),
                Proof::NotHere(reason) => format!("not by a test: {reason}"),
            };
            let files = paths.collect::<Vec<_>>().join(" ");
            writeln!(text, "| {} | {} | {files} | {proof} |", ids.join(" "), feature.what)?;
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn an_id_names_a_feature_that_a_guide_has() {
        assert_eq!(number("S0-61").ok(), Some((0, 61)));
        assert_eq!(number("S4-1").ok(), Some((4, 1)));
        for wrong in ["", "S0", "S0-0", "S0-62", "S5-1", "s0-1", "S0-1a"] {
            assert!(number(wrong).is_err(), "{wrong}");
        }
    }
}
