//! `packaging/network/segments.nft` on a router between five networks: each way of the matrix in `docs/NETWORK.md`, and each other.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use anyhow::{Context as _, Result, bail};

use super::super::super::kit::Kit;
use super::firewall::{listen, settles};
use super::stage::Stage;

/// Who is in each network, as the matrix calls them, and the address there; the router's is one less.
const NODES: [(&str, &str); 6] = [
    ("prometheus", "192.0.2.10"),
    ("alertmanager", "192.0.2.34"),
    ("alertmanager2", "192.0.2.38"),
    ("grafana", "192.0.2.66"),
    ("hosts", "198.51.100.6"),
    ("people", "203.0.113.6"),
];
const PORTS: [u16; 6] = [22, 3000, 9090, 9093, 9094, 9101];

pub(super) fn check(kit: &Kit<'_>) -> Result<()> {
    let expected = matrix(&std::fs::read_to_string(kit.project().root().join("docs/NETWORK.md"))?)?;
    let packages = ["nftables", "libnftables1", "libnftnl11", "nginx", "nginx-common"];
    let mut stage = Stage::new(kit, &packages, &[])?;
    // The namespace's own: that of the machine stays as it is.
    let mut script = String::from("echo 1 >/proc/sys/net/ipv4/ip_forward\n");
    for (name, address) in NODES {
        let (network, last) = address.rsplit_once('.').context("an address without a dot")?;
        let router = format!("{network}.{}", last.parse::<u8>()? - 1);
        writeln!(
            script,
            "ip netns add {name}
             ip link add {name} type veth peer name eth0 netns {name}
             ip address add {router}/30 dev {name}
             ip link set {name} up
             ip -n {name} link set lo up
             ip -n {name} address add {address}/30 dev eth0
             ip -n {name} link set eth0 up
             ip -n {name} route add default via {router}"
        )?;
    }
    stage.run(&script)?;
    for (name, _) in NODES {
        listen(&mut stage, name, &format!("ip netns exec {name}"), &PORTS)?;
    }
    let mut all = Vec::new();
    for (from, _) in NODES {
        for (to, _) in NODES.iter().filter(|(to, _)| *to != from) {
            all.extend(PORTS.map(|port| way(from, to, port)));
        }
    }
    settles(&stage, &all, &all.iter().cloned().collect()).context("without rules")?;
    stage.run("nft -f packaging/network/segments.nft")?;
    settles(&stage, &all, &expected)
}

fn way(from: &str, to: &str, port: u16) -> String {
    let address = NODES.iter().find(|(name, _)| *name == to).map_or("", |(_, address)| address);
    format!("{from} http://{address}:{port}/")
}

/// The ways that the document's table names, with the second Alertmanager wherever the first is.
fn matrix(document: &str) -> Result<BTreeSet<String>> {
    let mut ways = BTreeSet::new();
    for line in document.lines().filter(|line| line.ends_with("| segments.nft |")) {
        let cells: Vec<&str> = line.split('|').map(|cell| cell.trim().trim_matches('`')).collect();
        let (Some(from), Some(to), Some(port)) = (cells.get(1), cells.get(2), cells.get(3)) else {
            bail!("{line}: no from, to and port");
        };
        let port: u16 = port.parse().with_context(|| format!("{line}: no port"))?;
        let nodes = |wanted: &str| -> Vec<&str> {
            NODES.iter().map(|(name, _)| *name).filter(|name| name.trim_end_matches('2') == wanted).collect()
        };
        let (sources, goals) = (nodes(from), nodes(to));
        if sources.is_empty() || goals.is_empty() {
            bail!("{line}: nobody here is called {from:?} or {to:?}");
        }
        for source in &sources {
            ways.extend(goals.iter().filter(|goal| *goal != source).map(|goal| way(source, goal, port)));
        }
    }
    if ways.is_empty() {
        bail!("docs/NETWORK.md has no line for segments.nft");
    }
    Ok(ways)
}
