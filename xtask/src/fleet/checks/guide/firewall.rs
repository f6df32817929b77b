//! The firewall rules of `packaging/network` on a host with a bridge, on which two Prometheus servers and a stranger are.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use anyhow::{Context as _, Result, bail};

use super::super::super::kit::Kit;
use super::stage::Stage;
use crate::process::Unavailable;

/// What the rules take besides what a machine has; Debian's nginx is who listens.
const PACKAGES: &[&str] = &[
    "nftables",
    "libnftables1",
    "libnftnl11",
    "iptables",
    "libip4tc2",
    "libip6tc2",
    "libxtables12",
    "libnetfilter-conntrack3",
    "libnfnetlink0",
    "ufw",
    "nginx",
    "nginx-common",
];
const FIREWALLD: &[&str] = &["firewalld", "python3-firewall", "python3-nftables"];

/// The addresses of the host's end, and who is on the bridge.
const HOST: [&str; 2] = ["192.0.2.20", "[2001:db8::20]"];
const NEIGHBOURS: [(&str, &str); 3] = [("first", "10"), ("second", "11"), ("stranger", "66")];
const SERVERS: &str = "192.0.2.10 192.0.2.11 2001:db8::10 2001:db8::11";

/// The names that the package gives iptables when it is installed.
pub(super) const IPTABLES: &str = "
    for family in '' 6; do
        for program in iptables iptables-restore iptables-save; do
            ln -sf ip${family}tables-nft${program#iptables} /usr/sbin/ip${family}tables${program#iptables}
        done
    done
";

/// nftables, iptables and ufw, each by itself and then once more, since rules are changed by running them again.
pub(super) fn check(kit: &Kit<'_>) -> Result<()> {
    let stage = host(kit, PACKAGES)?;
    open_to_all(&stage, 9101).context("before there are rules")?;
    for (name, command) in [
        ("nftables", "nft -f packaging/network/host.nft".to_owned()),
        ("iptables", format!("packaging/network/iptables.sh {SERVERS}")),
        ("ufw", format!("packaging/network/ufw.sh {SERVERS}")),
    ] {
        if name == "ufw" {
            ready_ufw(&stage)?;
        }
        let mut rules = Vec::new();
        for _ in 0..2 {
            stage.run(&command).with_context(|| format!("{name} refuses its rules"))?;
            admits_servers_only(&stage).with_context(|| name.to_owned())?;
            rules.push(without_counts(&stage.run("nft list ruleset")?));
        }
        if rules.first() != rules.last() {
            bail!("{name}: rules that are loaded twice are not the same as once");
        }
        if name != "ufw" {
            open_to_all(&stage, 9090).with_context(|| format!("{name} closes a port that is none of its own"))?;
        }
        stage.run("nft flush ruleset")?;
    }
    Ok(())
}

/// firewalld as a service that runs: what guides usually show, then the script, which takes that back.
pub(super) fn check_firewalld(kit: &Kit<'_>) -> Result<()> {
    let packages: Vec<&'static str> = PACKAGES.iter().chain(FIREWALLD).copied().collect();
    let mut stage = host(kit, &packages)?;
    if stage.run("command -v dbus-daemon && /usr/bin/python3 -c 'import dbus, gi'").is_err() {
        bail!(Unavailable("firewalld takes dbus-daemon, python3-dbus and python3-gi".to_owned()));
    }
    stage.run("mkdir -p /run/dbus")?;
    stage.start("dbus", "dbus-daemon --system --nofork --nopidfile", "test -S /run/dbus/system_bus_socket")?;
    stage.run("firewall-offline-cmd --zone=public --add-port=9101/tcp")?;
    let ready = "nft list ruleset | grep 'dport 9101'";
    stage.start("firewalld", "firewalld --nofork --nopid", ready)?;
    open_to_all(&stage, 9101).context("--add-port is no longer what firewalld.sh warns of")?;
    stage.stop("firewalld");
    stage.run("nft flush ruleset")?;
    for _ in 0..2 {
        stage.run(&format!("packaging/network/firewalld.sh public {SERVERS}"))?;
    }
    stage.start("firewalld", "firewalld --nofork --nopid", ready)?;
    admits_servers_only(&stage)
}

/// A host with somebody who listens on 9101 and 9090, and its neighbours.
fn host(kit: &Kit<'_>, packages: &[&'static str]) -> Result<Stage> {
    let mut stage = Stage::new(kit, packages, &[])?;
    stage.run(IPTABLES)?;
    let mut script = String::from(
        "ip link add bridge0 type bridge
         ip address add 192.0.2.20/24 dev bridge0
         ip address add 2001:db8::20/64 dev bridge0 nodad
         ip link set bridge0 up\n",
    );
    for (name, number) in NEIGHBOURS {
        writeln!(
            script,
            "ip netns add {name}
             ip link add port{number} type veth peer name eth0 netns {name}
             ip link set port{number} master bridge0 up
             ip -n {name} address add 192.0.2.{number}/24 dev eth0
             ip -n {name} address add 2001:db8::{number}/64 dev eth0 nodad
             ip -n {name} link set eth0 up"
        )?;
    }
    stage.run(&script)?;
    listen(&mut stage, "nginx", "", &[9101, 9090])?;
    Ok(stage)
}

/// Starts nginx with an answer on each port, after `prefix`.
///
/// # Errors
/// As [`Stage::start`].
pub(super) fn listen(stage: &mut Stage, name: &str, prefix: &str, ports: &[u16]) -> Result<()> {
    let listen: Vec<String> = ports.iter().map(|port| format!("listen {port}; listen [::]:{port};")).collect();
    let listen = listen.join(" ");
    let file = stage.folder().join(format!("{name}.conf"));
    let text = format!(
        "daemon off; pid /run/{name}.pid; error_log stderr; events {{}}\n\
         http {{ access_log off; server {{ {listen} return 200; }} }}\n"
    );
    std::fs::write(&file, text)?;
    let first = ports.first().copied().unwrap_or_default();
    let ready = format!("{prefix} curl -s --max-time 1 http://127.0.0.1:{first}/");
    stage.run("mkdir -p /var/log/nginx /var/lib/nginx")?;
    stage.start(name, &format!("{prefix} nginx -c {}", file.display()), &ready)
}

/// As the package does when it is installed, but for the sysctls, which stay as they are.
fn ready_ufw(stage: &Stage) -> Result<()> {
    stage.run(
        "cp -n /usr/share/ufw/ufw.conf /etc/ufw/
         cp -n /usr/share/ufw/iptables/*.rules /etc/ufw/
         sed -i 's/^IPT_SYSCTL=.*/IPT_SYSCTL=/' /etc/default/ufw
         ufw --force enable
         ufw allow 9101/tcp",
    )?;
    Ok(())
}

fn admits_servers_only(stage: &Stage) -> Result<()> {
    let servers = NEIGHBOURS.iter().filter(|(who, _)| *who != "stranger");
    open_are(stage, 9101, &servers.flat_map(|(who, _)| both(who, 9101)).collect())?;
    stage.run("curl -s --max-time 5 http://127.0.0.1:9101/").context("the host itself is shut out")?;
    Ok(())
}

fn open_to_all(stage: &Stage, port: u16) -> Result<()> {
    open_are(stage, port, &NEIGHBOURS.iter().flat_map(|(who, _)| both(who, port)).collect())
}

/// The ways of `who` to the host.
fn both(who: &str, port: u16) -> impl Iterator<Item = String> {
    HOST.iter().map(move |address| format!("{who} http://{address}:{port}/"))
}

/// That `port` of the host answers on the `expected` ways and no others.
fn open_are(stage: &Stage, port: u16, expected: &BTreeSet<String>) -> Result<()> {
    let all: Vec<String> = NEIGHBOURS.iter().flat_map(|(who, _)| both(who, port)).collect();
    settles(stage, &all, expected)
}

/// That of `all` ways, each `WHO URL`, the `expected` ones are open and no others. What is closed may be late on a busy machine and
/// is tried again; what is open but should not be never is.
///
/// # Errors
/// Others are open.
pub(super) fn settles(stage: &Stage, all: &[String], expected: &BTreeSet<String>) -> Result<()> {
    let mut from: BTreeMap<&str, String> = BTreeMap::new();
    for (who, url) in all.iter().filter_map(|way| way.split_once(' ')) {
        write!(from.entry(who).or_default(), " {url}")?;
    }
    let mut script = String::new();
    for (who, urls) in from {
        let curl = "curl --parallel --parallel-immediate --parallel-max 100 --globoff --silent --max-time 2";
        writeln!(
            script,
            "{{ ip netns exec {who} {curl} -w '%{{http_code}} {who} %{{url}}\\n' {urls} || true; }} | sed -n 's/^200 //p' &"
        )?;
    }
    script += "wait";
    let mut missing = Vec::new();
    for _ in 0..5 {
        let found: BTreeSet<String> = stage.run(&script)?.lines().map(str::to_owned).collect();
        let open: Vec<_> = found.difference(expected).collect();
        if !open.is_empty() {
            bail!("open, and should be closed: {open:?}");
        }
        missing = expected.difference(&found).cloned().collect();
        if missing.is_empty() {
            return Ok(());
        }
    }
    bail!("closed, and should be open: {missing:?}")
}

/// Rules without what packets have changed in them.
fn without_counts(rules: &str) -> String {
    let words: Vec<&str> = rules.split_whitespace().filter(|word| word.parse::<u64>().is_err()).collect();
    words.join(" ")
}
