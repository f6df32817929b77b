//! What there is to show: the metrics of docs/METRICS.md, which a test in the collector holds to the table in code, the series that
//! every Prometheus makes by itself, and the names that the kit's recording rules record. Reads those files only.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::{Context as _, Result, bail};

use crate::project::Project;

/// Series that Prometheus writes for each target, or for each alert, without having scraped them.
const OF_PROMETHEUS: [(&str, &str); 5] = [
    ("up", ""),
    ("scrape_duration_seconds", "seconds"),
    ("scrape_samples_scraped", ""),
    ("scrape_series_added", ""),
    ("ALERTS", ""),
];

/// How a metric behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Only grows: to be looked at through `rate` or `increase`.
    Counter,
    Gauge,
    /// With classic buckets, and perhaps native ones.
    Histogram {
        native: bool,
    },
    /// A rule has made it of others.
    Recorded,
}

/// One family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Metric {
    pub(crate) kind: Kind,
    /// In words, as `seconds`; empty if it counts things.
    pub(crate) unit: String,
    /// Without those of the target.
    pub(crate) labels: Vec<String>,
}

/// What the name of a series stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Series {
    pub(crate) metric: Metric,
    /// Whether the series itself only grows.
    pub(crate) grows: bool,
}

/// Every name that an expression may use.
pub(crate) struct Catalogue {
    metrics: BTreeMap<String, Metric>,
}

impl Catalogue {
    /// What stands in this project now.
    ///
    /// # Errors
    /// A file cannot be read, or docs/METRICS.md does not look as it should.
    pub(crate) fn read(project: &Project) -> Result<Self> {
        let path = project.root().join("docs/METRICS.md");
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let mut catalogue = Self::parse(&text)?;
        for name in recorded(project)? {
            let metric = by_rule(&name);
            catalogue.metrics.insert(name, metric);
        }
        Ok(catalogue)
    }

    /// The tables of the document, and what Prometheus adds.
    ///
    /// # Errors
    /// It has no table, or a row that cannot be understood.
    pub(crate) fn parse(document: &str) -> Result<Self> {
        let mut metrics = BTreeMap::new();
        for line in document.lines().filter(|line| line.starts_with("| `")) {
            let (name, metric) = row(line).with_context(|| format!("docs/METRICS.md has an odd row: {line}"))?;
            metrics.insert(name, metric);
        }
        if metrics.is_empty() {
            bail!("docs/METRICS.md has no table of metrics: run `cargo xtask docs`");
        }
        for (name, unit) in OF_PROMETHEUS {
            let metric = Metric { kind: Kind::Gauge, unit: unit.to_owned(), labels: Vec::new() };
            metrics.insert(name.to_owned(), metric);
        }
        Ok(Self { metrics })
    }

    /// What `name` stands for: a family, or a part of a histogram.
    ///
    /// # Errors
    /// Nothing is called so. The message names the nearest that is, if one is near.
    pub(crate) fn find(&self, name: &str) -> Result<Series> {
        if let Some(metric) = self.metrics.get(name) {
            let grows = match metric.kind {
                Kind::Counter | Kind::Histogram { native: true } => true,
                Kind::Gauge | Kind::Recorded => false,
                Kind::Histogram { native: false } => {
                    bail!("{name} has classic buckets only: name {name}_bucket, {name}_sum or {name}_count")
                }
            };
            return Ok(Series { metric: metric.clone(), grows });
        }
        for part in ["_bucket", "_sum", "_count"] {
            let family = name.strip_suffix(part).and_then(|family| self.metrics.get(family));
            if let Some(metric) = family
                && matches!(metric.kind, Kind::Histogram { .. })
            {
                let unit = if part == "_sum" { metric.unit.clone() } else { String::new() };
                return Ok(Series { metric: Metric { unit, ..metric.clone() }, grows: true });
            }
        }
        bail!(
            "there is no metric {name:?} in docs/METRICS.md, and no recording rule of that name: \
             was it renamed? Correct packaging/grafana/source"
        )
    }
}

/// What a rule records under `level:metric:operations`: the level names the labels that are left.
fn by_rule(name: &str) -> Metric {
    let level = name.split(':').next().unwrap_or_default();
    let labels = level.split('_').map(str::to_owned).collect();
    Metric { kind: Kind::Recorded, unit: String::new(), labels }
}

/// One row of a table: name, type, unit, labels, meaning, source.
fn row(line: &str) -> Option<(String, Metric)> {
    let mut cells = line.trim_matches('|').split(" | ").map(str::trim);
    let name = cells.next()?.strip_prefix('`')?.strip_suffix('`')?;
    let kind = match cells.next()? {
        "counter" => Kind::Counter,
        "gauge" => Kind::Gauge,
        "histogram" => Kind::Histogram { native: false },
        "histogram, native and classic" => Kind::Histogram { native: true },
        _ => return None,
    };
    let unit = Some(cells.next()?).filter(|unit| *unit != "–").unwrap_or_default().to_owned();
    let labels = cells.next()?.split(", ").filter_map(|label| label.strip_prefix('`')?.strip_suffix('`'));
    let labels = labels.map(str::to_owned).collect();
    Some((name.to_owned(), Metric { kind, unit, labels }))
}

/// The names in `record:` of the kit's rules.
fn recorded(project: &Project) -> Result<BTreeSet<String>> {
    let folder = project.root().join("packaging/prometheus/rules");
    let mut names = BTreeSet::new();
    if !folder.is_dir() {
        return Ok(names);
    }
    for entry in fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let path = entry?.path();
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let lines = text.lines().filter_map(|line| line.trim_start_matches([' ', '-']).strip_prefix("record:"));
        names.extend(lines.map(|name| name.trim().trim_matches(['"', '\'']).to_owned()));
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = "
| metric | type | unit | labels | meaning | counted by |
|---|---|---|---|---|---|
| `x_seconds_total` | counter | seconds | `uid`, `user`, `mode` | Time. `mode` is `a` or `b`. | `this | that` |
| `x_wait_seconds` | histogram, native and classic | seconds | `uid` | Waits. | it |
| `x_tick_seconds` | histogram | seconds | – | Ticks. | it |
| `x_hosts` | gauge | – | – | Hosts. | it |
";

    #[test]
    fn a_row_is_read_with_its_type_unit_and_labels() -> Result<()> {
        let catalogue = Catalogue::parse(DOCUMENT)?;
        let found = catalogue.find("x_seconds_total")?;
        assert_eq!((found.metric.kind, found.metric.unit.as_str(), found.grows), (Kind::Counter, "seconds", true));
        assert_eq!(found.metric.labels, ["uid", "user", "mode"]);
        let hosts = catalogue.find("x_hosts")?;
        assert!(hosts.metric.unit.is_empty() && hosts.metric.labels.is_empty() && !hosts.grows);
        assert!(!catalogue.find("up")?.grows);
        Ok(())
    }

    #[test]
    fn parts_of_histograms_are_series_and_the_whole_only_if_it_has_native_buckets() -> Result<()> {
        let catalogue = Catalogue::parse(DOCUMENT)?;
        assert!(catalogue.find("x_wait_seconds")?.grows);
        assert_eq!(catalogue.find("x_tick_seconds_sum")?.metric.unit, "seconds");
        assert_eq!(catalogue.find("x_tick_seconds_bucket")?.metric.unit, "");
        for absent in ["x_tick_seconds", "x_hosts_count", "x_hosts_total", "x_seconds"] {
            assert!(catalogue.find(absent).is_err(), "{absent}");
        }
        Ok(())
    }

    #[test]
    fn a_recorded_series_has_the_labels_of_its_level() {
        let metric = by_rule("cluster_user:uidmeter_cpu_seconds:rate5m");
        assert_eq!((metric.kind, metric.labels), (Kind::Recorded, vec!["cluster".to_owned(), "user".to_owned()]));
    }

    #[test]
    fn a_document_without_tables_or_with_an_unknown_type_is_refused() {
        assert!(Catalogue::parse("# Metrics\n").is_err());
        assert!(Catalogue::parse(&DOCUMENT.replace("| gauge", "| summary")).is_err());
    }
}
