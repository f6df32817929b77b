//! The rules, each broken once, and the kit's own dashboards.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::catalogue::Catalogue;
use super::{Dashboard, all, lint, stale};
use crate::project::Project;

fn kit() -> Result<(Vec<Dashboard>, Catalogue)> {
    let project = Project::find()?;
    let catalogue = Catalogue::read(&project)?;
    Ok((all(&project, &catalogue)?, catalogue))
}

#[test]
fn the_files_are_what_is_made_of_the_descriptions() -> Result<()> {
    assert_eq!(stale(&Project::find()?)?, Vec::<String>::new());
    Ok(())
}

#[test]
fn a_metric_that_is_renamed_stops_everything() -> Result<()> {
    let project = Project::find()?;
    let path = project.root().join("docs/METRICS.md");
    let renamed = std::fs::read_to_string(path)?.replace("uidmeter_host_cpus", "uidmeter_host_cores");
    let message = format!("{:#}", all(&project, &Catalogue::parse(&renamed)?).err().context("nobody misses it")?);
    assert!(message.contains("uidmeter_host_cpus"), "{message}");
    Ok(())
}

/// What the rules say when the first panel with a query of the first dashboard has been changed.
fn after(change: impl FnOnce(&mut Value, &mut Value)) -> Result<String> {
    let (mut boards, catalogue) = kit()?;
    let mut document = boards[0].document.take();
    let index = document["panels"].as_array().and_then(|all| all.iter().position(|panel| panel["targets"].is_array()));
    let index = index.context("no panel asks for anything")?;
    let mut panel = document["panels"][index].take();
    change(&mut document, &mut panel);
    document["panels"][index] = panel;
    boards[0].document = document;
    Ok(lint::faults(&boards, &catalogue).join("\n"))
}

#[test]
fn the_kits_dashboards_break_no_rule() -> Result<()> {
    assert_eq!(after(|_, _| {})?, "");
    Ok(())
}

#[test]
fn each_rule_sees_what_breaks_it() -> Result<()> {
    let expression =
        |text: &'static str| move |_: &mut Value, panel: &mut Value| panel["targets"][0]["expr"] = text.into();
    for (told, fault) in [
        (after(|_, panel| panel["title"] = "".into()), "has no title"),
        (after(|_, panel| panel["description"] = "CPU".into()), "does not say what it shows"),
        (after(|_, panel| panel["fieldConfig"]["defaults"]["unit"] = Value::Null), "has no unit"),
        (after(|_, panel| panel["datasource"]["uid"] = "prometheus".into()), "the chosen data source"),
        (after(|_, panel| panel["fieldConfig"]["defaults"]["links"] = json!([{ "url": "/d/other" }])), "leads nowhere"),
        (after(|_, panel| panel["targets"] = json!([])), "asks for nothing"),
        (after(|_, panel| panel["gridPos"]["x"] = 20.into()), "not within the grid"),
        (after(|_, panel| panel["gridPos"]["h"] = 50.into()), "lies upon"),
        (after(|board, panel| panel["id"] = board["panels"][2]["id"].clone()), "two panels have the id"),
        (after(|board, panel| panel["title"] = board["panels"][2]["title"].clone()), "several panels are called"),
        (after(|board, _| board["templating"]["list"] = json!([])), "nobody can choose the job"),
        (after(|board, _| board["templating"]["list"][1]["multi"] = false.into()), "several or all"),
        (after(|board, _| board["links"] = json!([])), "nothing leads"),
        (after(|board, _| board["uid"] = "uidmeter-fleet".into()), "share a uid"),
        (after(|board, _| board["editable"] = true.into()), "can be edited"),
        (after(expression("sum(uidmeter_users)")), "lacks job"),
        (after(expression("uidmeter_nothing{}")), "there is no metric"),
        (after(expression("vector(0)")), "have an answer even"),
        (after(expression("1 + 1")), "asks for no metric"),
        (after(expression("sum(uidmeter_forks_total)")), "only grows"),
        (after(expression("rate(uidmeter_users[$__rate_interval])")), "has no rate"),
        (after(expression("rate(uidmeter_forks_total[5m])")), "not taken over"),
        (after(expression("rate(uidmeter_forks_total[$__range])")), "not taken over"),
        (after(expression("sum(uidmeter_users")), "is not closed"),
    ] {
        let told = told?;
        assert!(told.contains(fault), "{fault:?} is not in {told:?}");
    }
    Ok(())
}
