//! The chart, held against Helm itself: it lints, renders what the manifests have, and refuses values that its schema forbids.

use std::process::Stdio;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use super::super::super::kit::Kit;
use super::super::super::python::Python;
use super::policy::{CAPABILITIES, HOST, HOST_FOR_LIMITS, daemon_set};
use super::{documents, object, validate};

const SCRIPT: &str = include_str!("helm.py");

pub(super) fn check(kit: &Kit<'_>) -> Result<()> {
    let python = Python::prepare()?;
    let policy = std::fs::read_to_string(kit.packaging("kubernetes/enforce/policy.toml"))?;
    let sets = json!({
        "right": {
            "default": {},
            "limits": {"limits": {"mode": "enforce", "policy": policy}},
            "operator": {"serviceMonitor": {"enabled": true}, "rules": {"enabled": true}, "web": {"authFile": "auth.toml"}},
            "pods": {"podMonitor": {"enabled": true}, "networkPolicy": {"enabled": false}, "userNames": false,
                     "extraCapabilities": ["SYS_RESOURCE"], "settings": "[users]\ntop = 100"},
        },
        "wrong": [
            {"imagee": {}},
            {"web": {"port": 80}},
            {"web": {"existingSecret": ""}},
            {"limits": {"mode": "enforce"}},
            {"limits": {"mode": "on", "policy": "x"}},
            {"extraCapabilities": ["NET_ADMIN"]},
            {"serviceMonitor": {"enabled": true}, "podMonitor": {"enabled": true}},
            {"monitor": {"interval": "15"}},
        ],
    });
    let mut command = python.script(SCRIPT);
    command.arg(kit.packaging("helm/uidmeter")).arg(kit.scratch());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    serde_json::to_writer(child.stdin.take().context("no standard input")?, &sets)?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("Helm: {}", String::from_utf8_lossy(&output.stderr).trim_end());
    }

    let rendered = |name: &str| -> Result<Vec<Value>> {
        let file = kit.scratch().join(format!("helm-{name}.yaml"));
        validate(&python, &[&file]).with_context(|| format!("the chart with the values {name}"))?;
        documents(&python, &file)
    };
    let plain = rendered("default")?;
    daemon_set(object(&plain, "DaemonSet", "uidmeter")?, &CAPABILITIES, &HOST)?;
    object(&plain, "NetworkPolicy", "uidmeter")?;
    ensure!(object(&plain, "ServiceMonitor", "uidmeter").is_err(), "the operator's kinds come unasked");

    let limits = rendered("limits")?;
    let all: Vec<&str> = HOST.into_iter().chain(HOST_FOR_LIMITS).collect();
    daemon_set(object(&limits, "DaemonSet", "uidmeter")?, &CAPABILITIES, &all)?;

    let operator = rendered("operator")?;
    let monitor = object(&operator, "ServiceMonitor", "uidmeter")?;
    let service = object(&operator, "Service", "uidmeter")?;
    ensure!(monitor["spec"]["selector"]["matchLabels"] == selected(service), "the monitor selects another service");
    let rules = operator.iter().filter(|document| document["kind"] == "PrometheusRule").count();
    let files = std::fs::read_dir(kit.packaging("helm/uidmeter/rules"))?.count();
    ensure!(rules == files, "{rules} PrometheusRules are rendered of {files} files");

    let pods = rendered("pods")?;
    let more: Vec<&str> = CAPABILITIES.into_iter().chain(["SYS_RESOURCE"]).collect();
    daemon_set(object(&pods, "DaemonSet", "uidmeter")?, &more, &HOST[..1])?;
    object(&pods, "PodMonitor", "uidmeter").map(|_| ())
}

/// The labels of a service by which the chart's monitor finds it.
fn selected(service: &Value) -> Value {
    let mut labels = service["metadata"]["labels"].clone();
    if let Some(labels) = labels.as_object_mut() {
        labels.retain(|name, _| ["app.kubernetes.io/name", "app.kubernetes.io/instance"].contains(&name.as_str()));
    }
    labels
}
