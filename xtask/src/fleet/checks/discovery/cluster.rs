//! Discovery by Kubernetes: as much of an API server as lists and watches take, with a Pod of uidmeter on loopback and others that must
//! not be found.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::super::super::kit::Kit;
use super::super::super::simulated::Host;
use super::stub::{Answer, Stub};
use super::{Place, adapt, found, newest, start};

/// The namespace of `packaging/kubernetes`.
const HOME: &str = "uidmeter";

pub(super) fn check(kit: &Kit<'_>) -> Result<()> {
    let host = Host::start(kit, 3, 1)?;
    let port = host.port()?;
    let stub = Stub::start(move |target| answer(target, port))?;
    let set = json!({"api_server": stub.url});
    let adapted = adapt(kit, &host, &Place { mechanism: "kubernetes", set, relabel: json!([]) })?;
    let role = adapted.first["role"].as_str().context("the file has no role")?;
    ensure!(["pod", "endpointslice", "endpoints"].contains(&role), "the role {role} finds no Pods");
    found(&start(kit, &newest()?, &adapted, "kubernetes")?, adapted.jobs())
}

/// What an API server says to a list or a watch; nothing changes.
fn answer(target: &str, port: u16) -> Answer {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    // Newer clients ask for the list as a part of the watch, and for both when they are refused, as by servers up to 1.26.
    if query.contains("sendInitialEvents=true") {
        let status =
            json!({"apiVersion": "v1", "kind": "Status", "status": "Failure", "reason": "Invalid", "code": 422});
        return Answer::Refused(status.to_string());
    }
    if query.split('&').any(|word| word == "watch=true" || word == "watch=1") {
        return Answer::Wait;
    }
    let mut parts = path.trim_start_matches("/apis/").trim_start_matches("/api/").split('/').peekable();
    let version: Vec<&str> =
        if path.starts_with("/apis/") { parts.by_ref().take(2).collect() } else { parts.by_ref().take(1).collect() };
    let namespace = parts.next_if_eq(&"namespaces").and_then(|_| parts.next());
    let Some(resource) = parts.next().or_else(|| path.ends_with("/namespaces").then_some("namespaces")) else {
        return Answer::Missing;
    };
    let Some((kind, items)) = items(resource, port) else { return Answer::Missing };
    let selected: Vec<Value> = items
        .into_iter()
        .filter(|item| namespace.is_none_or(|namespace| item["metadata"]["namespace"] == namespace))
        .filter(|item| fits(query, item))
        .collect();
    let list = json!({
        "apiVersion": version.join("/"), "kind": kind, "metadata": {"resourceVersion": "1"}, "items": selected,
    });
    Answer::Json(list.to_string())
}

/// Whether an object has the labels that the query's selector asks for.
fn fits(query: &str, item: &Value) -> bool {
    let selector = query.split('&').find_map(|word| word.strip_prefix("labelSelector=")).unwrap_or_default();
    let selector = selector.replace("%3D", "=").replace("%2C", ",").replace("%2F", "/");
    selector.split(',').filter(|one| !one.is_empty()).all(|one| {
        let (name, value) = one.split_once('=').unwrap_or((one, ""));
        item["metadata"]["labels"][name] == value.trim_start_matches('=')
    })
}

/// All objects of a resource: ours, one of the same namespace that is something else, and one of another namespace.
fn items(resource: &str, port: u16) -> Option<(&'static str, Vec<Value>)> {
    let all = [("uidmeter-abcde", HOME, "uidmeter"), ("other-abcde", HOME, "other"), ("web-abcde", "default", "web")];
    let ports = |number: u16| json!([{"name": "metrics", "port": number, "protocol": "TCP"}]);
    // Where the others would be found, nobody answers.
    let number = |name: &str| if name == "uidmeter" { port } else { 1 };
    let each =
        |make: &dyn Fn(&str, &str, &str) -> Value| all.iter().map(|(pod, home, name)| make(pod, home, name)).collect();
    let meta = |name: &str, home: &str, label: &str| {
        let mut labels = json!({"app.kubernetes.io/name": label});
        labels["kubernetes.io/service-name"] = label.into();
        json!({"name": name, "namespace": home, "uid": format!("{home}-{name}"), "resourceVersion": "1", "labels": labels})
    };
    let target = |pod: &str, home: &str| json!({"kind": "Pod", "name": pod, "namespace": home});
    match resource {
        "pods" => Some(("PodList", each(&|pod, home, name| {
            json!({
                "metadata": meta(pod, home, name),
                "spec": {"nodeName": "node-1", "containers": [{
                    "name": name, "image": name,
                    "ports": [{"name": "metrics", "containerPort": number(name), "protocol": "TCP"}],
                }]},
                "status": {
                    "phase": "Running", "podIP": "127.0.0.1", "hostIP": "127.0.0.1",
                    "podIPs": [{"ip": "127.0.0.1"}], "conditions": [{"type": "Ready", "status": "True"}],
                },
            })
        }))),
        "services" => Some(("ServiceList", each(&|_, home, name| {
            json!({"metadata": meta(name, home, name), "spec": {"clusterIP": "None", "ports": ports(number(name))}})
        }))),
        "endpoints" => Some(("EndpointsList", each(&|pod, home, name| {
            let address = json!([{"ip": "127.0.0.1", "nodeName": "node-1", "targetRef": target(pod, home)}]);
            json!({"metadata": meta(name, home, name), "subsets": [{"addresses": address, "ports": ports(number(name))}]})
        }))),
        "endpointslices" => Some(("EndpointSliceList", each(&|pod, home, name| {
            let endpoint = json!([{
                "addresses": ["127.0.0.1"], "conditions": {"ready": true}, "nodeName": "node-1",
                "targetRef": target(pod, home),
            }]);
            json!({
                "metadata": meta(&format!("{name}-1"), home, name), "addressType": "IPv4", "endpoints": endpoint,
                "ports": ports(number(name)),
            })
        }))),
        "nodes" => {
            let addresses = json!([{"type": "InternalIP", "address": "127.0.0.1"}]);
            let node = json!({"metadata": {"name": "node-1", "uid": "node-1", "resourceVersion": "1"}, "status": {"addresses": addresses}});
            Some(("NodeList", vec![node]))
        }
        "namespaces" => Some(("NamespaceList", [HOME, "default"].map(|name| {
            json!({"metadata": {"name": name, "uid": name, "resourceVersion": "1", "labels": {"kubernetes.io/metadata.name": name}}})
        }).to_vec())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Answer, answer};

    fn list(target: &str) -> Option<serde_json::Value> {
        match answer(target, 9) {
            Answer::Json(text) => serde_json::from_str(&text).ok(),
            Answer::Wait | Answer::Refused(_) | Answer::Missing => None,
        }
    }

    #[test]
    fn lists_are_of_one_namespace_and_of_the_labels_that_are_asked_for() {
        let count = |target| list(target).and_then(|list| Some(list["items"].as_array()?.len()));
        assert_eq!(count("/api/v1/pods"), Some(3));
        assert_eq!(count("/api/v1/namespaces/uidmeter/pods?limit=500"), Some(2));
        assert_eq!(
            count("/api/v1/namespaces/uidmeter/pods?labelSelector=app.kubernetes.io%2Fname%3Duidmeter"),
            Some(1)
        );
        assert_eq!(count("/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"), Some(1));
        assert_eq!(count("/api/v1/namespaces"), Some(2));
        assert_eq!(count("/api/v1/secrets"), None);
        assert!(matches!(answer("/api/v1/pods?watch=true", 9), Answer::Wait));
        assert!(matches!(answer("/api/v1/pods?sendInitialEvents=true&watch=true", 9), Answer::Refused(_)));
    }
}
