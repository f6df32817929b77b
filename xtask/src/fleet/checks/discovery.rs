//! Service discovery: with each mechanism, a real Prometheus finds a simulated host by the file in `packaging/prometheus/discovery`, and
//! nothing else that the mechanism knows of.

mod cluster;
mod registries;
mod stub;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;
use serde_json::{Value, json};

use self::stub::{Answer, Stub};
use super::super::kit::{Kit, debian};
use super::super::python::Python;
use super::super::server::{Server, get};
use super::super::simulated::Host;
use super::Check;
use crate::packages::Wanted;
use crate::process;

pub(super) const CHECKS: &[Check] = &[
    Check { name: "discovery-static", tells: "a listed host is found and scraped", run: listed },
    Check {
        name: "discovery-file",
        tells: "a host in a file of targets is found, and so is one that is added later",
        run: file,
    },
    Check { name: "discovery-http", tells: "a host that a web server lists is found", run: http },
    Check {
        name: "discovery-dns",
        tells: "a host of an SRV record that a real dnsmasq serves is found",
        run: registries::dns,
    },
    Check {
        name: "discovery-consul",
        tells: "a host that is registered with a real Consul is found, and another service is not",
        run: registries::consul,
    },
    Check {
        name: "discovery-ec2",
        tells: "an instance with the right tags is found in a cloud with EC2's interface, and another is not",
        run: registries::ec2,
    },
    Check {
        name: "discovery-kubernetes",
        tells: "a Pod of uidmeter is found through a Kubernetes API, and others are not",
        run: cluster::check,
    },
    Check {
        name: "discovery-azure",
        tells: "promtool accepts discovery by Azure, of which no server is to be had",
        run: azure,
    },
];

const ADAPT: &str = include_str!("discovery/adapt.py");
const PATIENCE: Duration = Duration::from_secs(30);

/// What is particular to this machine in a file of `packaging/prometheus/discovery`.
struct Place<'a> {
    /// The file, without `.yml`.
    mechanism: &'a str,
    /// Fields of the mechanism.
    set: Value,
    /// Rules that come last.
    relabel: Value,
}

/// What the file becomes.
#[derive(Deserialize)]
struct Adapted {
    config: Value,
    /// The first mechanism of the file as it stands there, but for the port.
    first: Value,
}

impl Adapted {
    fn jobs(&self) -> usize {
        self.config["scrape_configs"].as_array().map_or(0, Vec::len)
    }
}

fn adapt(kit: &Kit<'_>, host: &Host, place: &Place<'_>) -> Result<Adapted> {
    let key =
        if place.mechanism == "static" { "static_configs".into() } else { format!("{}_sd_configs", place.mechanism) };
    let order = json!({
        "file": kit.packaging(&format!("prometheus/discovery/{}.yml", place.mechanism)),
        "key": key,
        "port": host.port()?.to_string(),
        "set": place.set,
        "relabel": place.relabel,
    });
    let mut command = Python::prepare()?.script(ADAPT);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    child.stdin.take().context("no standard input")?.write_all(order.to_string().as_bytes())?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("packaging/prometheus/discovery/{}.yml cannot be adapted to this machine", place.mechanism);
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Starts a Prometheus with the file, in a folder of its own.
fn start(kit: &Kit<'_>, program: &Path, adapted: &Adapted, name: &str) -> Result<Server> {
    let folder = kit.scratch().join(format!("discovery-{name}"));
    fs::create_dir_all(&folder)?;
    let file = folder.join("prometheus.yml");
    // YAML has JSON in it.
    fs::write(&file, adapted.config.to_string())?;
    Server::prometheus(program, &file, &folder, &[])
}

/// Each job of the file has found the host, has scraped figures of users, and has found nothing else.
fn found(server: &Server, jobs: usize) -> Result<()> {
    ensure!(jobs > 0, "the file has no job");
    server.wait_for(&format!("count(count by (job) (up == 1)) == {jobs}"), PATIENCE)?;
    server.wait_for(&format!("count(count by (job) (uidmeter_cpu_seconds_total)) == {jobs}"), PATIENCE)?;
    // Those that have not been scraped yet count, too.
    let answer: Value = serde_json::from_str(&get(&format!("{}/api/v1/targets?state=active", server.url))?)?;
    let targets = answer["data"]["activeTargets"].as_array().map_or(&[][..], Vec::as_slice);
    let addresses: Vec<&Value> = targets.iter().map(|target| &target["scrapeUrl"]).collect();
    ensure!(addresses.len() == jobs, "{jobs} jobs have found more than the host: {addresses:?}");
    Ok(())
}

fn newest() -> Result<PathBuf> {
    debian(Wanted { suite: "sid", pattern: "prometheus" }, "usr/bin/prometheus")
}

fn listed(kit: &Kit<'_>) -> Result<()> {
    let host = Host::start(kit, 3, 1)?;
    let place = Place { mechanism: "static", set: json!({"targets": [host.address]}), relabel: json!([]) };
    let mut adapted = adapt(kit, &host, &place)?;
    // A job may list its hosts in several groups, which are one host here.
    for job in adapted.config["scrape_configs"].as_array_mut().into_iter().flatten() {
        if let Some(groups) = job["static_configs"].as_array_mut() {
            groups.truncate(1);
        }
    }
    found(&start(kit, &newest()?, &adapted, "static")?, adapted.jobs())
}

fn file(kit: &Kit<'_>) -> Result<()> {
    let host = Host::start(kit, 3, 1)?;
    let targets = kit.scratch().join("targets");
    fs::create_dir_all(&targets)?;
    let set = json!({"files": [targets.join("*.json")]});
    let adapted = adapt(kit, &host, &Place { mechanism: "file", set, relabel: json!([]) })?;
    let write = |name: &str, address: &str| -> Result<()> {
        let list = json!([{"targets": [address], "labels": {"rack": name}}]);
        let new = targets.join(format!("{name}.new"));
        fs::write(&new, list.to_string())?;
        Ok(fs::rename(new, targets.join(format!("{name}.json")))?)
    };
    write("first", &host.address)?;
    let server = start(kit, &newest()?, &adapted, "file")?;
    found(&server, adapted.jobs())?;
    // Found without a reload.
    let second = Host::start(kit, 3, 2)?;
    write("second", &second.address)?;
    let both = format!("count(up{{rack=\"second\"}} == 1) == {}", adapted.jobs());
    server.wait_for(&both, PATIENCE).map(|_| ())
}

fn http(kit: &Kit<'_>) -> Result<()> {
    let host = Host::start(kit, 3, 1)?;
    let list = json!([{"targets": [host.address], "labels": {"rack": "one"}}]).to_string();
    let stub = Stub::start(move |_| Answer::Json(list.clone()))?;
    let set = json!({"url": format!("{}/targets", stub.url), "refresh_interval": "5s"});
    let adapted = adapt(kit, &host, &Place { mechanism: "http", set, relabel: json!([]) })?;
    let server = start(kit, &newest()?, &adapted, "http")?;
    found(&server, adapted.jobs())?;
    server.wait_for("up{rack=\"one\"}", PATIENCE).map(|_| ())
}

/// Debian's later builds leave Azure out; that of bookworm reads its part of the configuration.
fn azure(kit: &Kit<'_>) -> Result<()> {
    let promtool = debian(Wanted { suite: "bookworm", pattern: "prometheus" }, "usr/bin/promtool")?;
    let folder = kit.scratch().join("azure");
    fs::create_dir_all(&folder)?;
    let file = folder.join("azure.yml");
    let text = fs::read_to_string(kit.packaging("prometheus/discovery/azure.yml"))?;
    fs::write(&file, &text)?;
    let check = |file: &Path| {
        process::capture(Command::new(&promtool).args(["check", "config", "--syntax-only"]).arg(file)).map(|_| ())
    };
    check(&file)?;
    ensure!(text.contains("subscription_id"), "the file names no subscription");
    fs::write(&file, text.replace("subscription_id", "subscription"))?;
    ensure!(check(&file).is_err(), "a wrong name of a field passes");
    Ok(())
}
