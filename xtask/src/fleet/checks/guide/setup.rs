//! `packaging/scripts/setup-prometheus`: its configurations in a real Prometheus, twice over the same hosts.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::super::super::kit::{Kit, debian};
use super::super::super::server::{Server, get};
use super::super::super::simulated::Host;
use super::site::{PROMETHEUS, PROMTOOL};
use crate::process;

const PATIENCE: Duration = Duration::from_secs(30);

pub(super) fn check(kit: &Kit<'_>) -> Result<()> {
    let folder = tempfile::tempdir_in(kit.scratch())?;
    let folder = folder.path();
    let promtool = debian(PROMTOOL, "usr/bin/promtool")?;
    // What a credential's file has is not for promtool; that it is there, is.
    for name in ["ca.crt", "client.crt", "client.key", "password", "token", "rules.yml"] {
        fs::copy(kit.packaging("README.md"), folder.join(name))?;
    }
    fs::write(folder.join("rules.yml"), "groups: []\n")?;
    let set_up = |words: &[&str]| {
        let path = promtool.parent().unwrap_or(Path::new("/")).display().to_string();
        let mut command = Command::new(kit.packaging("scripts/setup-prometheus"));
        command.env("PATH", format!("{path}:/usr/bin:/bin")).current_dir(folder).args(words);
        command
    };
    twice(kit, folder, &set_up)?;
    whole(folder, &set_up)?;
    refusals(folder, &set_up)
}

/// Two Prometheus with one replica's name each: the same series in both, told apart by what leaves them.
fn twice(kit: &Kit<'_>, folder: &Path, set_up: &dyn Fn(&[&str]) -> Command) -> Result<()> {
    let hosts = [Host::start(kit, 3, 1)?, Host::start(kit, 5, 2)?];
    let list = format!("# two hosts\n{} # the first\n\n{}\n", hosts[0].address, hosts[1].address);
    fs::write(folder.join("hosts"), list)?;
    let program = debian(PROMETHEUS, "usr/bin/prometheus")?;
    let mut servers = Vec::new();
    for replica in ["a", "b"] {
        let common =
            ["--site", "ams", "--hosts", "hosts", "--interval", "1", "--replica", replica, "--output", replica];
        process::capture(&mut set_up(&common))?;
        let place = folder.join(replica);
        servers.push(Server::prometheus(&program, &place.join("prometheus.yml"), &place.join("tsdb"), &[])?);
    }
    let mut seen = Vec::new();
    for (server, replica) in servers.iter().zip(["a", "b"]) {
        server.wait_for("count(up{job=\"uidmeter\"} == 1) == 2", PATIENCE)?;
        let labels = server.query("{job=\"uidmeter\",environment=\"production\"}")?;
        seen.push(labels.iter().map(|series| series["metric"].to_string()).collect::<BTreeSet<_>>());
        let leaving = get(&format!("{}/federate?match[]=up", server.url))?;
        ensure!(
            leaving.contains(&format!("replica=\"{replica}\"")) && leaving.contains("site=\"ams\""),
            "what leaves replica {replica} does not say so: {leaving}"
        );
    }
    let (first, second) = (seen.first().context("no series")?, seen.last().context("no series")?);
    ensure!(first.len() > 200, "only {} series were scraped", first.len());
    let different: Vec<_> = first.symmetric_difference(second).take(5).collect();
    ensure!(different.is_empty(), "the two do not have the same series, such as {different:?}");
    Ok(())
}

/// With everything that can be said. promtool, which the script calls, reads every file that is named.
fn whole(folder: &Path, set_up: &dyn Fn(&[&str]) -> Command) -> Result<()> {
    fs::write(folder.join("hosts"), "host1.example.com\n192.0.2.20:9102\n[2001:db8::20]\n[2001:db8::21]:9102\n")?;
    let file = |name: &str| folder.join(name).display().to_string();
    let (ca, certificate, key) = (file("ca.crt"), file("client.crt"), file("client.key"));
    let (password, rules) = (file("password"), file("rules*.yml"));
    let first =
        ["--site", "ams", "--hosts", "hosts", "--output", "whole", "--environment", "staging", "--replica", "a"];
    let tls = [
        "--ca",
        &ca,
        "--certificate",
        &certificate,
        "--key",
        &key,
        "--user",
        "prometheus",
        "--password-file",
        &password,
    ];
    let rest = ["--alertmanager", "am1.example.com:9093", "--alertmanager", "[2001:db8::34]:9093", "--rules", &rules];
    process::capture(&mut set_up(&[first.as_slice(), &tls, &rest].concat()))?;
    let written = fs::read_to_string(folder.join("whole/prometheus.yml"))?;
    for expected in [
        "action: labeldrop\n      regex: replica",
        "\"[2001:db8::34]:9093\"",
        "password_file:",
        "cert_file:",
        "scheme: https",
    ] {
        ensure!(written.contains(expected), "the configuration lacks {expected:?}:\n{written}");
    }
    let targets: serde_json::Value = serde_json::from_slice(&fs::read(folder.join("whole/targets/uidmeter.json"))?)?;
    let expected = ["host1.example.com:9101", "192.0.2.20:9102", "[2001:db8::20]:9101", "[2001:db8::21]:9102"];
    ensure!(targets[0]["targets"] == serde_json::json!(expected), "the targets are {targets}");
    Ok(())
}

/// What must not get into a configuration, and that what was there stays.
fn refusals(folder: &Path, set_up: &dyn Fn(&[&str]) -> Command) -> Result<()> {
    let before = fs::read(folder.join("whole/prometheus.yml"))?;
    let common = ["--hosts", "hosts", "--output", "whole"];
    for wrong in [
        ["--site", "x\"\n    also: \"y"].as_slice(),
        &["--site", "ams", "--token-file", "/etc/prometheus/token"],
        &["--site", "ams", "--ca", "etc/ca.crt"],
        &["--site", "ams", "--ca", "/does/not/exist"],
        &["--site", "ams", "--user", "prometheus", "--ca", "/etc/ca.crt"],
        &["--site", "ams", "--interval", "30s"],
        &["--site", "ams", "--alertmanager", "am.example.com"],
        &["--site", "ams", "--alertmanager", "am:9093\"]"],
        &["--site", "ams", "--unknown", "x"],
    ] {
        let output = set_up(&[wrong, &common].concat()).output()?;
        ensure!(!output.status.success() && !output.stderr.is_empty(), "{wrong:?} is accepted");
    }
    for hosts in
        ["", "# nobody\n", "host with spaces:x\n", "2001:db8::20\n", "host:\n", "host:99999999\n", "x\",\"y\n", "-x\n"]
    {
        fs::write(folder.join("hosts"), hosts)?;
        let output = set_up(&[["--site", "ams"].as_slice(), &common].concat()).output()?;
        ensure!(!output.status.success(), "a list of hosts with {hosts:?} is accepted");
    }
    ensure!(
        fs::read(folder.join("whole/prometheus.yml"))? == before,
        "a refused configuration has replaced a good one"
    );
    let left: Vec<_> = fs::read_dir(folder.join("whole"))?.filter_map(|entry| Some(entry.ok()?.file_name())).collect();
    ensure!(left.len() == 2, "files were left behind: {left:?}");
    Ok(())
}
