//! One panel: its queries with the matchers that every series gets, its unit, and how Grafana draws it. Pure.

use anyhow::{Context as _, Result};
use serde_json::{Map, Value, json};

use super::catalogue::{Catalogue, Kind};
use super::expression::{self, Selector};
use super::lint;
use super::source::{Panel, Query, Show, Target, Thresholds};
use super::units;

/// The Prometheus that has been chosen.
pub(super) fn datasource() -> Value {
    json!({ "type": "prometheus", "uid": "${datasource}" })
}

/// The panel without its place.
///
/// # Errors
/// A metric that does not exist, or a unit that cannot be told.
pub(super) fn document(panel: &Panel, users: bool, catalogue: &Catalogue) -> Result<Value> {
    let mut targets = Vec::new();
    for (query, letter) in panel.query.iter().zip('A'..='Z') {
        targets.push(target(panel, query, letter, users, catalogue)?);
    }
    let mut value = json!({
        "type": match panel.show {
            Show::Number => "stat",
            Show::Lines => "timeseries",
            Show::Table => "table",
            Show::Heatmap => "heatmap",
            Show::Bars => "bargauge",
        },
        "title": panel.title,
        "description": panel.description,
        "datasource": datasource(),
        "targets": targets,
        "fieldConfig": { "defaults": defaults(panel, catalogue)?, "overrides": overrides(panel, catalogue)? },
        "options": options(panel),
    });
    if panel.show == Show::Table {
        value["transformations"] = columns(panel);
    }
    Ok(value)
}

fn target(panel: &Panel, query: &Query, letter: char, users: bool, catalogue: &Catalogue) -> Result<Value> {
    let add = |selector: &Selector<'_>| matchers(selector, users && !query.everybody, catalogue);
    let expression = expression::with_matchers(query.expression.trim(), add)?;
    // What shows one value for each series asks once; what shows a course asks for it.
    let instant = matches!(panel.show, Show::Number | Show::Table | Show::Bars);
    let format = match panel.show {
        Show::Table => "table",
        Show::Heatmap => "heatmap",
        _ => "time_series",
    };
    Ok(json!({
        "refId": letter.to_string(),
        "datasource": datasource(),
        "editorMode": "code",
        "expr": expression,
        "legendFormat": if query.legend.is_empty() { "__auto" } else { &query.legend },
        "format": format,
        "instant": instant,
        "range": !instant,
    }))
}

/// What is chosen above: every series stands for the targets, and where it can for the users. One that a rule has recorded has the
/// labels of its level only.
fn matchers(selector: &Selector<'_>, users: bool, catalogue: &Catalogue) -> Result<String> {
    let metric = catalogue.find(selector.name)?.metric;
    let has = |label: &str| metric.labels.iter().any(|own| own == label);
    // An alert has the labels that its rule has left, perhaps none.
    let or_none = if selector.name == "ALERTS" { "|" } else { "" };
    let mut labels: Vec<&str> =
        lint::OF_TARGET.into_iter().filter(|label| metric.kind != Kind::Recorded || has(label)).collect();
    if users && has("user") {
        labels.push("user");
    }
    let matchers: Vec<String> = labels.iter().map(|label| format!(r#"{label}=~"${label}{or_none}""#)).collect();
    Ok(matchers.join(","))
}

fn defaults(panel: &Panel, catalogue: &Catalogue) -> Result<Value> {
    let mut defaults = Map::new();
    defaults.insert("unit".to_owned(), unit(panel, catalogue)?.into());
    let mut add = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            defaults.insert(name.to_owned(), value);
        }
    };
    add("decimals", panel.decimals.map(Value::from));
    add("min", panel.min.map(Value::from));
    add("max", panel.max.map(Value::from));
    add("noValue", panel.nothing.as_deref().map(Value::from));
    add("mappings", Some(mappings(panel)));
    add("thresholds", Some(thresholds(panel.thresholds)));
    add("color", Some(color(panel)));
    add("links", panel.opens.map(|target| json!([link(target, panel.show)])));
    match panel.show {
        Show::Lines => add("custom", Some(line(panel))),
        Show::Table => {
            add("custom", Some(json!({ "align": "auto", "inspect": false, "cellOptions": { "type": "auto" } })));
        }
        Show::Heatmap | Show::Number | Show::Bars => {}
    }
    Ok(Value::Object(defaults))
}

/// What the description says, else what the catalogue knows.
fn unit(panel: &Panel, catalogue: &Catalogue) -> Result<String> {
    if let Some(unit) = &panel.unit {
        return Ok(unit.clone());
    }
    let first = panel.query.first().context("it has no query")?;
    first.unit.clone().map_or_else(|| units::of(&first.expression, catalogue), Ok)
}

/// A colour for each state where there are states, else one for each series.
fn color(panel: &Panel) -> Value {
    match (panel.show, panel.thresholds) {
        (Show::Number | Show::Table | Show::Bars, Some(_)) => json!({ "mode": "thresholds" }),
        (Show::Number | Show::Bars, None) => json!({ "mode": "fixed", "fixedColor": "blue" }),
        _ => json!({ "mode": "palette-classic" }),
    }
}

fn mappings(panel: &Panel) -> Value {
    let words = panel.words.iter().enumerate();
    let options: Map<String, Value> =
        words.map(|(index, (value, text))| (value.clone(), json!({ "text": text, "index": index }))).collect();
    if options.is_empty() { json!([]) } else { json!([{ "type": "value", "options": options }]) }
}

fn thresholds(thresholds: Option<Thresholds>) -> Value {
    let step = |color: &str, value: Option<f64>| json!({ "color": color, "value": value });
    let steps = match thresholds {
        None => vec![step("green", None)],
        Some(Thresholds { warn, bad }) if warn <= bad => {
            vec![step("green", None), step("orange", Some(warn)), step("red", Some(bad))]
        }
        Some(Thresholds { warn, bad }) => {
            vec![step("red", None), step("orange", Some(bad)), step("green", Some(warn))]
        }
    };
    json!({ "mode": "absolute", "steps": steps })
}

/// The dashboard of one host or user, for the series that was clicked.
fn link(target: Target, show: Show) -> Value {
    let (uid, title, label) = match target {
        Target::Host => ("uidmeter-host", "This host", "instance"),
        Target::User => ("uidmeter-user", "This user", "user"),
    };
    let clicked = match show {
        Show::Table => format!("${{__data.fields.{label}:percentencode}}"),
        _ => format!("${{__field.labels.{label}:percentencode}}"),
    };
    let mut kept = "${datasource:queryparam}&${job:queryparam}&${cluster:queryparam}".to_owned();
    if label != "instance" {
        kept.push_str("&${instance:queryparam}");
    }
    json!({
        "title": title,
        "url": format!("/d/{uid}?{kept}&var-{label}={clicked}&${{__url_time_range}}"),
        "targetBlank": false,
    })
}

fn line(panel: &Panel) -> Value {
    json!({
        "drawStyle": "line",
        "lineInterpolation": "linear",
        "lineWidth": 1,
        "fillOpacity": if panel.stacked { 40 } else { 5 },
        "showPoints": "never",
        // A gap is a gap: nothing was scraped.
        "spanNulls": false,
        "stacking": { "mode": if panel.stacked { "normal" } else { "none" }, "group": "A" },
        "thresholdsStyle": { "mode": if panel.thresholds.is_some() { "dashed" } else { "off" } },
    })
}

fn options(panel: &Panel) -> Value {
    let reduce = json!({ "calcs": ["lastNotNull"], "fields": "", "values": false });
    match panel.show {
        Show::Number => json!({
            "colorMode": if panel.thresholds.is_some() { "background" } else { "value" },
            "graphMode": "none", "justifyMode": "auto", "orientation": "auto", "textMode": "auto",
            "percentChangeColorMode": "standard", "showPercentChange": false, "wideLayout": true,
            "reduceOptions": reduce,
        }),
        Show::Lines => json!({
            "legend": {
                "showLegend": true, "displayMode": "table", "placement": if panel.width > 12 { "right" } else { "bottom" },
                "calcs": ["mean", "max"], "sortBy": "Max", "sortDesc": true,
            },
            "tooltip": { "mode": "multi", "sort": "desc" },
        }),
        Show::Table => {
            let by = panel.query.first().map(|query| query.legend.clone());
            json!({
                "cellHeight": "sm", "frameIndex": 0, "showHeader": true, "enablePagination": true,
                "sortBy": [{ "displayName": by, "desc": true }],
            })
        }
        Show::Heatmap => json!({
            "calculate": false,
            "cellGap": 1,
            "cellValues": { "unit": "cps" },
            "color": {
                "mode": "scheme", "scheme": "Turbo", "scale": "exponential", "exponent": 0.5, "steps": 64,
                "reverse": false, "fill": "dark-orange",
            },
            "exemplars": { "color": "rgba(255,0,255,0.7)" },
            "filterValues": { "le": 1e-9 },
            "legend": { "show": true },
            "rowsFrame": { "layout": "auto" },
            "showValue": "never",
            "tooltip": { "mode": "single", "showColorScale": true, "yHistogram": true },
            "yAxis": { "axisPlacement": "left", "reverse": false, "unit": panel.unit.as_deref().unwrap_or("s") },
        }),
        Show::Bars => json!({
            "displayMode": "gradient", "valueMode": "color", "namePlacement": "auto", "sizing": "auto",
            "orientation": "horizontal", "showUnfilled": true, "minVizWidth": 8, "minVizHeight": 16, "maxVizHeight": 300,
            "legend": { "showLegend": false, "displayMode": "list", "placement": "bottom", "calcs": [] },
            "reduceOptions": reduce,
        }),
    }
}

/// The queries of a table side by side, one row for each set of labels.
fn columns(panel: &Panel) -> Value {
    let names = panel.query.iter().zip('A'..='Z');
    let rename: Map<String, Value> =
        names.map(|(query, letter)| (format!("Value #{letter}"), query.legend.clone().into())).collect();
    let rename = if let [only] = panel.query.as_slice() {
        Map::from_iter([("Value".to_owned(), only.legend.clone().into())])
    } else {
        rename
    };
    json!([
        { "id": "merge", "options": {} },
        { "id": "organize", "options": { "excludeByName": { "Time": true }, "indexByName": {}, "renameByName": rename } },
    ])
}

/// The units of a table's columns, where they differ from that of the panel.
fn overrides(panel: &Panel, catalogue: &Catalogue) -> Result<Value> {
    let mut all = Vec::new();
    if panel.show != Show::Table {
        return Ok(all.into());
    }
    for query in &panel.query {
        let unit = match (&query.unit, &panel.unit) {
            (Some(unit), _) => unit.clone(),
            (None, Some(_)) => continue,
            (None, None) => units::of(&query.expression, catalogue)?,
        };
        all.push(json!({
            "matcher": { "id": "byName", "options": query.legend },
            "properties": [{ "id": "unit", "value": unit }],
        }));
    }
    Ok(all.into())
}
