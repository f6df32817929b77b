//! Every expression of every panel, asked of real Prometheis that scrape simulated hosts: sid's takes native histograms, bookworm's
//! knows only classic ones. A third host serves the collector's golden page, which has families that a simulated host lacks: limits,
//! probes, certificates.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::super::super::kit::{Kit, debian};
use super::super::super::server::Server;
use super::super::super::simulated::Host;
use super::hosts;
use crate::dashboards::{self, Dashboard, lint};
use crate::packages::Wanted;

/// Panels that stay empty on such hosts, as `dashboard: panel: query`, and why. One that is answered must go from here.
const UNANSWERED: &[(&str, &str)] = &[(
    "host: OOM kills by user and limit: 1",
    "lists users of whom something was killed in this time; nobody's processes are, neither there nor on a page that never changes",
)];
/// What stands for Grafana's variables when all is chosen, beside what a dashboard says itself.
const ALL: [(&str, &str); 4] =
    [("$__rate_interval", "30s"), ("$__range", "1m"), ("$job", "(uidmeter)"), ("$top", "10")];
/// All of them for two of each, as Grafana writes that.
const SOME: [(&str, &str); 7] = [
    ("$__rate_interval", "1m"),
    ("$__range", "6h"),
    ("$job", "(uidmeter|other)"),
    ("$cluster", "(north|south)"),
    ("$instance", "(127\\\\.0\\\\.0\\\\.1:1|127\\\\.0\\\\.0\\\\.1:2)"),
    ("$user", "(user20000|root)"),
    ("$top", "5"),
];
/// How long expressions may stay without data.
const PATIENCE: Duration = Duration::from_secs(40);
/// Native histograms are there, or they are not.
const NATIVE: &str = "histogram_count(sum(rate(uidmeter_run_queue_latency_seconds[30s])))";

pub(super) fn check(kit: &Kit<'_>) -> Result<()> {
    let simulated = [1, 2].map(|seed| Host::start(kit, 12, seed));
    let golden = kit.project().root().join("collector/tests/golden/metrics.txt");
    let golden = hosts::page(fs::read_to_string(&golden).with_context(|| format!("no {}", golden.display()))?)?;
    let mut targets = Vec::new();
    for (host, cluster) in simulated.iter().zip(["north", "south"]) {
        let host = host.as_ref().map_err(|error| anyhow::anyhow!("{error:#}"))?;
        targets.push(format!("{{targets: ['{}'], labels: {{cluster: {cluster}}}}}", host.address));
    }
    targets.push(format!("{{targets: ['{golden}'], labels: {{cluster: north}}}}"));
    let config = kit.scratch().join("boards.yml");
    let rules = kit.scratch().join("boards-rules.yml");
    // Some alert must fire for the panels that list them.
    let alert = "{alert: UidmeterAnswers, expr: up == 1, labels: {severity: info}}";
    fs::write(&rules, format!("groups: [{{name: boards, interval: 1s, rules: [{alert}]}}]\n"))?;
    fs::write(
        &config,
        format!(
            "global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}\nrule_files: ['{}']\n\
             scrape_configs:\n- {{job_name: uidmeter, static_configs: [{}]}}\n",
            rules.display(),
            targets.join(", ")
        ),
    )?;
    let boards = dashboards::shipped(kit.project())?;
    let newest = start(kit, "sid", &config, &["--enable-feature=native-histograms"])?;
    let oldest = start(kit, "bookworm", &config, &[])?;
    ask(&newest, &boards).context("Prometheus of sid, native histograms")?;
    ask(&oldest, &boards).context("Prometheus of bookworm, classic histograms")?;
    if newest.query(NATIVE)?.is_empty() || !oldest.query(NATIVE)?.is_empty() {
        bail!("native histograms should be with sid's Prometheus, and only there: one way of asking was not tried");
    }
    Ok(())
}

fn start(kit: &Kit<'_>, suite: &'static str, config: &Path, flags: &[&str]) -> Result<Server> {
    let program = debian(Wanted { suite, pattern: "prometheus" }, "usr/bin/prometheus")?;
    Server::prometheus(&program, config, &kit.scratch().join(suite), flags)
}

/// Asks until each has been answered.
fn ask(server: &Server, boards: &[Dashboard]) -> Result<()> {
    let begun = Instant::now();
    let mut open: Vec<Question> = boards.iter().flat_map(questions).collect();
    for Question { name, expressions, .. } in &open {
        for expression in expressions {
            // Other choices need not have data, but must be understood.
            server.query(&filled(expression, &SOME)).with_context(|| name.clone())?;
        }
    }
    let expected: BTreeSet<&str> = UNANSWERED.iter().map(|(name, _)| *name).collect();
    loop {
        let mut left = Vec::new();
        for question in open {
            let answers = question.answers(server).with_context(|| question.name.clone())?;
            if answers > 1 {
                bail!("{}: native and classic buckets would both be drawn", question.name);
            }
            if answers == 0 {
                left.push(question);
            }
        }
        open = left;
        let silent: Vec<&Question> = open.iter().filter(|one| !expected.contains(one.name.as_str())).collect();
        if silent.is_empty() {
            break;
        }
        if begun.elapsed() > PATIENCE {
            let silent: Vec<String> =
                silent.iter().map(|one| format!("{}: {}", one.name, one.expressions.join("\n or "))).collect();
            bail!("these have no data:\n{}", silent.join("\n"));
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    let open: BTreeSet<&str> = open.iter().map(|one| one.name.as_str()).collect();
    if let Some(stale) = expected.iter().find(|name| !open.contains(*name)) {
        bail!("{stale} is answered, or is gone: take it from the list of those without data");
    }
    Ok(())
}

/// Something that needs one answer.
struct Question {
    name: String,
    /// More than one where each is for another kind of histogram.
    expressions: Vec<String>,
    /// What stands for the variables when all is chosen.
    all: Rc<Vec<(String, String)>>,
}

impl Question {
    /// How many expressions are answered with data.
    fn answers(&self, server: &Server) -> Result<usize> {
        let mut answers = 0;
        for expression in &self.expressions {
            if server.query(&filled(expression, &self.all))?.iter().any(says_something) {
                answers += 1;
            }
        }
        Ok(answers)
    }
}

/// What a dashboard asks: its variables' values, and the expressions of its panels, by name.
fn questions(board: &Dashboard) -> Vec<Question> {
    let mut found = Vec::new();
    let variables: Vec<&Value> = board.document["templating"]["list"].as_array().into_iter().flatten().collect();
    let own = variables.iter().filter_map(|variable| {
        Some((format!("${}", variable["name"].as_str()?), variable["allValue"].as_str()?.to_owned()))
    });
    let all = ALL.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let all = Rc::new(own.chain(all).collect::<Vec<_>>());
    for variable in variables {
        let values = variable["query"]["query"].as_str().and_then(|text| text.strip_prefix("label_values("));
        // PromQL has no label_values; Grafana asks the API for the same series.
        if let Some((series, label)) = values.and_then(|text| text.strip_suffix(')')?.rsplit_once(',')) {
            let label = label.trim();
            let expressions = vec![format!("group by ({label}) ({series})")];
            let name = format!("{}: the choice of {label}", board.name);
            found.push(Question { name, expressions, all: Rc::clone(&all) });
        }
    }
    for panel in lint::panels(&board.document) {
        let name = format!("{}: {}", board.name, panel["title"].as_str().unwrap_or_default());
        let expressions: Vec<String> = lint::expressions(panel).map(str::to_owned).collect();
        if panel["type"] == "heatmap" {
            found.push(Question { name, expressions, all: Rc::clone(&all) });
        } else {
            found.extend(expressions.into_iter().zip(1..).map(|(one, at)| Question {
                name: format!("{name}: {at}"),
                expressions: vec![one],
                all: Rc::clone(&all),
            }));
        }
    }
    found
}

fn filled<T: AsRef<str>>(expression: &str, values: &[(T, T)]) -> String {
    values.iter().fold(expression.to_owned(), |text, (name, value)| text.replace(name.as_ref(), value.as_ref()))
}

/// Whether a sample is more than "not a number", as a quotient of nothing is.
fn says_something(sample: &Value) -> bool {
    sample.get("histogram").is_some() || sample["value"][1].as_str().is_some_and(|value| value != "NaN")
}
