//! The hub and two clusters, alive: agents configured as the operator does from their objects, the gateway's own nginx.conf, and a hub
//! that is away for a while.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Map, Value, json};

use super::super::super::kit::{Kit, debian};
use super::super::super::python::Python;
use super::super::super::server::{Server, free_port};
use super::super::super::simulated::Host;
use super::hub::certificates;
use super::{build, documents, object};
use crate::packages::Wanted;
use crate::process;

/// How often the agents scrape; shorter than in the files, for the sake of whoever waits.
const INTERVAL: Duration = Duration::from_secs(1);
/// How long the hub is away.
const AWAY: Duration = Duration::from_secs(12);
const PATIENCE: Duration = Duration::from_secs(40);
const CLUSTERS: [&str; 2] = ["production", "staging"];

pub(super) fn check(kit: &Kit<'_>) -> Result<()> {
    let python = Python::prepare()?;
    let program = debian(Wanted { suite: "sid", pattern: "prometheus" }, "usr/bin/prometheus")?;
    let folder = kit.scratch().join("live");
    certificates(&folder)?;
    let hub = Hub { program: program.clone(), folder: folder.clone(), port: free_port()?, stopped: false };
    let (mut server, hub) = hub.start()?;
    let (gateway, port) = gateway(kit, &folder, hub.port)?;
    probe(&folder, port)?;

    let mut running = Vec::new();
    for (seed, cluster) in (1..).zip(CLUSTERS) {
        let host = Host::start(kit, 5, seed)?;
        let built = build(kit, &kit.packaging("hub-spoke/clusters").join(cluster), &format!("live-{cluster}"))?;
        let objects = documents(&python, &built)?;
        let config = configuration(object(&objects, "PrometheusAgent", "uidmeter")?, &folder, port, &host.address)?;
        let file = folder.join(format!("{cluster}.yml"));
        // YAML has JSON in it.
        fs::write(&file, config.to_string())?;
        let data = folder.join(cluster);
        let storage = format!("--storage.agent.path={}", data.join("wal").display());
        running.push((host, Server::prometheus(&program, &file, &data, &["--agent", &storage])?));
    }
    for cluster in CLUSTERS {
        server.wait_for(
            &format!("up{{cluster=\"{cluster}\", environment=\"{cluster}\", job=\"uidmeter\"}} == 1"),
            PATIENCE,
        )?;
    }
    // A question over all clusters, and one that finds those that are missing.
    let seen = server.wait_for("count by (cluster) (uidmeter_cpu_seconds_total)", PATIENCE)?;
    ensure!(seen.len() == CLUSTERS.len(), "figures of {} clusters have arrived", seen.len());
    ensure!(server.query("count({__name__=~\"go_.*\"})")?.is_empty(), "the agents send what writeRelabelConfigs drop");

    drop(server);
    thread::sleep(AWAY);
    let stopped = Hub { stopped: true, ..hub };
    let (back, _hub) = stopped.start()?;
    server = back;
    // Once the agents have caught up, no scrape of the last half minute is missing: at most two seconds lie between two samples.
    let window = AWAY + Duration::from_secs(10);
    let wanted = window.as_secs() - 2;
    for cluster in CLUSTERS {
        let whole = format!(
            "count_over_time(up{{cluster=\"{cluster}\", job=\"uidmeter\"}}[{}s]) >= {wanted}",
            window.as_secs()
        );
        server.wait_for(&whole, PATIENCE).with_context(|| format!("{cluster} has a gap"))?;
    }
    // Whether sending goes well is told by those who send; the hub knows nothing of it.
    for (_, agent) in &running {
        ensure!(
            get_metric(agent, "prometheus_remote_storage_samples_failed_total")? == 0.0,
            "an agent has lost samples"
        );
        ensure!(get_metric(agent, "prometheus_remote_storage_samples_retried_total")? > 0.0, "the hub was never away");
    }
    let hubs = super::super::super::server::get(&format!("{}/metrics", server.url))?;
    ensure!(!hubs.contains("\nprometheus_remote_storage_samples_total{"), "the hub claims to send");
    drop(gateway);
    Ok(())
}

/// A hub that can be started again with what it has stored.
struct Hub {
    program: PathBuf,
    folder: PathBuf,
    port: u16,
    stopped: bool,
}

impl Hub {
    fn start(self) -> Result<(Server, Self)> {
        let config = self.folder.join("hub.yml");
        fs::write(
            &config,
            "global: {external_labels: {cluster: hub}}\nstorage: {tsdb: {out_of_order_time_window: 2h}}\n",
        )?;
        let mut command = Command::new(&self.program);
        command.arg(format!("--config.file={}", config.display()));
        command.arg(format!("--web.listen-address=127.0.0.1:{}", self.port));
        command.arg(format!("--storage.tsdb.path={}", self.folder.join("hub").display()));
        command.arg("--web.enable-remote-write-receiver");
        let log = self.folder.join(if self.stopped { "hub-again.log" } else { "hub.log" });
        Ok((Server::start(&mut command, self.port, "/-/ready", &log)?, self))
    }
}

/// nginx with the hub's own file, in which only addresses and folders are changed.
fn gateway(kit: &Kit<'_>, folder: &Path, hub: u16) -> Result<(Server, u16)> {
    let nginx = debian(Wanted { suite: "bookworm", pattern: "nginx" }, "usr/sbin/nginx")?;
    let (port, health) = (free_port()?, free_port()?);
    let mut text = fs::read_to_string(kit.packaging("hub-spoke/hub/nginx.conf"))?;
    let here = folder.display().to_string();
    for (theirs, ours) in [
        ("listen 8443 ssl;", format!("listen 127.0.0.1:{port} ssl;")),
        ("listen 8080;", format!("listen 127.0.0.1:{health};")),
        // Before the next: the folder here may lie in /tmp itself.
        ("/tmp/", format!("{here}/")),
        ("/etc/gateway/tls", here.clone()),
        ("http://hub-prometheus:9090", format!("http://127.0.0.1:{hub}")),
    ] {
        ensure!(text.contains(theirs), "nginx.conf no longer has {theirs:?}");
        text = text.replace(theirs, &ours);
    }
    let file = folder.join("nginx.conf");
    fs::write(&file, text)?;
    let mut command = Command::new(nginx);
    // Its helpers run as the user who starts them.
    let own = if process::is_root() {
        "daemon off; master_process off; user root;"
    } else {
        "daemon off; master_process off;"
    };
    command.arg("-c").arg(&file).arg("-p").arg(folder).args(["-e", "stderr", "-g", own]);
    Ok((Server::start(&mut command, health, "/healthz", &folder.join("nginx.log"))?, port))
}

/// Whether the door is what it should be: open for our certificates, on one path, and the receiver behind it switched on.
fn probe(folder: &Path, port: u16) -> Result<()> {
    let ask = |certificate: Option<&str>, path: &str, method: &str| -> Result<String> {
        let mut curl = Command::new("curl");
        curl.args(["-sS", "-o", "/dev/null", "-w", "%{http_code}", "--noproxy", "*", "-X", method, "--max-time", "10"]);
        curl.arg("--cacert").arg(folder.join("ca.crt"));
        if let Some(name) = certificate {
            curl.arg("--cert").arg(folder.join(format!("{name}.crt")));
            curl.arg("--key").arg(folder.join(format!("{name}.key")));
        }
        process::capture(curl.arg(format!("https://127.0.0.1:{port}{path}")))
    };
    for (certificate, path, method, expected) in [
        // 400: the receiver is there and has been sent nothing; without it, the answer is 404.
        (Some("agent"), "/api/v1/write", "POST", "400"),
        (Some("agent"), "/api/v1/write", "GET", "403"),
        (Some("agent"), "/api/v1/query", "POST", "404"),
        (Some("agent"), "/", "GET", "404"),
        (Some("stranger"), "/api/v1/write", "POST", "400 without a certificate of ours"),
        (None, "/api/v1/write", "POST", "400 without a certificate of ours"),
    ] {
        let answer = ask(certificate, path, method)?;
        let code = expected.split(' ').next().unwrap_or_default();
        if answer != code {
            bail!(
                "{method} {path} with the certificate {certificate:?} is answered with {answer} instead of {expected}"
            );
        }
    }
    Ok(())
}

/// The file that the operator makes of an agent's object, with one target, and addresses and credentials of here.
fn configuration(agent: &Value, folder: &Path, gateway: u16, target: &str) -> Result<Value> {
    let spec = &agent["spec"];
    let mut write = spec["remoteWrite"][0].as_object().cloned().context("the agent writes nowhere")?;
    let tls = write.remove("tlsConfig").context("the agent has no certificate")?;
    for (part, key) in [("ca", "ca.crt"), ("cert", "tls.crt")] {
        ensure!(tls[part]["secret"]["key"] == key, "the agent's {part} is not {key} of its Secret");
    }
    ensure!(tls["keySecret"]["key"] == "tls.key", "the agent's key is not tls.key of its Secret");
    let mut write = snake(&Value::Object(write));
    write["url"] = json!(format!("https://127.0.0.1:{gateway}/api/v1/write"));
    let file = |name: &str| folder.join(name).display().to_string();
    write["tls_config"] =
        json!({"ca_file": file("ca.crt"), "cert_file": file("agent.crt"), "key_file": file("agent.key")});
    let names: BTreeSet<&str> =
        write["queue_config"].as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    ensure!(names.contains("retry_on_http_429") && names.contains("max_backoff"), "the queue has only {names:?}");
    Ok(json!({
        "global": {
            "scrape_interval": format!("{}s", INTERVAL.as_secs()),
            "scrape_timeout": format!("{}s", INTERVAL.as_secs()),
            "external_labels": spec["externalLabels"],
        },
        "scrape_configs": [{"job_name": "uidmeter", "static_configs": [{"targets": [target]}]}],
        "remote_write": [write],
    }))
}

/// Names in the operator's spelling, as Prometheus spells them.
fn snake(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let rename = |name: &String| match name.as_str() {
                "retryOnRateLimit" => "retry_on_http_429".to_owned(),
                other => other.chars().fold(String::new(), |mut name, letter| {
                    if letter.is_ascii_uppercase() {
                        name.push('_');
                    }
                    name.push(letter.to_ascii_lowercase());
                    name
                }),
            };
            Value::Object(map.iter().map(|(name, value)| (rename(name), snake(value))).collect::<Map<_, _>>())
        }
        Value::Array(list) => list.iter().map(snake).collect(),
        other => other.clone(),
    }
}

/// The sum of a counter on a server's own page.
fn get_metric(server: &Server, name: &str) -> Result<f64> {
    let page = super::super::super::server::get(&format!("{}/metrics", server.url))?;
    let values: Vec<f64> = page
        .lines()
        .filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])))
        .filter_map(|line| line.rsplit(' ').next()?.parse().ok())
        .collect();
    ensure!(!values.is_empty(), "{} has no {name}", server.url);
    Ok(values.iter().sum())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::snake;

    #[test]
    fn names_become_those_of_prometheus() {
        let theirs =
            json!({"queueConfig": {"maxSamplesPerSend": 1, "retryOnRateLimit": true}, "list": [{"sourceLabels": []}]});
        let ours = json!({"queue_config": {"max_samples_per_send": 1, "retry_on_http_429": true}, "list": [{"source_labels": []}]});
        assert_eq!(snake(&theirs), ours);
    }
}
