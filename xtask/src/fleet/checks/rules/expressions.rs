//! The expressions of all rules, parsed by a real Prometheus, held against the catalogue of metrics and the rules of the house.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::documents::{self, Rule, items, text};
use super::{prometheus, words};
use crate::fleet::kit::Kit;
use crate::fleet::server::{Server, get};

/// What Prometheus itself says about each target.
const OF_TARGETS: [&str; 4] =
    ["up", "scrape_duration_seconds", "scrape_samples_post_metric_relabeling", "scrape_series_added"];
const TEAMS: [&str; 5] = ["platform", "support", "observability", "security", "capacity"];
const SEVERITIES: [(&str, &str); 3] = [("P0", "critical"), ("P1", "warning"), ("P2", "info")];
/// A rate needs two samples, and some may be missing.
const SCRAPES_IN_A_RANGE: u64 = 4;

struct Known {
    catalogue: BTreeSet<String>,
    recorded: BTreeSet<String>,
    own: BTreeSet<String>,
    /// The longest interval at which hosts are scraped, in milliseconds.
    interval: u64,
}

pub(super) fn run(kit: &Kit<'_>) -> Result<()> {
    let folder = kit.scratch().join("expressions");
    fs::create_dir_all(&folder)?;
    let config = folder.join("prometheus.yml");
    // Nobody is at the other end, and the rule says nothing: only so that metrics of sending and of rules exist.
    let rule = folder.join("rule.yml");
    documents::write(&rule, &json!({"groups": [{"name": "one", "rules": [{"record": "one", "expr": "1"}]}]}))?;
    documents::write(&config, &json!({"remote_write": [{"url": "http://127.0.0.1:9/"}], "rule_files": ["rule.yml"]}))?;
    let server = Server::prometheus(&prometheus()?, &config, &folder, &[])?;
    let rules = documents::rules(kit)?;
    let known = Known {
        catalogue: catalogue(kit)?,
        recorded: rules.iter().filter(|rule| !rule.alert).map(|rule| rule.name.clone()).collect(),
        own: get(&format!("{}/metrics", server.url))?
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE ")?.split_whitespace().next().map(str::to_owned))
            .collect(),
        interval: interval(kit)?,
    };
    let mut faults = Vec::new();
    for rule in &rules {
        let tree = server.parsed(&rule.expression)?;
        let mut found = Vec::new();
        walk(&tree, &mut |node| inspect(node, &known, &mut found));
        let mut of_rule = if rule.alert { alert(rule, &tree) } else { recording(rule, &tree) };
        found.append(&mut of_rule);
        faults.extend(found.into_iter().map(|fault| format!("{}, {}: {fault}", rule.file, rule.name)));
    }
    let questions = questions(kit)?;
    for question in &questions {
        let tree = server.parsed(question)?;
        let mut found = Vec::new();
        walk(&tree, &mut |node| inspect(node, &known, &mut found));
        faults.extend(found.into_iter().map(|fault| format!("docs/SLO.md, {question}: {fault}")));
    }
    if !faults.is_empty() {
        bail!("{} faults\n{}", faults.len(), faults.join("\n"));
    }
    println!("    {} expressions of rules, {} of docs/SLO.md", rules.len(), questions.len());
    Ok(())
}

/// Every metric of `docs/METRICS.md`, with the series of histograms.
fn catalogue(kit: &Kit<'_>) -> Result<BTreeSet<String>> {
    let text = fs::read_to_string(kit.project().root().join("docs/METRICS.md"))?;
    let mut names = BTreeSet::new();
    for line in text.lines() {
        let mut cells = line.split(" | ");
        let Some(name) = cells.next().and_then(|cell| cell.strip_prefix("| `uidmeter_")) else { continue };
        let name = format!("uidmeter_{}", name.trim_end_matches('`'));
        if cells.next().is_some_and(|kind| kind.starts_with("histogram")) {
            names.extend(["_bucket", "_count", "_sum"].map(|end| format!("{name}{end}")));
        }
        names.insert(name);
    }
    if names.len() < 50 {
        bail!("docs/METRICS.md has another form than this check knows: {} metrics found", names.len());
    }
    Ok(names)
}

/// The expressions in the tables of `docs/SLO.md`.
fn questions(kit: &Kit<'_>) -> Result<Vec<String>> {
    let text = fs::read_to_string(kit.project().root().join("docs/SLO.md"))?;
    let mut in_table = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if !line.starts_with('|') {
            in_table = false;
        } else if line.contains("| expression |") {
            in_table = true;
        } else if in_table && let Some(expression) = line.split('`').nth(1) {
            found.push(expression.to_owned());
        }
    }
    if found.len() < 10 {
        bail!("docs/SLO.md has another form than this check knows: {} expressions found", found.len());
    }
    Ok(found)
}

fn interval(kit: &Kit<'_>) -> Result<u64> {
    let mut longest = 0;
    for name in ["single", "regional", "hub", "agent"] {
        let config = documents::yaml(&kit.packaging(&format!("prometheus/{name}.yml")))?;
        let seconds: u64 = text(&config["global"]["scrape_interval"])
            .strip_suffix('s')
            .and_then(|seconds| seconds.parse().ok())
            .with_context(|| format!("{name}.yml has no scrape_interval in seconds"))?;
        longest = longest.max(seconds * 1000);
    }
    Ok(longest)
}

fn walk(node: &Value, visit: &mut impl FnMut(&Value)) {
    visit(node);
    match node {
        Value::Object(fields) => fields.values().for_each(|field| walk(field, visit)),
        Value::Array(nodes) => nodes.iter().for_each(|node| walk(node, visit)),
        _ => {}
    }
}

fn inspect(node: &Value, known: &Known, faults: &mut Vec<String>) {
    let kind = text(&node["type"]);
    if node["matchers"].is_array() {
        let name = text(&node["name"]);
        // A selector by labels alone is about all metrics.
        if name.is_empty() {
            return;
        }
        let raw = known.catalogue.contains(name) || OF_TARGETS.contains(&name);
        if !raw && !known.recorded.contains(name) && !known.own.contains(name) {
            faults.push(format!("there is no metric {name:?}"));
        }
        let job = |matcher: &Value| matcher["name"] == "job" && text(&matcher["value"]).starts_with("uidmeter");
        if raw && !items(&node["matchers"]).iter().any(job) {
            faults.push(format!("{name} of any job: add job=\"uidmeter\""));
        }
        if kind == "matrixSelector" && node["range"].as_u64().unwrap_or(0) < SCRAPES_IN_A_RANGE * known.interval {
            faults.push(format!("{name} over less than {SCRAPES_IN_A_RANGE} scrapes"));
        }
    }
    if kind == "call" {
        let function = text(&node["func"]["name"]);
        if ["irate", "idelta"].contains(&function) {
            faults.push(format!("{function} sees two samples, not a range"));
        }
        let counter = ["_total", "_count", "_bucket", "_sum"];
        if ["rate", "increase", "resets"].contains(&function)
            && let Some(series) = items(&node["args"]).first().map(|range| text(&range["name"]))
            && !counter.iter().any(|end| series.ends_with(end))
        {
            faults.push(format!("{function} of {series:?}, which is no counter"));
        }
    }
}

/// `level:metric:operations`, and a `rate5m` over five minutes.
fn recording(rule: &Rule, tree: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    let parts: Vec<&str> = rule.name.split(':').collect();
    let level = parts.first().copied().unwrap_or_default();
    if parts.len() != 3 || !["instance", "instance_user", "cluster", "cluster_user"].contains(&level) {
        faults.push("its name is not level:metric:operations".to_owned());
    }
    if rule.name.ends_with("rate5m") {
        walk(tree, &mut |node| {
            if node["type"] == "matrixSelector" && node["range"] != 300_000 {
                faults.push("its name says 5m, its expression another time".to_owned());
            }
        });
    }
    faults
}

fn alert(rule: &Rule, tree: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    let label = |name: &str| text(&rule.labels[name]);
    if !SEVERITIES.contains(&(label("priority"), label("severity"))) {
        faults.push(format!("priority {:?} with severity {:?}", label("priority"), label("severity")));
    }
    if !TEAMS.contains(&label("team")) {
        faults.push(format!("there is no team {:?}", label("team")));
    }
    for name in ["summary", "description", "impact", "remediation", "runbook_url"] {
        if text(&rule.annotations[name]).is_empty() {
            faults.push(format!("no {name}"));
        }
    }
    if is_rate(tree) {
        for name in ["summary", "description"] {
            if let Some(place) = words::misnamed(text(&rule.annotations[name])) {
                faults.push(format!("its value is a rate, and {name} does not say so: {place}"));
            }
        }
    }
    faults
}

/// Whether the value of an expression is one of `rate`: that of the left side of comparisons, and of what aggregations take.
fn is_rate(tree: &Value) -> bool {
    match text(&tree["type"]) {
        "call" => {
            let name = text(&tree["func"]["name"]);
            ["rate", "irate"].contains(&name)
                || name == "histogram_quantile" && items(&tree["args"]).iter().any(is_rate)
        }
        // A number of series is none of their values.
        "aggregation" => tree["op"] != "count" && is_rate(&tree["expr"]),
        "binaryExpr" => is_rate(&tree["lhs"]) || (!is_comparison(tree) && is_rate(&tree["rhs"])),
        "parenExpr" | "unaryExpr" => is_rate(&tree["expr"]),
        "vectorSelector" => text(&tree["name"]).ends_with(":rate5m"),
        _ => false,
    }
}

fn is_comparison(tree: &Value) -> bool {
    [">", "<", ">=", "<=", "==", "!=", "and", "unless", "or"].contains(&text(&tree["op"]))
}
