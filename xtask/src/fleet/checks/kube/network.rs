//! Whom a `NetworkPolicy` admits, as Kubernetes judges (`networking.k8s.io/v1`): for the kinds of peers that ours have.

use std::net::IpAddr;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

/// Who knocks.
pub(super) enum Visitor<'a> {
    /// A Pod of this cluster: its namespace, and its label `app.kubernetes.io/name`.
    Pod(&'a str, &'a str),
    /// Somebody outside of the cluster.
    Address(&'a str),
}

const NAMESPACE_LABEL: &str = "kubernetes.io/metadata.name";
const NAME_LABEL: &str = "app.kubernetes.io/name";

/// Whether `policy` lets a visitor reach `port`, a number or a name as it stands in the policy.
///
/// # Errors
/// The policy has something that is not understood here.
pub(super) fn admits(policy: &Value, visitor: &Visitor<'_>, port: &str) -> Result<bool> {
    let home = policy["metadata"]["namespace"].as_str().context("the policy has no namespace")?;
    let rules = policy["spec"]["ingress"].as_array().context("the policy has no ingress")?;
    for rule in rules {
        let ports = rule["ports"].as_array().map_or(&[][..], Vec::as_slice);
        let named =
            |entry: &Value| entry["port"] == port || port.parse::<u16>().is_ok_and(|port| entry["port"] == port);
        if !ports.is_empty() && !ports.iter().any(named) {
            continue;
        }
        let peers = rule["from"].as_array().map_or(&[][..], Vec::as_slice);
        // Without `from`, everybody.
        let mut fits = peers.is_empty();
        for peer in peers {
            fits |= is_peer(peer, visitor, home)?;
        }
        if fits {
            return Ok(true);
        }
    }
    Ok(false)
}

fn is_peer(peer: &Value, visitor: &Visitor<'_>, home: &str) -> Result<bool> {
    match visitor {
        Visitor::Address(address) => {
            let Some(range) = peer["ipBlock"]["cidr"].as_str() else { return Ok(false) };
            if peer["ipBlock"].get("except").is_some() {
                bail!("ipBlock.except is not understood here");
            }
            within(range, address.parse()?)
        }
        Visitor::Pod(namespace, name) => {
            if peer.get("ipBlock").is_some() {
                return Ok(false);
            }
            let there = match peer.get("namespaceSelector") {
                None => *namespace == home,
                Some(selector) => selects(selector, NAMESPACE_LABEL, namespace)?,
            };
            let it = peer.get("podSelector").map_or(Ok(true), |selector| selects(selector, NAME_LABEL, name))?;
            Ok(there && it)
        }
    }
}

/// Whether a selector selects what has one label alone.
fn selects(selector: &Value, label: &str, value: &str) -> Result<bool> {
    let labels = selector["matchLabels"].as_object();
    let all = labels.into_iter().flatten().all(|(name, wanted)| name == label && wanted == value);
    let mut fits = all;
    for expression in selector["matchExpressions"].as_array().into_iter().flatten() {
        if expression["operator"] != "In" {
            bail!("the operator {} is not understood here", expression["operator"]);
        }
        let values = expression["values"].as_array().context("an expression without values")?;
        fits &= expression["key"] == label && values.iter().any(|wanted| wanted == value);
    }
    Ok(fits)
}

/// Whether `address` lies in `range`, as `192.0.2.0/24`.
fn within(range: &str, address: IpAddr) -> Result<bool> {
    let (net, length) = range.split_once('/').context("a range without a length")?;
    let (net, length): (IpAddr, u32) = (net.parse()?, length.parse()?);
    let (net, address, width) = match (net, address) {
        (IpAddr::V4(net), IpAddr::V4(address)) => (u128::from(u32::from(net)), u128::from(u32::from(address)), 32),
        (IpAddr::V6(net), IpAddr::V6(address)) => (u128::from(net), u128::from(address), 128),
        _ => return Ok(false),
    };
    if length > width {
        bail!("{range} is no range");
    }
    let shift = width - length;
    Ok(net.checked_shr(shift).unwrap_or(0) == address.checked_shr(shift).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Visitor, admits};

    #[test]
    fn a_selector_of_namespaces_admits_nobody_from_outside() {
        // As a published guide has it for the hub: no agent of another cluster comes in.
        let policy = json!({"metadata": {"namespace": "monitoring"}, "spec": {"ingress": [{
            "from": [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}],
            "ports": [{"protocol": "TCP", "port": 9090}],
        }]}});
        for visitor in [Visitor::Address("192.0.2.7"), Visitor::Pod("monitoring", "prometheus")] {
            assert_eq!(admits(&policy, &visitor, "9090").ok(), Some(false));
        }
    }

    #[test]
    fn a_range_and_a_port_admit_what_lies_in_both() {
        let policy = json!({"metadata": {"namespace": "monitoring"}, "spec": {"ingress": [{
            "from": [{"ipBlock": {"cidr": "192.0.2.0/24"}}, {"ipBlock": {"cidr": "2001:db8::/32"}}],
            "ports": [{"port": "https"}],
        }]}});
        for (address, port, expected) in [
            ("192.0.2.255", "https", true),
            ("192.0.3.0", "https", false),
            ("2001:db8:ffff::1", "https", true),
            ("2001:db9::1", "https", false),
            ("192.0.2.1", "9090", false),
        ] {
            assert_eq!(admits(&policy, &Visitor::Address(address), port).ok(), Some(expected), "{address} {port}");
        }
    }

    #[test]
    fn namespace_and_name_must_both_fit() {
        let policy = json!({"metadata": {"namespace": "uidmeter"}, "spec": {"ingress": [{"from": [{
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}},
            "podSelector": {"matchExpressions":
                [{"key": "app.kubernetes.io/name", "operator": "In", "values": ["prometheus"]}]},
        }]}]}});
        let admitted = |namespace, name| admits(&policy, &Visitor::Pod(namespace, name), "metrics").ok();
        assert_eq!(admitted("monitoring", "prometheus"), Some(true));
        assert_eq!(admitted("monitoring", "grafana"), Some(false));
        assert_eq!(admitted("uidmeter", "prometheus"), Some(false));
    }
}
