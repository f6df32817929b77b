//! Three Alertmanagers that know each other, with the shipped routes and inhibitions, and a page in place of all receivers.
//!
//! Changed for the sake of time and place: receivers are webhooks of ours, `group_wait` is one second. Everything else is as it is
//! shipped.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::super::rules::documents::{self, items, text};
use crate::fleet::kit::Kit;
use crate::fleet::page::Page;
use crate::fleet::server::{Server, free_port, get, post};
use crate::process::{self, Unavailable};

const MEMBERS: usize = 3;
const PATIENCE: Duration = Duration::from_secs(30);
/// Long enough for each member to have its turn: one waits for the others 15 s at most before it sends by itself.
const TURNS: Duration = Duration::from_secs(2);

/// What arrived: how often by receiver and name of the alert.
type Arrived = Arc<Mutex<BTreeMap<(String, String), usize>>>;

pub(super) fn run(kit: &Kit<'_>) -> Result<()> {
    let arrived = Arrived::default();
    let noted = Arc::clone(&arrived);
    let page = Page::start(move |path, body| {
        note(&noted, path, body);
        String::new()
    })?;
    let config = kit.scratch().join("cluster.yml");
    documents::write(&config, &changed(documents::yaml(&super::filled(kit)?)?, &page.url)?)?;
    let members = start(kit, &config)?;

    silence(&members)?;
    // As Prometheus does: each alert to each member.
    let alerts = json!([
        alert(
            "UidmeterManyHostsDown",
            &[("cluster", "main"), ("priority", "P0"), ("team", "platform"), ("severity", "critical")]
        ),
        // Follows from the one above.
        alert("UidmeterHostDown", &[("cluster", "main"), ("instance", "a"), ("priority", "P1"), ("team", "platform")]),
        // Of another cluster, where nothing else is the matter.
        alert("UidmeterHostDown", &[("cluster", "build"), ("instance", "b"), ("priority", "P1"), ("team", "platform")]),
        alert(
            "UidmeterCensusStale",
            &[("cluster", "build"), ("instance", "b"), ("priority", "P1"), ("team", "observability")]
        ),
        alert(
            "UidmeterPasswordGuessing",
            &[("cluster", "main"), ("instance", "c"), ("priority", "P0"), ("team", "security")]
        ),
        // Somebody is at work on it.
        alert(
            "UidmeterUserSlowedDown",
            &[("cluster", "main"), ("instance", "silenced"), ("priority", "P1"), ("team", "support")]
        ),
    ]);
    for member in &members {
        post(&format!("{}/api/v2/alerts", member.url), &alerts)?;
    }
    let expected: BTreeMap<(String, String), usize> = [
        ("page", "UidmeterManyHostsDown"),
        ("platform", "UidmeterHostDown"),
        ("security-page", "UidmeterPasswordGuessing"),
    ]
    .into_iter()
    .map(|(receiver, name)| ((receiver.to_owned(), name.to_owned()), 1))
    .collect();
    let begun = Instant::now();
    while snapshot(&arrived).len() < expected.len() && begun.elapsed() < PATIENCE {
        thread::sleep(Duration::from_millis(100));
    }
    // Whatever comes twice, or should not come, comes within this time.
    thread::sleep(TURNS * u32::try_from(MEMBERS)?);
    let found = snapshot(&arrived);
    if found != expected {
        bail!(
            "what arrived is {found:?} instead of {expected:?}\n{}",
            members.first().map_or_else(String::new, Server::said)
        );
    }
    println!("    {} messages from {MEMBERS} Alertmanagers, each once", found.len());
    Ok(())
}

fn alert(name: &str, labels: &[(&str, &str)]) -> Value {
    let mut all: BTreeMap<&str, &str> = labels.iter().copied().collect();
    all.insert("alertname", name);
    json!({"labels": all, "annotations": {"summary": name}})
}

fn note(arrived: &Arrived, path: &str, body: &str) {
    let message: Value = serde_json::from_str(body).unwrap_or_default();
    for alert in items(&message["alerts"]) {
        let key = (path.trim_start_matches('/').to_owned(), text(&alert["labels"]["alertname"]).to_owned());
        *arrived.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default() += 1;
    }
}

fn snapshot(arrived: &Arrived) -> BTreeMap<(String, String), usize> {
    arrived.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Each receiver becomes a webhook with its name in the path.
fn changed(mut config: Value, url: &str) -> Result<Value> {
    for receiver in config["receivers"].as_array_mut().into_iter().flatten() {
        let name = text(&receiver["name"]).to_owned();
        *receiver =
            json!({"name": name, "webhook_configs": [{"url": format!("{url}/{name}"), "send_resolved": false}]});
    }
    // Nothing is sent by mail or to Slack, and their secrets are not there.
    config["global"] = json!({});
    let Some(route) = config["route"].as_object_mut() else { bail!("there is no route") };
    let mut route = Value::Object(std::mem::take(route));
    hurry(&mut route);
    config["route"] = route;
    Ok(config)
}

fn hurry(route: &mut Value) {
    route["group_wait"] = json!("1s");
    for route in route["routes"].as_array_mut().into_iter().flatten() {
        hurry(route);
    }
}

fn start(kit: &Kit<'_>, config: &Path) -> Result<Vec<Server>> {
    let program = super::program("bookworm", "prometheus-alertmanager")?;
    let ports = (0..MEMBERS).map(|_| free_port()).collect::<Result<Vec<_>>>()?;
    let mut members: Vec<Server> = Vec::new();
    for (number, gossip) in ports.iter().enumerate() {
        let folder = kit.scratch().join(format!("member-{number}"));
        std::fs::create_dir_all(&folder)?;
        let port = free_port()?;
        let mut command = at_home(&program)?;
        command.arg(format!("--config.file={}", config.display())).arg(format!("--storage.path={}", folder.display()));
        command
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg(format!("--cluster.listen-address=127.0.0.1:{gossip}"));
        command.arg(format!("--cluster.peer-timeout={}s", TURNS.as_secs()));
        for peer in ports.iter().take(number) {
            command.arg(format!("--cluster.peer=127.0.0.1:{peer}"));
        }
        members.push(Server::start(&mut command, port, "/-/ready", &folder.join("log"))?);
    }
    let begun = Instant::now();
    for member in &members {
        loop {
            let status: Value = serde_json::from_str(&get(&format!("{}/api/v2/status", member.url))?)?;
            if items(&status["cluster"]["peers"]).len() == MEMBERS && status["cluster"]["status"] == "ready" {
                break;
            }
            if begun.elapsed() > PATIENCE {
                bail!("the Alertmanagers do not find each other: {}", status["cluster"]);
            }
            thread::sleep(Duration::from_millis(200));
        }
    }
    Ok(members)
}

/// A program of an unpacked package that reads files under `/usr/share`: there, in a mount namespace of its own, lies what the package
/// brings, over what this machine has.
fn at_home(program: &Path) -> Result<Command> {
    let package = program.ancestors().nth(3).context("a program that is not in usr/bin of a package")?;
    let mut unshare = Command::new("unshare");
    unshare.args(["--map-root-user", "--mount", "sh", "-ec"]);
    unshare.arg("mount -t overlay overlay -o \"lowerdir=$1/usr/share:/usr/share\" /usr/share; shift; exec \"$@\"");
    unshare.arg("sh").arg(package);
    let mut attempt = Command::new("unshare");
    attempt.args(unshare.get_args()).arg("true");
    if !attempt.output().is_ok_and(|output| output.status.success()) {
        bail!(Unavailable(
            "Alertmanager's own files cannot be mounted here: that takes root or user namespaces".into()
        ));
    }
    unshare.arg(program);
    Ok(unshare)
}

/// Told to one member, known to all.
fn silence(members: &[Server]) -> Result<()> {
    let Some(first) = members.first() else { bail!("there is no Alertmanager") };
    let mut amtool = Command::new(super::program("bookworm", "amtool")?);
    amtool.args(["silence", "add", "--duration=1h", "--author=check", "--comment=planned", "instance=silenced"]);
    process::capture(amtool.arg(format!("--alertmanager.url={}", first.url)))?;
    let begun = Instant::now();
    for member in members {
        while !get(&format!("{}/api/v2/silences", member.url))?.contains("silenced") {
            if begun.elapsed() > PATIENCE {
                bail!("a silence does not reach every member");
            }
            thread::sleep(Duration::from_millis(100));
        }
    }
    Ok(())
}
