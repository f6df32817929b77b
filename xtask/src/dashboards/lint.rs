//! What every dashboard must keep to, seen in what was made and not in what was meant: people import it as it is. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::Dashboard;
use super::board::COLUMNS;
use super::catalogue::{Catalogue, Kind};
use super::expression::{self, Selector};

/// Choices that every dashboard offers.
const VARIABLES: [&str; 4] = ["datasource", "job", "cluster", "instance"];
/// Labels of its target, by which every series is chosen.
pub(super) const OF_TARGET: [&str; 3] = ["job", "cluster", "instance"];
/// Functions that make something of a counter's growth, resets included.
const GROWTH: [&str; 4] = ["rate", "increase", "irate", "resets"];

/// One sentence for each rule that is broken.
pub(crate) fn faults(dashboards: &[Dashboard], catalogue: &Catalogue) -> Vec<String> {
    let uids: BTreeSet<&str> = dashboards.iter().filter_map(|board| board.document["uid"].as_str()).collect();
    let mut faults = Vec::new();
    if uids.len() != dashboards.len() {
        faults.push("two dashboards share a uid, or one has none".to_owned());
    }
    for Dashboard { name, document } in dashboards {
        let mut found = board(document, &uids);
        for panel in panels(document) {
            let title = panel["title"].as_str().unwrap_or_default();
            let of_panel = self::panel(panel, &uids, catalogue);
            found.extend(of_panel.into_iter().map(|fault| format!("{title:?}: {fault}")));
        }
        faults.extend(found.into_iter().map(|fault| format!("{name}: {fault}")));
    }
    faults
}

/// Its panels, those of folded rows included, without the rows.
pub(crate) fn panels(document: &Value) -> Vec<&Value> {
    let all = document["panels"].as_array().into_iter().flatten();
    all.flat_map(|panel| {
        if panel["type"] == "row" { panel["panels"].as_array().into_iter().flatten().collect() } else { vec![panel] }
    })
    .collect()
}

/// The expressions of a panel.
pub(crate) fn expressions(panel: &Value) -> impl Iterator<Item = &str> {
    panel["targets"].as_array().into_iter().flatten().filter_map(|target| target["expr"].as_str())
}

fn board(document: &Value, uids: &BTreeSet<&str>) -> Vec<String> {
    let mut faults = Vec::new();
    let variables: Vec<&Value> = document["templating"]["list"].as_array().into_iter().flatten().collect();
    let named = |name: &str| variables.iter().find(|variable| variable["name"] == name);
    for name in VARIABLES {
        if named(name).is_none() {
            faults.push(format!("nobody can choose the {name}"));
        }
    }
    for variable in variables.iter().filter(|variable| variable["type"] == "query") {
        if variable["multi"] != true || variable["includeAll"] != true {
            faults.push(format!("several or all cannot be chosen for {}", variable["name"]));
        }
        if variable["datasource"]["uid"] != "${datasource}" {
            faults.push(format!("{} does not ask the chosen data source", variable["name"]));
        }
    }
    if document["description"].as_str().is_none_or(str::is_empty) {
        faults.push("it does not say what question it answers".to_owned());
    }
    if document["editable"] != false {
        faults.push("it can be edited where the next import undoes it".to_owned());
    }
    if document["links"].as_array().is_none_or(Vec::is_empty) || !uids.contains("uidmeter-fleet") {
        faults.push("nothing leads to the other dashboards".to_owned());
    }
    faults.extend(overlaps(document));
    let mut ids = BTreeSet::new();
    let mut titles = BTreeMap::new();
    for panel in panels(document) {
        if !ids.insert(panel["id"].as_u64()) {
            faults.push(format!("two panels have the id {}", panel["id"]));
        }
        *titles.entry(panel["title"].as_str().unwrap_or_default()).or_insert(0) += 1;
    }
    let twice = titles.into_iter().filter(|(_, times)| *times > 1);
    faults.extend(twice.map(|(title, _)| format!("several panels are called {title:?}")));
    faults
}

/// Panels that lie upon each other or leave the grid.
fn overlaps(document: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    let mut taken: BTreeMap<(u64, u64), &str> = BTreeMap::new();
    // What a folded row holds lies below it when it is unfolded, and everything after it moves down.
    for panel in document["panels"].as_array().into_iter().flatten() {
        let title = panel["title"].as_str().unwrap_or_default();
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().unwrap_or_default());
        if w == 0 || h == 0 || x + w > u64::from(COLUMNS) {
            faults.push(format!("{title:?} is not within the grid"));
        }
        let cells = (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y)));
        let under: BTreeSet<&str> = cells.filter_map(|cell| taken.insert(cell, title)).collect();
        faults.extend(under.into_iter().map(|under| format!("{title:?} lies upon {under:?}")));
    }
    faults
}

fn panel(panel: &Value, uids: &BTreeSet<&str>, catalogue: &Catalogue) -> Vec<String> {
    let mut faults = Vec::new();
    let filled = |value: &Value| value.as_str().is_some_and(|text| !text.trim().is_empty());
    if !filled(&panel["title"]) {
        faults.push("it has no title".to_owned());
    }
    if panel["description"].as_str().is_none_or(|text| text.trim().len() < 40) {
        faults.push("it does not say what it shows and what to do about it".to_owned());
    }
    if !filled(&panel["fieldConfig"]["defaults"]["unit"]) {
        faults.push("it has no unit".to_owned());
    }
    if panel["datasource"]["uid"] != "${datasource}" {
        faults.push("it does not ask the chosen data source".to_owned());
    }
    for link in panel["fieldConfig"]["defaults"]["links"].as_array().into_iter().flatten() {
        let url = link["url"].as_str().unwrap_or_default();
        let uid = url.strip_prefix("/d/").and_then(|rest| rest.split('?').next());
        if uid.is_none_or(|uid| !uids.contains(uid)) {
            faults.push(format!("its link leads nowhere: {url}"));
        }
    }
    if expressions(panel).next().is_none() {
        faults.push("it asks for nothing".to_owned());
    }
    for text in expressions(panel) {
        faults.extend(expression(text, catalogue).into_iter().map(|fault| format!("{fault}: {text}")));
    }
    faults
}

fn expression(text: &str, catalogue: &Catalogue) -> Vec<String> {
    let mut faults = Vec::new();
    // It would be answered whatever the metrics are called.
    if text.contains("vector(") || text.contains("absent(") {
        faults.push("vector() and absent() have an answer even when every metric is gone".to_owned());
    }
    match expression::selectors(text) {
        Err(error) => faults.push(format!("{error:#}")),
        Ok(selectors) if selectors.is_empty() => faults.push("it asks for no metric".to_owned()),
        Ok(selectors) => selectors.iter().for_each(|one| faults.extend(selector(one, catalogue))),
    }
    faults
}

fn selector(selector: &Selector<'_>, catalogue: &Catalogue) -> Vec<String> {
    let name = selector.name;
    let series = match catalogue.find(name) {
        Err(error) => return vec![format!("{error:#}")],
        Ok(series) => series,
    };
    let mut faults = Vec::new();
    let recorded = series.metric.kind == Kind::Recorded;
    for label in OF_TARGET.into_iter().filter(|label| !recorded || series.metric.labels.iter().any(|own| own == label))
    {
        let matcher = format!("{label}=~\"${label}");
        if !selector.matchers.is_some_and(|matchers| matchers.contains(&matcher)) {
            faults.push(format!("{name} lacks {matcher}\""));
        }
    }
    let grown = GROWTH.iter().any(|function| selector.inside.last() == Some(function));
    // Whether there is one can be asked of a counter, too.
    let counted = matches!(selector.inside.last(), Some(&("count" | "group")));
    if series.grows && !grown && !counted {
        faults.push(format!("{name} only grows: take its rate or increase"));
    }
    if !series.grows && grown && !recorded {
        faults.push(format!("{name} goes up and down: it has no rate"));
    }
    let whole = selector.inside.last() == Some(&"increase") && selector.range == Some("$__range");
    if grown && selector.range != Some("$__rate_interval") && !whole {
        faults.push(format!("{name} is not taken over $__rate_interval, nor its increase over $__range"));
    }
    faults
}
