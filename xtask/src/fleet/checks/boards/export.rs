//! `packaging/grafana/export.sh`, against a server that answers as Grafana's API does.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::super::super::kit::{Kit, debian};
use super::hosts;
use crate::packages::Wanted;
use crate::process::{self, Unavailable, find_program};

const TOKEN: &str = "glsa_for_this_test_only";

pub(super) fn check(kit: &Kit<'_>) -> Result<()> {
    for program in ["curl", "jq"] {
        if find_program(program).is_none() {
            bail!(Unavailable(format!("this machine has no {program}, which the script needs")));
        }
    }
    let script = kit.packaging("grafana/export.sh");
    let shellcheck = debian(Wanted { suite: "bookworm", pattern: "shellcheck" }, "usr/bin/shellcheck")?;
    process::capture(Command::new(shellcheck).arg("--severity=style").arg(&script))?;

    let token = kit.scratch().join("grafana.token");
    fs::write(&token, format!("{TOKEN}\n"))?;
    let address = hosts::serve(|head| grafana(head, &["one", "two", "three"]))?;
    let goal = kit.scratch().join("exported");
    let output = export(&script, &address.to_string(), &token, &goal)?;
    if !output.status.success() {
        bail!("the script fails: {}", String::from_utf8_lossy(&output.stderr));
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(&goal)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    if names != ["one.json", "three.json", "two.json"] {
        bail!("three dashboards, in two pages of an answer, became {names:?}");
    }
    let saved: Value = serde_json::from_str(&fs::read_to_string(goal.join("two.json"))?)?;
    if saved != json!({ "id": null, "uid": "two", "title": "Board two" }) {
        bail!("a dashboard became {saved}");
    }

    fs::write(&token, "wrong\n")?;
    refused(&script, &address.to_string(), &token, &kit.scratch().join("refused"), "a wrong token")?;
    fs::write(&token, TOKEN)?;
    // It has an answer to everything, so that only the script can see what is odd.
    let hostile = hosts::serve(|head| {
        if head.starts_with("GET /api/search") {
            grafana(head, &["../../evil"])
        } else {
            (200, json!({ "dashboard": { "uid": "../../evil" } }).to_string())
        }
    })?;
    refused(&script, &hostile.to_string(), &token, &kit.scratch().join("hostile"), "a uid that is a path")?;
    let empty = hosts::serve(|head| grafana(head, &[]))?;
    refused(&script, &empty.to_string(), &token, &kit.scratch().join("empty"), "a server without dashboards")
}

/// The answer to one request: what Grafana says about its dashboards, in pages of two.
fn grafana(head: &str, uids: &[&str]) -> (u16, String) {
    let asked = |what: &str| head.starts_with(&format!("GET {what}"));
    if !head.contains(&format!("Authorization: Bearer {TOKEN}\r\n")) {
        return (401, json!({ "message": "Unauthorized" }).to_string());
    }
    for (page, start) in [(1, 0), (2, 2)] {
        if asked(&format!("/api/search?type=dash-db&limit=2&page={page} ")) {
            let found: Vec<Value> = uids.iter().skip(start).take(2).map(|uid| json!({ "uid": uid })).collect();
            return (200, Value::from(found).to_string());
        }
    }
    for uid in uids {
        if asked(&format!("/api/dashboards/uid/{uid} ")) {
            let board = json!({ "id": 7, "version": 3, "uid": uid, "title": format!("Board {uid}") });
            return (200, json!({ "meta": {}, "dashboard": board }).to_string());
        }
    }
    (404, json!({ "message": "Not found" }).to_string())
}

fn export(script: &Path, address: &str, token: &Path, goal: &Path) -> Result<Output> {
    let mut command = Command::new("sh");
    command.arg(script).arg(goal).env("GRAFANA_URL", format!("http://{address}/")).env("GRAFANA_PAGE", "2");
    command.env("GRAFANA_TOKEN_FILE", token).env_remove("http_proxy").env("no_proxy", "*");
    command.output().context("cannot start sh")
}

/// That it fails, says why, and leaves no dashboard.
fn refused(script: &Path, address: &str, token: &Path, goal: &Path, why: &str) -> Result<()> {
    let output = export(script, address, token, goal)?;
    if output.status.success() || !String::from_utf8_lossy(&output.stderr).contains("export.sh: ") {
        bail!("{why}: the script ends with {}", output.status);
    }
    if goal.is_dir() && fs::read_dir(goal)?.next().is_some() {
        bail!("{why}: the script leaves files behind");
    }
    Ok(())
}
