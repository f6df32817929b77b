//! `promtool test rules`: the cases in `packaging/prometheus/tests`, that each rule has one, and that no message comes out broken.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::thread;

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::documents::{self, items, text};
use super::promtool;
use crate::fleet::kit::Kit;
use crate::process;

/// promtool uses one CPU.
const WORKERS: usize = 2;

pub(super) fn run(kit: &Kit<'_>) -> Result<()> {
    let mut seen = BTreeSet::new();
    let mut quiet = BTreeSet::new();
    let files = documents::files(&kit.packaging("prometheus/tests"))?;
    let mut documents = BTreeMap::new();
    for file in &files {
        let document = documents::yaml(file)?;
        for case in items(&document["tests"]).iter().flat_map(|test| items(&test["promql_expr_test"])) {
            let subject = subject(text(&case["expr"])).to_owned();
            if items(&case["exp_samples"]).is_empty() {
                quiet.insert(subject);
            } else {
                seen.insert(subject);
            }
        }
        documents.insert(file.as_path(), document);
    }
    let rules = documents::rules(kit)?;
    let without: Vec<String> = rules
        .iter()
        // What always fires is never quiet.
        .filter(|rule| {
            !seen.contains(&rule.name) || rule.alert && rule.expression != "vector(1)" && !quiet.contains(&rule.name)
        })
        .map(|rule| format!("{} in {}", rule.name, rule.file))
        .collect();
    if !without.is_empty() {
        bail!(
            "rules without a case (an alert needs one in which it fires and one in which it does not): {}",
            without.join(", ")
        );
    }
    println!("    {} rules, each with a case", rules.len());
    let documents: Vec<(&Path, Value)> = documents.into_iter().collect();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS)
            .map(|number| {
                let share = documents.iter().skip(number).step_by(WORKERS);
                scope.spawn(move || share.into_iter().try_for_each(|(file, document)| one(kit, file, document)))
            })
            .collect();
        workers.into_iter().try_for_each(|worker| worker.join().unwrap_or_else(|_| bail!("a worker came to grief")))
    })
}

/// One file with cases.
fn one(kit: &Kit<'_>, file: &Path, document: &Value) -> Result<()> {
    process::capture(promtool("sid")?.args(["test", "rules"]).arg(file))?;
    messages(kit, file, document)
}

/// Which rule a case is about: the name of a series, or of an alert in `ALERTS{alertname="NAME",…}`.
fn subject(expression: &str) -> &str {
    let Some((_, rest)) = expression.split_once("alertname=\"") else { return expression };
    rest.split('"').next().unwrap_or_default()
}

/// Renders the messages of all alerts of a file: promtool shows them when nothing was expected.
fn messages(kit: &Kit<'_>, file: &Path, document: &Value) -> Result<()> {
    let mut tests = Vec::new();
    let mut expected = 0;
    for test in items(&document["tests"]) {
        let fires = items(&test["promql_expr_test"]).iter().filter(|case| !items(&case["exp_samples"]).is_empty());
        let alerts: Vec<Value> = fires
            .filter(|case| text(&case["expr"]).starts_with("ALERTS{"))
            .map(|case| json!({"eval_time": case["eval_time"], "alertname": subject(text(&case["expr"])), "exp_alerts": []}))
            .collect();
        expected += alerts.len();
        tests.push(
            json!({"interval": test["interval"], "input_series": test["input_series"], "alert_rule_test": alerts}),
        );
    }
    if expected == 0 {
        return Ok(());
    }
    let folder = file.parent().unwrap_or(file);
    let rules: Vec<String> =
        items(&document["rule_files"]).iter().map(|rule| folder.join(text(rule)).display().to_string()).collect();
    let mut changed = json!({"rule_files": rules, "tests": tests});
    if document["evaluation_interval"].is_string() {
        changed["evaluation_interval"] = document["evaluation_interval"].clone();
    }
    let path = kit.scratch().join(format!("messages-{}", file.file_name().unwrap_or_default().display()));
    documents::write(&path, &changed)?;
    let output = promtool("sid")?.args(["test", "rules"]).arg(&path).output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    let rendered: Vec<&str> = said.lines().filter(|line| line.trim_start().starts_with("Annotations:{")).collect();
    if rendered.len() < expected {
        bail!("{}: {} messages instead of {expected}\n{said}", file.display(), rendered.len());
    }
    for line in rendered {
        for broken in ["<error", "<no value>", "%!", "NaN", "=\"\""] {
            if line.contains(broken) {
                bail!("a message contains {broken:?}: {line}");
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::subject;

    #[test]
    fn a_case_is_about_a_series_or_an_alert() {
        assert_eq!(subject("cluster:uidmeter_up:sum"), "cluster:uidmeter_up:sum");
        assert_eq!(subject(r#"ALERTS{alertname="UidmeterHostDown",alertstate="firing"}"#), "UidmeterHostDown");
    }
}
