//! `promtool check config` over what is shipped, and over what `job.sh` puts together, with each version that knows the mechanism.
//! Also: that what published guides get wrong is indeed refused.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::documents::{self, items, text};
use super::{SUITES, promtool};
use crate::fleet::kit::Kit;
use crate::process;

/// Ways to find hosts, and the Debians whose Prometheus knows them: some leave mechanisms out.
const MECHANISMS: [(&str, &[&str]); 8] = [
    ("static", &SUITES),
    ("file", &SUITES),
    ("http", &SUITES),
    ("dns", &SUITES),
    // Before 2.26 there is no `authorization`: tokens are left out there.
    ("consul", &["bullseye"]),
    ("ec2", &["bookworm", "trixie", "sid"]),
    ("azure", &["bookworm"]),
    ("kubernetes", &["trixie", "sid"]),
];
const AUTHENTICATION: [&str; 6] = ["tls", "basic", "jwt", "mtls", "mtls-basic", "mtls-jwt"];

pub(super) fn run(kit: &Kit<'_>) -> Result<()> {
    let folder = kit.scratch().join("configs");
    documents::copy(&kit.packaging("prometheus"), &folder)?;
    for suite in SUITES {
        for name in ["single", "regional", "central", "hub"] {
            process::capture(promtool(suite)?.args(["check", "config"]).arg(folder.join(format!("{name}.yml"))))?;
        }
        // The files with secrets are not there.
        let agent = folder.join("agent.yml");
        process::capture(promtool(suite)?.args(["check", "config", "--agent", "--syntax-only"]).arg(agent))?;
    }
    complete(&folder)?;
    for (mechanism, suites) in MECHANISMS {
        jobs(&folder, mechanism, suites)?;
    }
    labels(&folder)?;
    refused(&folder)?;
    let shellcheck = crate::fleet::kit::debian(
        crate::packages::Wanted { suite: "bookworm", pattern: "shellcheck" },
        "usr/bin/shellcheck",
    )?;
    process::capture(Command::new(shellcheck).arg(kit.packaging("prometheus/job.sh")))?;
    Ok(())
}

/// No file in the folders that no check knows.
fn complete(folder: &Path) -> Result<()> {
    let mechanisms = MECHANISMS.map(|(name, _)| name);
    for (part, known) in [("discovery", mechanisms.as_slice()), ("auth", AUTHENTICATION.as_slice())] {
        for file in documents::files(&folder.join(part))? {
            let name = file.file_stem().unwrap_or_default().to_string_lossy();
            if !known.contains(&name.as_ref()) {
                bail!("{part}/{name}.yml is checked by nothing: add it to the table in configs.rs");
            }
        }
    }
    Ok(())
}

/// One mechanism with each authentication, as one configuration.
fn jobs(folder: &Path, mechanism: &str, suites: &[&'static str]) -> Result<()> {
    let mut all = Vec::new();
    for authentication in [None].into_iter().chain(AUTHENTICATION.map(Some)) {
        let mut script = Command::new(folder.join("job.sh"));
        let printed = process::capture(script.arg(mechanism).args(authentication))?;
        let document = documents::parse(&printed)?;
        let [job] = items(&document["scrape_configs"]) else { bail!("job.sh {mechanism} does not print one job") };
        let mut job = job.clone();
        if job["job_name"] != "uidmeter" {
            bail!("discovery/{mechanism}.yml: the job is not called uidmeter, as rules want it");
        }
        if authentication.is_some() && job["scheme"] != "https" {
            bail!("auth/{authentication:?} does not ask for TLS");
        }
        if !job["basic_auth"]["password"].is_null() || !job["authorization"]["credentials"].is_null() {
            bail!("auth/{authentication:?} has a secret in the file");
        }
        if suites == ["bullseye"] && !job["authorization"].is_null() {
            continue;
        }
        job["job_name"] = json!(format!("uidmeter-{}", authentication.unwrap_or("none")));
        all.push(job);
    }
    let path = folder.join("discovery/assembled.yml");
    documents::write(&path, &json!({ "scrape_configs": all }))?;
    for suite in suites {
        // Certificates and secrets are not there; the oldest knows no other way than looking for them.
        let mut command = promtool(suite)?;
        if *suite == "bullseye" {
            let empty = folder.join("empty");
            fs::write(&empty, "")?;
            let text = fs::read_to_string(&path)?.replace("/etc/prometheus/uidmeter", &format!("{}#", empty.display()));
            // Every file is the same empty one: only that it exists is looked at.
            let text: String = text.lines().map(|line| shortened(line) + "\n").collect();
            fs::write(&path, text)?;
            command.args(["check", "config"]);
        } else {
            command.args(["check", "config", "--syntax-only"]);
        }
        process::capture(command.arg(&path))?;
    }
    Ok(())
}

/// A line of JSON without what stands between `#` and the closing quote.
fn shortened(line: &str) -> String {
    let Some((before, after)) = line.split_once('#') else { return line.to_owned() };
    after.split_once('"').map_or_else(|| line.to_owned(), |(_, rest)| format!("{before}\"{rest}"))
}

/// That hosts found by name or file have the labels that rules and boards rely on, and an instance without port.
fn labels(folder: &Path) -> Result<()> {
    for mechanism in ["static", "file"] {
        let mut command = promtool("sid")?;
        command.args(["check", "service-discovery", "--timeout=2s"]);
        command.arg(folder.join(format!("discovery/{mechanism}.yml"))).arg("uidmeter");
        let found: Value = serde_json::from_str(&process::capture(&mut command)?)?;
        let mut instances: Vec<&str> = items(&found).iter().map(|target| text(&target["labels"]["instance"])).collect();
        instances.sort_unstable();
        if instances != ["192.0.2.10", "2001:db8::10", "host1.example.com", "host2.example.com"] {
            bail!("discovery/{mechanism}.yml finds the instances {instances:?}");
        }
        for target in items(&found) {
            if text(&target["labels"]["cluster"]).is_empty() || text(&target["labels"]["environment"]).is_empty() {
                bail!("discovery/{mechanism}.yml: a host has no cluster or no environment: {target}");
            }
        }
    }
    Ok(())
}

/// What guides print and Prometheus refuses: if one of these were accepted, the comments in our files would be wrong.
fn refused(folder: &Path) -> Result<()> {
    let wrong = [
        ("retention in the file", "storage: {tsdb: {retention.time: 30d, max-block-duration: 2h}}"),
        ("labels inside remote_write", "remote_write: [{url: 'http://192.0.2.1/', external_labels: {cluster: a}}]"),
        ("a port for SRV as a text", "scrape_configs: [{job_name: a, dns_sd_configs: [{names: [a], port: any}]}]"),
        ("targets with a comment", "scrape_configs: [{job_name: a, file_sd_configs: [{files: [commented.json]}]}]"),
    ];
    fs::write(folder.join("commented.json"), "// a comment\n[{\"targets\": [\"a:1\"]}]")?;
    for (what, text) in wrong {
        let path = folder.join("wrong.yml");
        fs::write(&path, text).context("cannot write a configuration")?;
        if promtool("sid")?.args(["check", "config"]).arg(&path).output()?.status.success() {
            bail!("promtool accepts {what}: {text}");
        }
    }
    Ok(())
}
