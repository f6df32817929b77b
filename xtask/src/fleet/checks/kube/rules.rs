//! Rules as the operator wants them: each file of `packaging/prometheus/rules` becomes a `PrometheusRule` and a file of the chart. They
//! are written with `UIDMETER_BLESS=1`, and otherwise compared.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use super::super::super::kit::{Kit, debian};
use super::super::super::python::Python;
use super::{build, validate};
use crate::packages::Wanted;
use crate::process;

const NOTE: &str = "# Written from packaging/prometheus/rules by `UIDMETER_BLESS=1 cargo xtask fleet --filter kube-rules`; do not edit.\n";
/// Writes what stands in each `PrometheusRule` to a file of rules of that name, in the folder named second.
const EXTRACT: &str = "import os, sys, yaml\n\
    for d in yaml.safe_load_all(open(sys.argv[1])):\n    \
        if d and d['kind'] == 'PrometheusRule':\n        \
            open(os.path.join(sys.argv[2], d['metadata']['name'] + '.yml'), 'w').write(yaml.safe_dump(d['spec']))";

pub(super) fn check(kit: &Kit<'_>) -> Result<()> {
    let wanted = files(&sources(&kit.packaging("prometheus/rules"))?)?;
    let folders = [kit.packaging("kubernetes/operator/rules"), kit.packaging("helm/uidmeter/rules")];
    if std::env::var_os("UIDMETER_BLESS").is_some_and(|value| value == "1") {
        for folder in &folders {
            fs::create_dir_all(folder)?;
            for entry in fs::read_dir(folder)? {
                fs::remove_file(entry?.path())?;
            }
        }
        for (path, text) in &wanted {
            fs::write(kit.packaging(path), text)?;
        }
    }
    let mut present = BTreeMap::new();
    for (folder, name) in folders.iter().zip(["kubernetes/operator/rules", "helm/uidmeter/rules"]) {
        for entry in fs::read_dir(folder).with_context(|| format!("{name} is not there"))? {
            let entry = entry?;
            present.insert(format!("{name}/{}", entry.file_name().display()), fs::read_to_string(entry.path())?);
        }
    }
    for (path, text) in &wanted {
        ensure!(
            present.get(path) == Some(text),
            "packaging/{path} is not what the rules say: write it anew (see its head)"
        );
    }
    if let Some(stray) = present.keys().find(|path| !wanted.contains_key(*path)) {
        bail!("packaging/{stray} belongs to no file of rules: write all anew with UIDMETER_BLESS=1");
    }

    let python = Python::prepare()?;
    let built = build(kit, &folders[0], "rules")?;
    validate(&python, &[&built])?;
    let extracted = kit.scratch().join("extracted");
    fs::create_dir_all(&extracted)?;
    process::capture(python.script(EXTRACT).arg(&built).arg(&extracted))?;
    let files: Vec<PathBuf> = fs::read_dir(&extracted)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    ensure!(files.len() * 2 + 1 == wanted.len(), "{} files of rules are extracted", files.len());
    let promtool = debian(Wanted { suite: "sid", pattern: "promtool" }, "usr/bin/promtool")?;
    process::capture(Command::new(&promtool).args(["check", "rules"]).args(&files))?;
    // The object itself is none of promtool's business, although a published guide hands it over.
    if process::capture(Command::new(&promtool).args(["check", "rules"]).arg(&built)).is_ok() {
        bail!("promtool accepts a PrometheusRule: then it has read nothing");
    }
    Ok(())
}

/// Files of rules by name without ending; tests of rules do not count.
fn sources(folder: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))? {
        let path = entry?.path();
        let is_yaml = path.extension().is_some_and(|ending| ending == "yml" || ending == "yaml");
        if let (true, Some(stem)) = (is_yaml, path.file_stem()) {
            found.insert(stem.to_string_lossy().into_owned(), path);
        }
    }
    ensure!(!found.is_empty(), "{} has no rules", folder.display());
    Ok(found)
}

/// What is to be written, by path below `packaging/`.
fn files(sources: &BTreeMap<String, PathBuf>) -> Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    let mut list = format!("{NOTE}apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n");
    for (stem, path) in sources {
        let text = fs::read_to_string(path)?;
        list.extend(["  - ", stem, ".yaml\n"]);
        files.insert(format!("kubernetes/operator/rules/{stem}.yaml"), object(stem, &text));
        files.insert(format!("helm/uidmeter/rules/{stem}.yml"), format!("{NOTE}{text}"));
    }
    files.insert("kubernetes/operator/rules/kustomization.yaml".into(), list);
    Ok(files)
}

/// A `PrometheusRule` whose `spec` is the file, moved to the right.
fn object(stem: &str, text: &str) -> String {
    let mut object = format!(
        "{NOTE}apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nmetadata:\n  name: uidmeter-{}\n  \
         namespace: uidmeter\n  labels:\n    app.kubernetes.io/name: uidmeter\nspec:\n",
        stem.replace('_', "-")
    );
    for line in text.lines().filter(|line| *line != "---") {
        if !line.is_empty() {
            object.push_str("  ");
            object.push_str(line);
        }
        object.push('\n');
    }
    object
}

#[cfg(test)]
mod tests {
    use super::object;

    #[test]
    fn groups_become_a_part_of_spec_with_their_comments_and_blocks() {
        let made = object("host_cpu", "# Why.\ngroups:\n  - name: a\n    rules: []\n\n");
        assert!(made.contains("name: uidmeter-host-cpu\n"), "{made}");
        assert!(made.ends_with("spec:\n  # Why.\n  groups:\n    - name: a\n      rules: []\n\n"), "{made}");
    }
}
