//! Manifests, overlays, values and the chart, held against their schemas and against what they must and must not grant.

mod capabilities;
mod commands;
mod helm;
mod hub;
mod live;
mod network;
mod policy;
mod rules;
mod scripts;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::super::kit::{Kit, debian};
use super::super::python::Python;
use super::Check;
use crate::packages::Wanted;
use crate::process;

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "kube-manifests",
        tells: "every kustomization builds, and each object fits the schema of its kind",
        run: manifests,
    },
    Check {
        name: "kube-policy",
        tells: "uidmeter gets the rights it needs and no others, and Prometheus alone reaches it",
        run: policy::check,
    },
    Check {
        name: "kube-commands",
        tells: "the commands of docs/KUBERNETES.md make objects that fit",
        run: commands::check,
    },
    Check {
        name: "kube-rules",
        tells: "each file of rules is there as a PrometheusRule, and promtool accepts what is in it",
        run: rules::check,
    },
    Check {
        name: "kube-helm",
        tells: "Helm finds no fault with the chart, renders objects that fit, and refuses wrong values",
        run: helm::check,
    },
    Check {
        name: "kube-capabilities",
        tells: "the capabilities, flags and settings of the manifests are enough for a real daemon",
        run: capabilities::check,
    },
    Check {
        name: "hub-spoke-build",
        tells: "hub and clusters build, each object and all values fit, and each cluster is labelled as itself",
        run: hub::build,
    },
    Check {
        name: "hub-spoke-policy",
        tells: "agents of other clusters reach the hub's gateway, nobody else does, and promtool accepts its web configuration",
        run: hub::policy,
    },
    Check {
        name: "hub-spoke-scripts",
        tells: "the scripts change what they should, twice with the same result, refuse what is wrong, and clusters build afterwards",
        run: scripts::check,
    },
    Check {
        name: "hub-spoke-live",
        tells: "two agents write through the gateway to a hub that goes away for a while, and nothing is missing afterwards",
        run: live::check,
    },
];

/// What is accepted as YAML: as strict as yamllint is by default, but for long lines and documents without `---`;
/// rules are written by a program.
const YAMLLINT: &str = "{extends: default, ignore: ['**/operator/rules/*.yaml'], rules: {line-length: {max: 160}, document-start: disable, \
                        comments: {min-spaces-from-content: 1}, octal-values: disable, \
                        truthy: {allowed-values: ['true', 'false']}}}";
const VALIDATE: &str = include_str!("kube/validate.py");
const TO_JSON: &str = "import json, sys, yaml\n\
                       print(json.dumps([d for f in sys.argv[1:] for d in yaml.safe_load_all(open(f)) if d]))";

/// Folders with a `kustomization.yaml` of `packaging/kubernetes`.
const KUBERNETES: [&str; 5] = ["base", "enforce", "old-kernels", "operator", "stack"];

fn manifests(kit: &Kit<'_>) -> Result<()> {
    let python = Python::prepare()?;
    let folders = [kit.packaging("kubernetes"), kit.packaging("hub-spoke"), kit.packaging("helm/uidmeter/values.yaml")];
    process::run(python.program("yamllint").args(["--strict", "-d", YAMLLINT]).args(folders))?;
    for folder in KUBERNETES {
        let built = build(kit, &kit.packaging("kubernetes").join(folder), folder)?;
        validate(&python, &[&built])?;
    }
    // Not part of any kustomization: each stands for the other.
    let others = ["pod-monitor.yaml", "scrape-config.yaml"].map(|name| kit.packaging("kubernetes/operator").join(name));
    validate(&python, &[&others[0], &others[1]])?;
    // A name that no schema has must not pass, or nothing has been shown.
    for (name, right, wrong) in [
        ("base", "hostPID: true", "hostPid: true"),
        ("operator", "scrapeTimeout: 10s", "scrapeTimeOut: 10s"),
        ("stack", "retention: 30d", "retention: 30 days"),
    ] {
        let text = std::fs::read_to_string(kit.scratch().join(format!("{name}.yaml")))?;
        let spoilt = kit.scratch().join(format!("{name}-spoilt.yaml"));
        if !text.contains(right) {
            bail!("{name} no longer has {right:?}, with which the check is tried out");
        }
        std::fs::write(&spoilt, text.replace(right, wrong))?;
        if validate(&python, &[&spoilt]).is_ok() {
            bail!("{wrong:?} passes as part of {name}");
        }
    }
    Ok(())
}

/// What kustomize makes of a folder, in a file of that name.
fn build(kit: &Kit<'_>, folder: &Path, name: &str) -> Result<PathBuf> {
    let kustomize = debian(Wanted { suite: "sid", pattern: "kustomize" }, "usr/bin/kustomize")?;
    let text = process::capture(Command::new(kustomize).arg("build").arg(folder))?;
    let file = kit.scratch().join(format!("{}.yaml", name.replace('/', "-")));
    std::fs::write(&file, text)?;
    Ok(file)
}

/// Holds each document against the schema of its kind; unknown fields are refused.
fn validate(python: &Python, files: &[&Path]) -> Result<()> {
    process::capture(python.script(VALIDATE).arg(python.kept()?).args(files)).map(|_| ())
}

/// The documents of a YAML file.
fn documents(python: &Python, file: &Path) -> Result<Vec<Value>> {
    let text = process::capture(python.script(TO_JSON).arg(file))?;
    serde_json::from_str(&text).with_context(|| format!("{} cannot be read", file.display()))
}

/// The object of this kind and name.
fn object<'a>(documents: &'a [Value], kind: &str, name: &str) -> Result<&'a Value> {
    documents
        .iter()
        .find(|document| document["kind"] == kind && document["metadata"]["name"] == name)
        .with_context(|| format!("there is no {kind} {name}"))
}
