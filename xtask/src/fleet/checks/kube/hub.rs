//! Hub and spokes as files: they build and fit, values are what the operator understands, and the hub's doors open for agents alone.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use super::super::super::kit::{Kit, debian};
use super::super::super::python::Python;
use super::network::{Visitor, admits};
use super::policy::lookups;
use super::{build as kustomize, documents, object, validate};
use crate::packages::Wanted;
use crate::process;

/// Measured: an agent that scraped 506,000 series took 0.93 GB, in bytes a series.
const BYTES_A_SERIES: u64 = 2_000;
/// What a cluster is made for: its folder, and how many series its comment promises room for.
const CLUSTERS: [(&str, u64); 2] = [("production", 500_000), ("staging", 50_000)];

pub(super) fn build(kit: &Kit<'_>) -> Result<()> {
    let python = Python::prepare()?;
    let folder = kit.packaging("hub-spoke");
    for name in ["base", "hub", "spoke"] {
        validate(&python, &[&kustomize(kit, &folder.join(name), &format!("hub-spoke-{name}"))?])?;
    }
    for (cluster, series) in CLUSTERS {
        let built = kustomize(kit, &folder.join("clusters").join(cluster), cluster)?;
        validate(&python, &[&built])?;
        let objects = documents(&python, &built)?;
        let agent = object(&objects, "PrometheusAgent", "uidmeter")?;
        is_labelled(agent, cluster, cluster)?;
        let asked = agent["spec"]["resources"]["requests"]["memory"].as_str().unwrap_or_default();
        let (asked, needed) = (bytes(asked)?, series * BYTES_A_SERIES);
        ensure!(asked >= needed, "{cluster} asks for {asked} bytes, and {series} series take {needed}");
        has_values(&objects, "spoke-values")?;
        lookups(object(&objects, "ClusterRole", "uidmeter-prometheus")?)?;
    }
    misplaced_labels(kit, &python)?;
    values(kit, &python)
}

/// Everything that an agent sends says which cluster it is from.
pub(super) fn is_labelled(agent: &Value, cluster: &str, environment: &str) -> Result<()> {
    let labels = &agent["spec"]["externalLabels"];
    ensure!(*labels == json!({"cluster": cluster, "environment": environment}), "{cluster} labels with {labels}");
    let url = agent["spec"]["remoteWrite"][0]["url"].as_str().unwrap_or_default();
    ensure!(url.starts_with("https://") && url.ends_with("/api/v1/write"), "{cluster} sends to {url:?}");
    Ok(())
}

/// The release reads the `ConfigMap` under the name that kustomize has given it.
fn has_values(objects: &[Value], name: &str) -> Result<()> {
    let release = object(objects, "HelmRelease", "kube-prometheus-stack")?;
    let named = release["spec"]["valuesFrom"][0]["name"].as_str().unwrap_or_default();
    ensure!(named.starts_with(name) && named != name, "the release reads {named:?}, which is not followed by a hash");
    object(objects, "ConfigMap", named).map(|_| ())
}

/// Labels inside of `remoteWrite`, where a published guide has them, are refused.
fn misplaced_labels(kit: &Kit<'_>, python: &Python) -> Result<()> {
    let objects = documents(python, &kit.scratch().join("production.yaml"))?;
    let mut agent = object(&objects, "PrometheusAgent", "uidmeter")?.clone();
    agent["spec"]["remoteWrite"][0]["externalLabels"] = json!({"cluster": "production"});
    let file = kit.scratch().join("misplaced.yaml");
    fs::write(&file, agent.to_string())?;
    ensure!(validate(python, &[&file]).is_err(), "externalLabels inside of remoteWrite pass");
    Ok(())
}

/// The parts of the values that the chart hands over to the operator, as the objects that they become.
fn values(kit: &Kit<'_>, python: &Python) -> Result<()> {
    let folder = kit.packaging("hub-spoke");
    let hub = first(documents(python, &folder.join("hub/values.yaml"))?)?;
    let mut prometheus = hub["prometheus"]["prometheusSpec"].clone();
    let spec = prometheus.as_object_mut().context("the hub's values have no prometheusSpec")?;
    // Names of the chart's own.
    spec.retain(|name, _| !name.ends_with("SelectorNilUsesHelmValues"));
    if let Some(storage) = spec.remove("storageSpec") {
        spec.insert("storage".into(), storage);
    }
    let objects = [
        ("Prometheus", prometheus),
        ("Alertmanager", hub["alertmanager"]["alertmanagerSpec"].clone()),
    ]
    .map(|(kind, spec)| {
        json!({"apiVersion": "monitoring.coreos.com/v1", "kind": kind, "metadata": {"name": "hub"}, "spec": spec})
    });
    for (at, object) in objects.iter().enumerate() {
        let file = kit.scratch().join(format!("values-{at}.yaml"));
        fs::write(&file, object.to_string())?;
        validate(python, &[&file])?;
    }
    let spec = &objects[0]["spec"];
    ensure!(spec["enableRemoteWriteReceiver"] == true, "the hub does not let agents write");
    ensure!(hub["grafana"]["adminPassword"].is_null(), "the hub's values have a password in them");
    let volume = &spec["storage"]["volumeClaimTemplate"]["spec"]["resources"]["requests"]["storage"];
    let (most, room) = (size(&spec["retentionSize"])?, bytes(volume.as_str().unwrap_or_default())?);
    ensure!(most < room, "blocks of {most} bytes do not fit into {room}");

    let spoke = first(documents(python, &folder.join("spoke/values.yaml"))?)?;
    for part in ["prometheus", "alertmanager", "grafana"] {
        ensure!(spoke[part]["enabled"] == false, "a spoke has a {part} of its own");
    }
    for part in ["nodeExporter", "kubeStateMetrics", "prometheusOperator"] {
        ensure!(spoke[part]["enabled"] == true, "a spoke has no {part}");
    }
    Ok(())
}

pub(super) fn policy(kit: &Kit<'_>) -> Result<()> {
    let python = Python::prepare()?;
    let built = kustomize(kit, &kit.packaging("hub-spoke/hub"), "hub")?;
    let objects = documents(&python, &built)?;
    let gateway = object(&objects, "NetworkPolicy", "hub-gateway")?;
    let service = &object(&objects, "Service", "hub-gateway")?["spec"];
    ensure!(service["externalTrafficPolicy"] == "Local", "the gateway does not see who knocks");
    let ranges = service["loadBalancerSourceRanges"].as_array().map_or(&[][..], Vec::as_slice);
    let admitted: Vec<&Value> = gateway["spec"]["ingress"][0]["from"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|peer| &peer["ipBlock"]["cidr"])
        .collect();
    ensure!(!ranges.is_empty() && ranges.iter().collect::<Vec<_>>() == admitted, "load balancer and policy differ");
    for (address, expected) in [("192.0.2.9", true), ("198.51.100.9", true), ("203.0.113.9", false)] {
        let result = admits(gateway, &Visitor::Address(address), "https")?;
        ensure!(result == expected, "admitting {address} to the gateway is {result}");
    }
    let prometheus = object(&objects, "NetworkPolicy", "hub-prometheus")?;
    for (name, expected) in [("hub-gateway", true), ("grafana", true), ("prometheus", true), ("other", false)] {
        let result = admits(prometheus, &Visitor::Pod("monitoring", name), "9090")?;
        ensure!(result == expected, "admitting {name} to Prometheus is {result}");
    }
    ensure!(!admits(prometheus, &Visitor::Address("192.0.2.9"), "9090")?, "agents reach Prometheus past the gateway");

    let folder = kit.scratch().join("web-config");
    certificates(&folder)?;
    let file = folder.join("web-config.yml");
    fs::copy(kit.packaging("hub-spoke/hub/web-config.yml"), &file)?;
    let promtool = debian(Wanted { suite: "sid", pattern: "promtool" }, "usr/bin/promtool")?;
    process::capture(Command::new(&promtool).args(["check", "web-config"]).arg(&file))?;
    fs::remove_file(folder.join("ca.crt"))?;
    if process::capture(Command::new(&promtool).args(["check", "web-config"]).arg(&file)).is_ok() {
        bail!("promtool accepts a web configuration whose CA is not there");
    }
    Ok(())
}

/// A CA (`ca.crt`), the hub's certificate for 127.0.0.1 (`tls.crt`, `tls.key`), an agent's of the same CA (`agent.crt`, `agent.key`), and
/// one of nobody's (`stranger.crt`, `stranger.key`).
pub(super) fn certificates(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    let openssl = |arguments: &str| {
        process::capture(Command::new("openssl").args(arguments.split(' ')).current_dir(folder)).map(|_| ())
    };
    let curve = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2";
    openssl(&format!("req -x509 {curve} -keyout ca.key -out ca.crt -subj /CN=ca.example.com"))?;
    openssl(&format!("req -x509 {curve} -keyout stranger.key -out stranger.crt -subj /CN=stranger.example.com"))?;
    for (name, subject) in [("tls", "hub.example.com"), ("agent", "agent.example.com")] {
        openssl(&format!(
            "req -x509 {curve} -keyout {name}.key -out {name}.crt -subj /CN={subject} -CA ca.crt -CAkey ca.key \
             -addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE"
        ))?;
    }
    Ok(())
}

fn first(documents: Vec<Value>) -> Result<Value> {
    documents.into_iter().next().context("a file without a document")
}

/// A quantity of Kubernetes, as `2Gi`.
fn bytes(quantity: &str) -> Result<u64> {
    let units = [("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10), ("", 1)];
    let found = units.into_iter().find_map(|(unit, factor)| Some((quantity.strip_suffix(unit)?, factor)));
    let (number, factor): (&str, u64) = found.with_context(|| format!("{quantity:?} is no quantity"))?;
    Ok(number.parse::<u64>().with_context(|| format!("{quantity:?} is no quantity"))? * factor)
}

/// A size of Prometheus', as `45GB`: its units are powers of two, too.
fn size(value: &Value) -> Result<u64> {
    let text = value.as_str().unwrap_or_default();
    let number = text.strip_suffix("GB").with_context(|| format!("{text:?} is no size in GB"))?;
    Ok(number.parse::<u64>()? << 30)
}
