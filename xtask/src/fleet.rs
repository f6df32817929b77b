//! `test fleet`: everything in `packaging/` held against the real programs that read it, and the table of features that says
//! what is checked by what. A feature is shown only if its files are there and its checks have passed.

mod checks;
mod features;
mod kit;
mod page;
mod python;
mod server;
mod simulated;

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::{Result, bail};

use self::checks::Check;
use self::features::{Feature, Proof};
use self::kit::Kit;
use crate::process::{Unavailable, heading};
use crate::project::Project;
use crate::setup::{self, Purpose};
use crate::test::counts::Counts;

/// How a check ended.
enum Verdict {
    Passed,
    Failed,
    /// This machine lacks something that the check needs.
    Unable,
}

/// `docs/FEATURES.md`.
///
/// # Errors
/// The table of features is wrong.
pub(crate) fn document(project: &Project) -> Result<String> {
    features::document(project)
}

/// Runs every check, or those whose name contains `filter`, and prints the table of features if it ran all.
///
/// # Errors
/// The table of features contradicts itself, or there is no folder to work in.
pub(crate) fn run(project: &Project, filter: Option<&str>) -> Result<Counts> {
    let features = features::load(project)?;
    if filter.is_none() {
        features::complete(&features)?;
    }
    setup::ensure(project, &[Purpose::Fleet])?;
    let kit = Kit::new(project)?;
    let chosen: Vec<&Check> =
        checks::all().filter(|check| filter.is_none_or(|filter| check.name.contains(filter))).collect();
    if chosen.is_empty() {
        bail!("no check's name contains {:?}", filter.unwrap_or_default());
    }
    let mut verdicts = BTreeMap::new();
    for check in chosen {
        heading(&format!("{}: {}", check.name, check.tells));
        let started = Instant::now();
        let mut ended = (check.run)(&kit);
        if let Err(error) = &ended
            && !error.is::<Unavailable>()
        {
            // Many servers share a machine that may be busy with other things; what is broken is so twice.
            println!("!!! {} failed and is tried once more: {error:#}", check.name);
            kit.clean()?;
            ended = (check.run)(&kit);
        }
        let verdict = match ended {
            Ok(()) => Verdict::Passed,
            Err(error) if error.is::<Unavailable>() => {
                println!("!!! {} cannot run: {error:#}", check.name);
                Verdict::Unable
            }
            Err(error) => {
                println!("!!! {} failed: {error:#}", check.name);
                Verdict::Failed
            }
        };
        println!("    {} {} in {} s", check.name, word(&verdict), started.elapsed().as_secs());
        verdicts.insert(check.name, verdict);
    }
    if filter.is_none() {
        print_table(&features, &verdicts);
    }
    let count = |wanted: fn(&Verdict) -> bool| verdicts.values().filter(|verdict| wanted(verdict)).count();
    let unable = count(|verdict| matches!(verdict, Verdict::Unable));
    let failed = count(|verdict| matches!(verdict, Verdict::Failed));
    // A check that cannot run is a hole, and where somebody relies on it, a failure.
    let relied_upon = crate::test::is_ci();
    Ok(Counts {
        passed: count(|verdict| matches!(verdict, Verdict::Passed)),
        failed: if relied_upon { failed + unable } else { failed },
        skipped: if relied_upon { 0 } else { unable },
    })
}

fn word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => "passed",
        Verdict::Failed => "FAILED",
        Verdict::Unable => "could not run",
    }
}

fn print_table(features: &[Feature], verdicts: &BTreeMap<&str, Verdict>) {
    println!();
    println!("{:<8} {:<64} {:<48} {:<40} result", "feature", "what", "file", "check");
    for feature in features {
        let (check, result) = match &feature.proof {
            Proof::Checks(names) => (names.join(", "), result(names, verdicts)),
            Proof::NotHere(reason) => (reason.clone(), "not here"),
        };
        let file = feature.files.first().map_or("-", String::as_str);
        for (line, id) in feature.ids.iter().enumerate() {
            let what = if line == 0 { feature.what.as_str() } else { "as above" };
            println!("{id:<8} {what:<64} {file:<48} {check:<40} {result}");
        }
    }
    println!();
}

/// The worst of the checks.
fn result(names: &[String], verdicts: &BTreeMap<&str, Verdict>) -> &'static str {
    let all = || names.iter().filter_map(|name| verdicts.get(name.as_str()));
    if all().any(|verdict| matches!(verdict, Verdict::Failed)) {
        "FAILED"
    } else if all().any(|verdict| matches!(verdict, Verdict::Unable)) {
        "could not run"
    } else {
        "passed"
    }
}
