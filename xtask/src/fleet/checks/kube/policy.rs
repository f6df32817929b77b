//! What the manifests grant: the capabilities, mounts and doors that uidmeter needs, and no others.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::super::super::kit::Kit;
use super::super::super::python::Python;
use super::network::{Visitor, admits};
use super::{build, documents, object};

/// What observing takes.
pub(super) const CAPABILITIES: [&str; 6] = ["BPF", "PERFMON", "SETUID", "SETGID", "SETPCAP", "DAC_READ_SEARCH"];
/// Folders and files of the node that observing reads.
pub(super) const HOST: [&str; 3] = ["/sys/kernel/btf", "/etc/passwd", "/etc/group"];
/// What carrying limits out takes beside them.
pub(super) const HOST_FOR_LIMITS: [&str; 5] =
    ["/sys/fs/cgroup", "/run/systemd", "/run/dbus", "/var/lib/uidmeter", "/var/log/uidmeter"];

pub(super) fn check(kit: &Kit<'_>) -> Result<()> {
    let python = Python::prepare()?;
    let folder = kit.packaging("kubernetes");
    let base = documents(&python, &build(kit, &folder.join("base"), "base")?)?;
    daemon_set(object(&base, "DaemonSet", "uidmeter")?, &CAPABILITIES, &HOST)?;
    let level = &object(&base, "Namespace", "uidmeter")?["metadata"]["labels"]["pod-security.kubernetes.io/enforce"];
    ensure!(level == "privileged", "the namespace's level of Pod Security is {level}");
    let account = object(&base, "ServiceAccount", "uidmeter")?;
    ensure!(account["automountServiceAccountToken"] == false, "the service account has a token");
    doors(object(&base, "NetworkPolicy", "uidmeter")?)?;

    let enforcing = documents(&python, &build(kit, &folder.join("enforce"), "enforce")?)?;
    let all: Vec<&str> = HOST.into_iter().chain(HOST_FOR_LIMITS).collect();
    daemon_set(object(&enforcing, "DaemonSet", "uidmeter")?, &CAPABILITIES, &all)?;

    let old = documents(&python, &build(kit, &folder.join("old-kernels"), "old-kernels")?)?;
    let more: Vec<&str> = CAPABILITIES.into_iter().chain(["SYS_RESOURCE"]).collect();
    daemon_set(object(&old, "DaemonSet", "uidmeter")?, &more, &HOST)?;

    let operator = documents(&python, &build(kit, &folder.join("operator"), "operator")?)?;
    lookups(object(&operator, "ClusterRole", "uidmeter-prometheus")?)
}

/// The `DaemonSet`'s Pods have these capabilities and see these places of the node.
pub(super) fn daemon_set(set: &Value, capabilities: &[&str], host: &[&str]) -> Result<()> {
    let unavailable = &set["spec"]["updateStrategy"]["rollingUpdate"]["maxUnavailable"];
    ensure!(unavailable == 1, "a rollout takes {unavailable} nodes at a time");
    let pod = &set["spec"]["template"]["spec"];
    ensure!(pod["hostPID"] == true, "without hostPID, only tasks of the Pod are seen");
    ensure!(pod["hostNetwork"].is_null() && pod["hostIPC"].is_null(), "the Pod shares more with the node than PIDs");
    ensure!(pod["automountServiceAccountToken"] == false, "the Pod has a token of its service account");
    let tolerated = json!({"operator": "Exists", "effect": "NoSchedule"});
    let tolerations = pod["tolerations"].as_array().is_some_and(|all| all.contains(&tolerated));
    ensure!(tolerations, "nodes with a taint NoSchedule are left out");

    let container = &pod["containers"][0];
    let security = &container["securityContext"];
    for (name, wanted) in [("privileged", false), ("allowPrivilegeEscalation", false), ("readOnlyRootFilesystem", true)]
    {
        ensure!(security[name] == wanted, "securityContext.{name} is {}", security[name]);
    }
    ensure!(security["capabilities"]["drop"] == json!(["ALL"]), "not all other capabilities are dropped");
    let added: BTreeSet<&str> = words(&security["capabilities"]["add"]).collect();
    let wanted: BTreeSet<&str> = capabilities.iter().copied().collect();
    ensure!(added == wanted, "the capabilities are {added:?} instead of {wanted:?}");
    let copying = &pod["initContainers"][0]["securityContext"];
    ensure!(copying["runAsNonRoot"] == true, "the init container is root");
    ensure!(copying["capabilities"] == json!({"drop": ["ALL"]}), "the init container has capabilities");
    for (probe, path) in
        [("startupProbe", "/-/healthy"), ("livenessProbe", "/-/healthy"), ("readinessProbe", "/-/ready")]
    {
        let get = &container[probe]["httpGet"];
        ensure!(get["path"] == path && get["scheme"] == "HTTPS", "{probe} asks {get}");
    }
    ensure!(container["resources"]["limits"]["cpu"].is_null(), "a limit on CPU makes ticks late");

    let volumes = pod["volumes"].as_array().map_or(&[][..], Vec::as_slice);
    let seen: BTreeSet<&str> = volumes.iter().filter_map(|volume| volume["hostPath"]["path"].as_str()).collect();
    let wanted: BTreeSet<&str> = host.iter().copied().collect();
    ensure!(seen == wanted, "the Pod sees {seen:?} of the node instead of {wanted:?}");
    let writable: BTreeSet<&str> = container["volumeMounts"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|mount| mount["readOnly"] != true)
        .filter_map(|mount| mount["mountPath"].as_str())
        .collect();
    let limits = host.contains(&"/sys/fs/cgroup");
    let wanted: BTreeSet<&str> = if limits {
        // The bus is spoken to and never changed; /run/uidmeter is the Pod's own.
        HOST_FOR_LIMITS.into_iter().filter(|path| *path != "/run/dbus").chain(["/run/uidmeter"]).collect()
    } else {
        BTreeSet::new()
    };
    ensure!(writable == wanted, "the Pod may write {writable:?} instead of {wanted:?}");
    Ok(())
}

fn doors(policy: &Value) -> Result<()> {
    for (namespace, name, port, expected) in [
        ("monitoring", "prometheus", "metrics", true),
        ("monitoring", "prometheus-agent", "metrics", true),
        ("monitoring", "grafana", "metrics", false),
        ("default", "prometheus", "metrics", false),
        ("uidmeter", "uidmeter", "metrics", false),
        ("monitoring", "prometheus", "22", false),
    ] {
        let admitted = admits(policy, &Visitor::Pod(namespace, name), port)?;
        ensure!(admitted == expected, "admitting Pod {name} of {namespace} to {port} is {admitted}");
    }
    ensure!(!admits(policy, &Visitor::Address("192.0.2.1"), "metrics")?, "a stranger is admitted");
    ensure!(policy["spec"]["egress"] == json!([]), "uidmeter may open connections");
    Ok(())
}

/// Prometheus may look up everything that discovery of targets asks for, and may not change or read anything else.
pub(super) fn lookups(role: &Value) -> Result<()> {
    let rules = role["rules"].as_array().map_or(&[][..], Vec::as_slice);
    for (group, resource) in [
        ("", "pods"),
        ("", "services"),
        ("", "endpoints"),
        ("", "nodes"),
        ("", "namespaces"),
        ("discovery.k8s.io", "endpointslices"),
    ] {
        let granted: BTreeSet<&str> = rules
            .iter()
            .filter(|rule| words(&rule["apiGroups"]).any(|name| name == group))
            .filter(|rule| words(&rule["resources"]).any(|name| name == resource))
            .flat_map(|rule| words(&rule["verbs"]))
            .collect();
        ensure!(granted == BTreeSet::from(["get", "list", "watch"]), "Prometheus may {granted:?} {resource}");
    }
    let resources: usize = rules.iter().map(|rule| words(&rule["resources"]).count()).sum();
    ensure!(resources == 6, "the role grants more than looking up targets takes");
    Ok(())
}

fn words(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::lookups;

    #[test]
    fn a_role_without_endpointslices_is_not_enough() {
        // As a published guide has it.
        let role = json!({"rules": [{
            "apiGroups": [""], "resources": ["nodes", "services", "endpoints", "pods"], "verbs": ["get", "list", "watch"],
        }]});
        assert!(lookups(&role).is_err());
    }
}
