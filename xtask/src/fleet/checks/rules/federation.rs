//! Several Prometheus together, each with the configuration that is shipped for its part: regions and a centre, agents and a hub.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Result, bail};
use nix::sys::signal::{Signal, kill};
use serde_json::{Value, json};

use super::documents::{self, items, text};
use super::prometheus;
use crate::fleet::kit::Kit;
use crate::fleet::server::{Server, free_port};
use crate::fleet::simulated::{Fleet, Host, Site};

const PATIENCE: Duration = Duration::from_secs(40);
/// Hosts of each agent.
const HOSTS: u32 = 25;
/// Seconds between two scrapes of so many hosts on a machine that is also their Prometheus.
const EVERY: u64 = 3;
const CLUSTERS: [&str; 2] = ["main", "build"];

/// Two regions with a host each, and a centre that reads what their rules record.
pub(super) fn federation(kit: &Kit<'_>) -> Result<()> {
    let folder = kit.scratch().join("federation");
    let mut regions = Vec::new();
    let mut hosts = Vec::new();
    for (seed, cluster) in (1..).zip(CLUSTERS) {
        let host = Host::start(kit, 5, seed)?;
        let home = folder.join(cluster);
        let mut config = shipped(kit, "regional.yml")?;
        config["global"]["external_labels"]["region"] = json!(cluster);
        point(&mut config, "uidmeter", &host.address, &json!({"cluster": cluster}))?;
        rules(kit, &home)?;
        regions.push(begin(&home, &config, &[])?);
        hosts.push(host);
    }
    let mut config = shipped(kit, "central.yml")?;
    let addresses: Vec<&str> = regions.iter().map(|region| region.url.trim_start_matches("http://")).collect();
    job(&mut config, "uidmeter-federation")?["static_configs"] = json!([{"targets": addresses}]);
    let home = folder.join("central");
    rules(kit, &home)?;
    let central = begin(&home, &config, &[])?;
    // Each of the two clusters, summed up by its region; the label instance is that of the host.
    central.wait_for("count(count by (cluster) (cluster_user:uidmeter_cpu_seconds:rate5m)) == 2", PATIENCE)?;
    central.wait_for(
        "count(count by (instance, region) (instance:uidmeter_attributed_cpu_seconds:rate5m)) == 2",
        PATIENCE,
    )?;
    let raw = central.query("uidmeter_cpu_seconds_total")?;
    if !raw.is_empty() {
        bail!("the centre has {} series that were not recorded", raw.len());
    }
    drop(regions.pop());
    central.wait_for("ALERTS{alertname=\"UidmeterRegionDown\"}", PATIENCE).map(|_| ())
}

/// For how long the hub is away: where somebody waits for the result, for as long as it takes to see that nothing is lost.
fn away() -> Duration {
    if crate::test::is_ci() { Duration::from_secs(21) } else { Duration::from_mins(1) }
}

/// Two agents with 25 hosts each, over TLS and with a token, and a hub, which is stopped and started again.
pub(super) fn remote_write(kit: &Kit<'_>) -> Result<()> {
    let folder = kit.scratch().join("remote-write");
    let port = free_port()?;
    let home = folder.join("hub");
    let hub_config = shipped(kit, "hub.yml")?;
    rules(kit, &home)?;
    let hub = || hub_at(&home, &hub_config, port);
    let mut running = hub()?;
    let mut agents = Vec::new();
    let mut hosts = Vec::new();
    let site = Site::new(kit, &folder.join("site"))?;
    for (cluster, first) in CLUSTERS.into_iter().zip(["127.40.0.1", "127.40.1.1"]) {
        let home = folder.join(cluster);
        fs::create_dir_all(&home)?;
        let targets = home.join("targets.json");
        hosts.push(Fleet::start(kit, &site, HOSTS, first, &targets)?);
        let mut config = shipped(kit, "agent.yml")?;
        config["global"]["external_labels"]["cluster"] = json!(cluster);
        let url = format!("http://127.0.0.1:{port}/api/v1/write");
        let remote = &mut config["remote_write"][0];
        remote["url"] = json!(url);
        // The secrets are not there.
        remote["basic_auth"] = Value::Null;
        remote["tls_config"] = Value::Null;
        let job = job(&mut config, "uidmeter")?;
        job["file_sd_configs"] = json!([{"files": [targets]}]);
        job["scrape_interval"] = json!(format!("{EVERY}s"));
        job["scrape_timeout"] = json!(format!("{EVERY}s"));
        job["scheme"] = json!("https");
        job["tls_config"] = json!({"ca_file": site.for_prometheus("uidmeter-ca.crt"), "server_name": Site::NAME});
        job["authorization"] = json!({"credentials_file": site.for_prometheus("uidmeter.token")});
        let path = home.join("agent");
        let flags = ["--agent".to_owned(), format!("--storage.agent.path={}", path.display())];
        agents.push(begin(&home, &config, &[&flags[0], &flags[1]])?);
    }
    let all = HOSTS * 2;
    running.wait_for("count(count by (cluster) (cluster_user:uidmeter_cpu_seconds:rate5m)) == 2", PATIENCE)?;
    // Each has been up lately; on a busy machine, not all at once.
    running.wait_for(&format!("count(max_over_time(up{{job=\"uidmeter\"}}[30s]) == 1) == {all}"), PATIENCE)?;
    let away = away();
    let begun: f64 = number(&running.query("time()")?);
    // As a service manager stops it; the next one begins with what is on disk.
    kill(running.pid(), Signal::SIGTERM)?;
    drop(running);
    thread::sleep(away);
    running = hub()?;
    // The time in which the hub was away, and some more: a sample for each interval, whenever it came. Some are late
    // on a busy machine; without what the agents kept, there would be two or three.
    let (whole, wanted) = (away.as_secs() + 3 * EVERY, away.as_secs() / EVERY);
    let samples =
        format!("count_over_time(up{{job=\"uidmeter\"}}[{whole}s] @ {:.0})", begun + away.as_secs_f64() + 3.0);
    running.wait_for(&format!("count({samples} >= {wanted}) == {all}"), PATIENCE)?;
    let fewest = number(&running.query(&format!("min({samples})"))?);
    let most = number(&running.query(&format!("max({samples})"))?);
    println!(
        "    {fewest} to {most} samples of each of {all} hosts in {whole} s, during {} of which the hub was away",
        away.as_secs()
    );
    // How far an agent is behind is known to the agent alone.
    let behind = running
        .query("prometheus_remote_storage_queue_highest_sent_timestamp_seconds{job=\"prometheus\",cluster=\"main\"}")?;
    if behind.is_empty() {
        bail!("the agent does not send its own metrics");
    }
    Ok(())
}

/// A hub at a port that agents know.
fn hub_at(home: &Path, config: &Value, port: u16) -> Result<Server> {
    let path = home.join("prometheus.yml");
    documents::write(&path, config)?;
    let mut command = std::process::Command::new(prometheus()?);
    command.arg(format!("--config.file={}", path.display())).arg("--web.enable-remote-write-receiver");
    command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
    command.arg(format!("--storage.tsdb.path={}", home.join("data").display()));
    Server::start(&mut command, port, "/-/ready", &home.join("log"))
}

/// A configuration as it is shipped, at the pace of a test and without Alertmanagers.
fn shipped(kit: &Kit<'_>, name: &str) -> Result<Value> {
    let mut config = documents::yaml(&kit.packaging(&format!("prometheus/{name}")))?;
    config["global"]["scrape_interval"] = json!("1s");
    config["global"]["scrape_timeout"] = json!("1s");
    if !config["global"]["evaluation_interval"].is_null() {
        config["global"]["evaluation_interval"] = json!("1s");
    }
    if !config["alerting"].is_null() {
        config["alerting"] = Value::Null;
    }
    for job in config["scrape_configs"].as_array_mut().into_iter().flatten() {
        job["scrape_timeout"] = json!("1s");
    }
    Ok(config)
}

/// The shipped rules, evaluated every second.
fn rules(kit: &Kit<'_>, home: &Path) -> Result<()> {
    let folder = home.join("rules");
    fs::create_dir_all(&folder)?;
    for file in documents::files(&kit.packaging("prometheus/rules"))? {
        let mut document = documents::yaml(&file)?;
        super::live::quicken(&mut document);
        documents::write(&folder.join(file.file_name().unwrap_or_default()), &document)?;
    }
    Ok(())
}

fn job<'a>(config: &'a mut Value, name: &str) -> Result<&'a mut Value> {
    let jobs = config["scrape_configs"].as_array_mut().into_iter().flatten();
    jobs.into_iter().find(|job| text(&job["job_name"]) == name).ok_or_else(|| anyhow::anyhow!("there is no job {name}"))
}

/// Lets a job scrape one host.
fn point(config: &mut Value, name: &str, address: &str, labels: &Value) -> Result<()> {
    let job = job(config, name)?;
    job["file_sd_configs"] = Value::Null;
    job["static_configs"] = json!([{"targets": [address], "labels": labels}]);
    Ok(())
}

/// A Prometheus that scrapes itself as it is told to.
fn begin(home: &Path, config: &Value, flags: &[&str]) -> Result<Server> {
    fs::create_dir_all(home)?;
    let mut config = config.clone();
    let port = free_port()?;
    let own = job(&mut config, "prometheus")?;
    own["static_configs"] = json!([{"targets": [format!("127.0.0.1:{port}")]}]);
    let path = home.join("prometheus.yml");
    documents::write(&path, &config)?;
    let mut command = std::process::Command::new(prometheus()?);
    command.arg(format!("--config.file={}", path.display())).arg(format!("--web.listen-address=127.0.0.1:{port}"));
    if flags.is_empty() {
        command.arg(format!("--storage.tsdb.path={}", home.join("data").display()));
    }
    command.args(flags);
    Server::start(&mut command, port, "/-/ready", &home.join("log"))
}

/// The value of the first sample, or of a scalar.
fn number(result: &[Value]) -> f64 {
    let first = result.first().map_or(&Value::Null, |sample| if sample.is_array() { sample } else { &sample["value"] });
    items(first).get(1).and_then(|value| text(value).parse().ok()).unwrap_or(0.0)
}
