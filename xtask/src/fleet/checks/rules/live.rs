//! The shipped rules in a real Prometheus, over hosts that change while it looks.
//!
//! Changed for the sake of time, in the rules' documents and nowhere else: `interval` of groups becomes one second, and so does every
//! `for`. Expressions, thresholds and labels are those that are shipped; ranges of minutes are filled by the samples of some seconds.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::documents::{self, items, text};
use super::prometheus;
use crate::fleet::kit::Kit;
use crate::fleet::page::Page;
use crate::fleet::server::{Server, free_port, get};
use crate::fleet::simulated::Host;
use crate::process::{self, Unavailable};

/// How long an alert may take.
const PATIENCE: Duration = Duration::from_secs(40);

pub(super) fn run(kit: &Kit<'_>) -> Result<()> {
    let folder = kit.scratch().join("live");
    let quiet = Host::start(kit, 3, 1)?;
    // Of so many simulated users, some wait for long.
    let harmed = Host::start(kit, 150, 1)?;
    // The simulation has no policy. What a host with one says about a limit that does not work is served as a page.
    let limited = Page::start(|_, _| {
        [
            "uidmeter_build_info{version=\"0.1.0\"} 1",
            "uidmeter_limit_active{uid=\"20001\",user=\"ann\",mode=\"enforce\"} 1",
            "uidmeter_limit_effective_ratio{uid=\"20001\",user=\"ann\"} 0.4",
            "uidmeter_limit_active{uid=\"20002\",user=\"bob\",mode=\"enforce\"} 1",
            "uidmeter_limit_effective_ratio{uid=\"20002\",user=\"bob\"} 1",
            "",
        ]
        .join("\n")
    })?;
    let targets =
        [("quiet", quiet.address.clone()), ("harmed", harmed.address.clone()), ("limited", limited.address())];
    let server = start(kit, &folder, &targets, |_| ())?;

    let slow = server.wait_for(&firing("UidmeterUserSlowedDown", "harmed"), PATIENCE)?;
    println!("    {} users are slowed down", slow.len());
    let limits = server.wait_for(&firing("UidmeterLimitNotEffective", "limited"), PATIENCE)?;
    if limits.len() != 1 || limits.iter().any(|alert| alert["metric"]["user"] != "ann") {
        bail!("one limit does not work, and the alerts are {limits:?}");
    }
    // The one with many users may be late on a busy machine; this one is not.
    let down = server.query("ALERTS{alertname=\"UidmeterHostDown\",instance=\"quiet\"}")?;
    if !down.is_empty() {
        bail!("the host is up, and the alerts are {down:?}");
    }
    drop(quiet);
    server.wait_for(&firing("UidmeterHostDown", "quiet"), PATIENCE)?;
    healthy(&server)
}

/// A real daemon with a password, and somebody who does not have it.
pub(super) fn security(kit: &Kit<'_>) -> Result<()> {
    if !process::is_root() {
        bail!(Unavailable("a real uidmeter loads kernel programs, which needs root".into()));
    }
    let folder = kit.scratch().join("security");
    fs::create_dir_all(&folder)?;
    // The password of the sample, which its own comment tells.
    let sample = documents::yaml(&kit.packaging("web/basic.yml"))?;
    let web = folder.join("web.yml");
    documents::write(&web, &json!({"basic_auth_users": sample["basic_auth_users"]}))?;
    let port = free_port()?;
    let mut command = Command::new(kit.daemon()?);
    // Nothing of this machine's own configuration.
    let settings = folder.join("uidmeter.toml");
    fs::write(&settings, "")?;
    command.args(["run", &format!("--web.listen-address=127.0.0.1:{port}")]).arg("--config").arg(settings);
    command.arg(format!("--web.config.file={}", web.display()));
    let daemon = Server::start(&mut command, port, "/-/ready", &folder.join("daemon.log"))?;
    let address = daemon.url.trim_start_matches("http://").to_owned();
    let server = start(kit, &folder, &[("refusing", address)], |job| {
        job["basic_auth"] = json!({"username": "prometheus", "password": "change-me"});
    })?;
    server.wait_for("up{job=\"uidmeter\"} == 1", PATIENCE)?;
    let begun = Instant::now();
    let alert = firing("UidmeterAuthenticationFailures", "refusing");
    while server.query(&alert)?.is_empty() {
        for _ in 0..10 {
            if get(&format!("{}/metrics", daemon.url)).is_ok() {
                bail!("the daemon lets everybody in");
            }
        }
        if begun.elapsed() > PATIENCE {
            bail!("{alert} does not fire\n{}", daemon.said());
        }
        thread::sleep(Duration::from_millis(500));
    }
    Ok(())
}

fn firing(alert: &str, instance: &str) -> String {
    format!("ALERTS{{alertname=\"{alert}\",alertstate=\"firing\",instance=\"{instance}\"}}")
}

/// A Prometheus with the shipped rules, quickened, and these hosts: name and address.
fn start(kit: &Kit<'_>, folder: &Path, hosts: &[(&str, String)], change: impl FnOnce(&mut Value)) -> Result<Server> {
    let rules = folder.join("rules");
    fs::create_dir_all(&rules)?;
    for file in documents::files(&kit.packaging("prometheus/rules"))? {
        let mut document = documents::yaml(&file)?;
        quicken(&mut document);
        documents::write(&rules.join(file.file_name().unwrap_or_default()), &document)?;
    }
    let mut config = documents::yaml(&kit.packaging("prometheus/single.yml"))?;
    config["global"]["scrape_interval"] = json!("1s");
    config["global"]["scrape_timeout"] = json!("1s");
    config["global"]["evaluation_interval"] = json!("1s");
    config["alerting"] = Value::Null;
    let targets: Vec<Value> = hosts
        .iter()
        .map(|(name, address)| json!({"targets": [address], "labels": {"cluster": "main", "instance": name}}))
        .collect();
    let Some(job) = config["scrape_configs"]
        .as_array_mut()
        .and_then(|jobs| jobs.iter_mut().find(|job| job["job_name"] == "uidmeter"))
    else {
        bail!("single.yml has no job uidmeter");
    };
    job["file_sd_configs"] = Value::Null;
    // All hosts here have one address, so their names come from labels instead of from the address.
    job["relabel_configs"] = Value::Null;
    job["static_configs"] = json!(targets);
    change(job);
    let path = folder.join("prometheus.yml");
    documents::write(&path, &config)?;
    Server::prometheus(&prometheus()?, &path, folder, &[])
}

pub(super) fn quicken(document: &mut Value) {
    let Some(groups) = document["groups"].as_array_mut() else { return };
    for group in groups {
        group["interval"] = json!("1s");
        let Some(rules) = group["rules"].as_array_mut() else { continue };
        for rule in rules.iter_mut().filter(|rule| rule["for"].is_string()) {
            rule["for"] = json!("1s");
        }
    }
}

/// That no rule fails when it is evaluated, and that no message comes out broken.
fn healthy(server: &Server) -> Result<()> {
    let answer: Value = serde_json::from_str(&get(&format!("{}/api/v1/rules", server.url))?)?;
    let groups = items(&answer["data"]["groups"]);
    for rule in groups.iter().flat_map(|group| items(&group["rules"])) {
        if rule["health"] != "ok" {
            bail!("{} is {}: {}", text(&rule["name"]), rule["health"], text(&rule["lastError"]));
        }
        for message in items(&rule["alerts"]).iter().filter_map(|alert| alert["annotations"].as_object()) {
            if let Some((name, value)) = message.iter().find(|(_, value)| text(value).contains("<error")) {
                bail!("{}: {name} comes out as {value}", text(&rule["name"]));
            }
        }
    }
    println!("    {} groups of rules are healthy", groups.len());
    Ok(())
}
