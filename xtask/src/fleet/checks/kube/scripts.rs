//! The scripts of `hub-spoke/`, run on a copy: they do what they say, twice with the same result, and refuse what is wrong.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

use super::super::super::kit::Kit;
use super::super::super::python::Python;
use super::hub::is_labelled;
use super::{build, documents, object, validate};
use crate::process;

const CONFIGURE: &str = "configure-source-clusters";
const ADD: &str = "add-cluster";

pub(super) fn check(kit: &Kit<'_>) -> Result<()> {
    let python = Python::prepare()?;
    let original = kit.packaging("hub-spoke");
    process::run(
        python
            .program("shellcheck")
            .args(["--severity=style", "--shell=sh"])
            .args([original.join(CONFIGURE), original.join(ADD)]),
    )?;
    let folder = kit.scratch().join("hub spoke");
    process::run(Command::new("cp").arg("-R").arg(&original).arg(&folder))?;
    let before = contents(&folder)?;

    for (script, arguments) in [
        (CONFIGURE, &["a b"][..]),
        (CONFIGURE, &[""]),
        (CONFIGURE, &["hub.example.com/path"]),
        (CONFIGURE, &["https://hub.example.com"]),
        (CONFIGURE, &["hub.example.com:0"]),
        (CONFIGURE, &["hub.example.com:65536"]),
        (CONFIGURE, &["[2001:db8::1"]),
        (CONFIGURE, &["[]"]),
        (CONFIGURE, &["$(touch broken)"]),
        (CONFIGURE, &["hub.example.com\nCLUSTER=other"]),
        (CONFIGURE, &["hub.example.com", "hub.example.com"]),
        (ADD, &["Lab", "lab"]),
        (ADD, &["../lab", "lab"]),
        (ADD, &["lab", "-lab"]),
        (ADD, &["lab"]),
        (ADD, &["staging", "production"]),
    ] {
        let output = run(&folder, script, arguments, "")?;
        ensure!(!output.status.success(), "{script} accepts {arguments:?}");
        ensure!(!output.stderr.is_empty(), "{script} does not say what is wrong with {arguments:?}");
        ensure!(contents(&folder)? == before, "{script} changes something in spite of {arguments:?}");
    }

    for (hub, typed) in [("192.0.2.7:8443", ""), ("[2001:db8::7]", ""), ("hub.example.net", "hub.example.net\n")] {
        let arguments = if typed.is_empty() { &[hub][..] } else { &[] };
        succeeded(CONFIGURE, &run(&folder, CONFIGURE, arguments, typed)?)?;
        let once = contents(&folder)?;
        let expected = format!("HUB_URL=https://{hub}/api/v1/write\n");
        let written =
            once.iter().filter(|(path, text)| path.ends_with("cluster.env") && text.contains(&expected)).count();
        ensure!(written == 2, "{written} of 2 clusters send to {hub}");
        succeeded(CONFIGURE, &run(&folder, CONFIGURE, &[hub], "")?)?;
        ensure!(contents(&folder)? == once, "{CONFIGURE} changes something when it is run again");
    }

    succeeded(ADD, &run(&folder, ADD, &["lab-2", "testing"], "")?)?;
    let once = contents(&folder)?;
    succeeded(ADD, &run(&folder, ADD, &["lab-2", "testing"], "")?)?;
    ensure!(contents(&folder)? == once, "{ADD} changes something when it is run again");
    for (cluster, environment) in [("lab-2", "testing"), ("production", "production"), ("staging", "staging")] {
        let built = build(kit, &folder.join("clusters").join(cluster), &format!("scripts-{cluster}"))?;
        validate(&python, &[&built])?;
        let objects = documents(&python, &built)?;
        let agent = object(&objects, "PrometheusAgent", "uidmeter")?;
        is_labelled(agent, cluster, environment)?;
        let url = &agent["spec"]["remoteWrite"][0]["url"];
        ensure!(url == "https://hub.example.net/api/v1/write", "{cluster} sends to {url}");
    }

    // One cluster whose file cannot be understood: then none is changed.
    fs::write(folder.join("clusters/production/cluster.env"), "CLUSTER=production\n")?;
    let before = contents(&folder)?;
    ensure!(!run(&folder, CONFIGURE, &["hub.example.org"], "")?.status.success(), "half a configuration is accepted");
    ensure!(contents(&folder)? == before, "some clusters are changed and others not");
    Ok(())
}

/// Every file below a folder, with its text.
fn contents(folder: &Path) -> Result<BTreeMap<PathBuf, String>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(contents(&path)?);
        } else {
            let text = fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?;
            found.insert(path, text);
        }
    }
    Ok(found)
}

/// Runs a script with the shell that has no extensions, from elsewhere.
fn run(folder: &Path, script: &str, arguments: &[&str], typed: &str) -> Result<Output> {
    let mut command = Command::new("/bin/sh");
    command.arg(folder.join(script)).args(arguments).current_dir("/");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let mut input = child.stdin.take().context("no standard input")?;
    // A script that refuses its arguments never reads.
    let _ = input.write_all(typed.as_bytes());
    drop(input);
    Ok(child.wait_with_output()?)
}

fn succeeded(script: &str, output: &Output) -> Result<()> {
    if !output.status.success() {
        bail!("{script} failed: {}", String::from_utf8_lossy(&output.stderr).trim_end());
    }
    Ok(())
}
