//! Alertmanager's configuration, held against amtool and real Alertmanagers.

mod cluster;
mod fill;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};

use super::super::kit::{Kit, debian};
use super::Check;
use super::rules::documents::{self, items, text};
use crate::packages::Wanted;
use crate::process;

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "alerts-fill",
        tells: "fill.sh fills everything in, privately, and refuses what is wrong",
        run: fill::run,
    },
    Check { name: "alerts-syntax", tells: "amtool accepts the configuration, old and new", run: syntax },
    Check {
        name: "alerts-routes",
        tells: "every alert reaches whom the table says, and every receiver is reached",
        run: routes,
    },
    Check {
        name: "alerts-live",
        tells: "three Alertmanagers together send one message, hold back what follows, and keep a silence",
        run: cluster::run,
    },
];

/// The oldest that somebody may run, and the newest.
const SUITES: [&str; 2] = ["bookworm", "sid"];

fn program(suite: &'static str, name: &str) -> Result<PathBuf> {
    debian(Wanted { suite, pattern: "prometheus-alertmanager" }, &format!("usr/bin/{name}"))
}

/// The configuration, filled in with the values of the example.
fn filled(kit: &Kit<'_>) -> Result<PathBuf> {
    let output = kit.scratch().join("alertmanager.yml");
    let values = kit.scratch().join("values");
    let example = fs::read_to_string(kit.packaging("alertmanager/values.example"))?;
    let templates = kit.scratch().join("templates");
    fs::create_dir_all(&templates)?;
    fs::copy(kit.packaging("alertmanager/uidmeter.tmpl"), templates.join("uidmeter.tmpl"))?;
    // Temporary folders have names that fill.sh takes.
    let example = example.replace("/etc/alertmanager/templates", &templates.display().to_string());
    fs::write(&values, example)?;
    process::capture(Command::new(kit.packaging("alertmanager/fill.sh")).arg(&values).arg(&output))?;
    Ok(output)
}

fn syntax(kit: &Kit<'_>) -> Result<()> {
    let config = filled(kit)?;
    let document = documents::yaml(&config)?;
    if items(&document["inhibit_rules"]).len() < 3 {
        bail!("fewer than three inhibition rules");
    }
    for suite in SUITES {
        let said = process::capture(Command::new(program(suite, "amtool")?).arg("check-config").arg(&config))?;
        if !said.contains("1 templates") {
            bail!("amtool of {suite} did not look at the template: {said}");
        }
    }
    // A receiver that nobody defined, as a published guide has it.
    let wrong = kit.scratch().join("wrong.yml");
    fs::write(&wrong, "route: {receiver: default, routes: [{receiver: slack}]}\nreceivers: [{name: default}]\n")?;
    if Command::new(program("sid", "amtool")?).arg("check-config").arg(&wrong).output()?.status.success() {
        bail!("amtool accepts a route to a receiver that is not defined");
    }
    Ok(())
}

fn routes(kit: &Kit<'_>) -> Result<()> {
    let config = filled(kit)?;
    let document = documents::yaml(&config)?;
    let table = fs::read_to_string(kit.packaging("alertmanager/routes.tsv"))?;
    let mut reached = BTreeSet::new();
    let mut named = BTreeSet::new();
    let rows = table.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('\t'));
    let rows: Vec<(&str, &str)> = rows.collect();
    for (labels, receiver) in &rows {
        for suite in SUITES {
            let mut test = Command::new(program(suite, "amtool")?);
            test.args(["config", "routes", "test", "--config.file"]).arg(&config);
            process::capture(test.arg(format!("--verify.receivers={receiver}")).args(labels.split(' ')))?;
        }
        reached.insert((*receiver).to_owned());
        named.extend(labels.split(' ').filter_map(|label| label.strip_prefix("alertname=")).map(str::to_owned));
    }
    for receiver in items(&document["receivers"]) {
        if !reached.contains(text(&receiver["name"])) {
            bail!("no row of routes.tsv reaches the receiver {}", receiver["name"]);
        }
    }
    // What kinds of alerts there are: each must be in the table by one example at least, with the labels that it really has.
    let mut kinds = BTreeSet::new();
    let mut shown = BTreeSet::new();
    for rule in documents::rules(kit)?.iter().filter(|rule| rule.alert) {
        let label = |name: &str| text(&rule.labels[name]).to_owned();
        let kind = (label("priority"), label("team"), !label("slo").is_empty());
        if let Some((labels, _)) =
            rows.iter().find(|(labels, _)| labels.split(' ').any(|one| one == format!("alertname={}", rule.name)))
        {
            for name in ["priority", "team", "slo"] {
                let expected = format!("{name}={}", label(name));
                if !label(name).is_empty() && !labels.split(' ').any(|one| one == expected) {
                    bail!("routes.tsv has {} without {expected}", rule.name);
                }
            }
            shown.insert(kind.clone());
        }
        named.remove(&rule.name);
        kinds.insert(kind);
    }
    named.remove("SomethingElse");
    if !named.is_empty() {
        bail!("routes.tsv names alerts that do not exist: {named:?}");
    }
    let missing: Vec<_> = kinds.difference(&shown).collect();
    if !missing.is_empty() {
        bail!("no row of routes.tsv for alerts with (priority, team, SLO) {missing:?}");
    }
    // The hours of capacity alerts are working hours.
    let quiet = items(&document["route"]["routes"]).iter().find(|route| route["receiver"] == "capacity");
    if quiet.is_none_or(|route| route["active_time_intervals"][0] != "business-hours") {
        bail!("capacity alerts are not held back outside of business hours");
    }
    println!("    {} rows, {} receivers, {} kinds of alerts", rows.len(), reached.len(), kinds.len());
    Ok(())
}
