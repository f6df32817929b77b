//! A description and the catalogue become the dashboard that Grafana reads: variables, links, rows one below the other. Pure.

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::catalogue::Catalogue;
use super::panel;
use super::source::{Row, Source};

/// Columns of Grafana's grid.
pub(crate) const COLUMNS: u32 = 24;
/// Grafana's version of the form, understood from 10.4 on; newer ones migrate it when they load it.
const SCHEMA: u32 = 39;

/// The whole document.
///
/// # Errors
/// A metric that does not exist, a unit that cannot be told, or a panel that is wider than the grid.
pub(crate) fn document(source: &Source, catalogue: &Catalogue) -> Result<Value> {
    Ok(json!({
        "uid": source.uid,
        "title": format!("uidmeter / {}", source.title),
        "description": source.description,
        "tags": ["uidmeter"],
        "schemaVersion": SCHEMA,
        "editable": false,
        // One crosshair over all panels: what happened at the same time stands out.
        "graphTooltip": 1,
        "refresh": source.refresh,
        "time": { "from": format!("now-{}", source.span), "to": "now" },
        "timezone": "browser",
        "fiscalYearStartMonth": 0,
        "annotations": { "list": [] },
        "links": [links()],
        "templating": { "list": variables(source.users) },
        "panels": panels(source, catalogue)?,
    }))
}

/// To the other dashboards, for the same time and choice.
fn links() -> Value {
    json!({
        "type": "dashboards",
        "title": "uidmeter",
        "tooltip": "the other dashboards, for the same hosts, users and time",
        "icon": "external link",
        "url": "",
        "tags": ["uidmeter"],
        "asDropdown": true,
        "includeVars": true,
        "keepTime": true,
        "targetBlank": false,
    })
}

/// What can be chosen. Each is offered what the choices before it leave.
fn variables(users: bool) -> Vec<Value> {
    let mut all = vec![
        json!({
            "name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus",
            "refresh": 1, "hide": 0, "regex": "", "includeAll": false, "multi": false, "options": [],
        }),
        // All means all jobs that are uidmeter's: with `.+`, `up` would count every target there is.
        query("job", "Job", "label_values(uidmeter_build_info, job)", None),
        // `.*`: where targets have no such label, All still means all.
        query("cluster", "Cluster", "label_values(uidmeter_build_info{job=~\"$job\"}, cluster)", Some(".*")),
        query(
            "instance",
            "Host",
            "label_values(uidmeter_build_info{job=~\"$job\",cluster=~\"$cluster\"}, instance)",
            Some(".+"),
        ),
    ];
    if users {
        let values = "label_values(uidmeter_cpu_seconds_total{job=~\"$job\",cluster=~\"$cluster\",instance=~\"$instance\"}, user)";
        // Before Prometheus 3, a dot does not stand for the end of a line, and a directory may have any name.
        all.push(query("user", "User", values, Some("(?s).+")));
    }
    let options = ["5", "10", "20", "50"].map(|n| json!({ "selected": n == "10", "text": n, "value": n }));
    all.push(json!({
        "name": "top", "label": "Top", "type": "custom", "query": "5,10,20,50", "hide": 0,
        "includeAll": false, "multi": false,
        "current": { "selected": true, "text": "10", "value": "10" },
        "options": options,
    }));
    all
}

fn query(name: &str, label: &str, values: &str, all: Option<&str>) -> Value {
    let mut variable = json!({
        "name": name, "label": label, "type": "query", "hide": 0,
        "datasource": panel::datasource(),
        "query": { "query": values, "refId": name },
        // When the time changes: who is gone for a year need not be offered.
        "refresh": 2,
        "sort": 1, "regex": "", "multi": true, "includeAll": true, "options": [],
        "current": { "selected": true, "text": ["All"], "value": ["$__all"] },
    });
    if let Some(all) = all {
        variable["allValue"] = all.into();
    }
    variable
}

/// Rows and their panels, with their places.
fn panels(source: &Source, catalogue: &Catalogue) -> Result<Vec<Value>> {
    let (mut all, mut y, mut id) = (Vec::new(), 0, 0);
    let mut next_id = || {
        id += 1;
        id
    };
    for row in &source.row {
        let context = || format!("{}, row {:?}", source.uid, row.title);
        let mut heading = json!({
            "type": "row", "id": next_id(), "title": row.title, "collapsed": row.folded,
            "gridPos": { "x": 0, "y": y, "w": COLUMNS, "h": 1 }, "panels": [],
        });
        let (places, end) = places(row, y + 1).with_context(context)?;
        let mut inside = Vec::new();
        for (panel, place) in row.panel.iter().zip(places) {
            let context = || format!("{}, panel {:?}", source.uid, panel.title);
            let mut value = panel::document(panel, source.users, catalogue).with_context(context)?;
            value["id"] = next_id().into();
            value["gridPos"] = place;
            inside.push(value);
        }
        if row.folded {
            heading["panels"] = inside.into();
            all.push(heading);
            y += 1;
        } else {
            all.push(heading);
            all.append(&mut inside);
            y = end;
        }
    }
    Ok(all)
}

/// Where the panels of a row go, from the line `top` on: side by side while they fit. And the line after them.
fn places(row: &Row, top: u32) -> Result<(Vec<Value>, u32)> {
    let (mut places, mut x, mut y, mut tallest) = (Vec::new(), 0, top, 0);
    for panel in &row.panel {
        let (w, h) = (panel.width, panel.height);
        if w == 0 || w > COLUMNS || h == 0 {
            bail!("{:?} is {w} wide and {h} high: at most {COLUMNS} wide, and at least 1 each", panel.title);
        }
        if x + w > COLUMNS {
            (x, y, tallest) = (0, y + tallest, 0);
        }
        places.push(json!({ "x": x, "y": y, "w": w, "h": h }));
        x += w;
        tallest = tallest.max(h);
    }
    Ok((places, y + tallest))
}
