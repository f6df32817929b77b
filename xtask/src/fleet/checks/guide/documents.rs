//! What stands in the guides besides commands: configurations, rules, queries, links, and the form of the checklist.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use super::super::super::kit::{Kit, debian};
use super::super::super::server::Server;
use super::site::{PROMETHEUS, PROMTOOL};
use super::sizing::catalogue;
use crate::process;

/// In the order in which a person needs them.
pub(super) const GUIDES: [&str; 5] =
    ["FLEET.md", "NETWORK.md", "BACKUP.md", "TROUBLESHOOTING.md", "SECURITY-CHECKLIST.md"];
/// Sections of the checklist.
const SECTIONS: usize = 5;
/// What a metric's name may end with on a page.
const SUFFIXES: [&str; 3] = ["_bucket", "_sum", "_count"];

/// The fenced blocks of one `language`, each with the number of its first line.
///
/// # Errors
/// A block that nobody closes.
pub(super) fn blocks<'a>(document: &'a str, language: &str) -> Result<Vec<(usize, Vec<&'a str>)>> {
    let mut found = Vec::new();
    let mut open: Option<(usize, &str, Vec<&str>)> = None;
    for (number, line) in document.lines().enumerate() {
        match (open.take(), line.strip_prefix("```")) {
            (None, Some(opened)) => open = Some((number + 2, opened, Vec::new())),
            (Some((first, opened, lines)), Some("")) => {
                if opened == language {
                    found.push((first, lines));
                }
            }
            (Some((first, opened, mut lines)), _) => {
                lines.push(line);
                open = Some((first, opened, lines));
            }
            (None, None) => {}
        }
    }
    match open {
        Some((first, ..)) => bail!("the block at line {first} is never closed"),
        None => Ok(found),
    }
}

pub(super) fn check(kit: &Kit<'_>) -> Result<()> {
    let docs = kit.project().root().join("docs");
    let folder = tempfile::tempdir_in(kit.scratch())?;
    let program = debian(PROMETHEUS, "usr/bin/prometheus")?;
    fs::write(folder.path().join("idle.yml"), "{}\n")?;
    let server = Server::prometheus(&program, &folder.path().join("idle.yml"), folder.path(), &[])?;
    for guide in GUIDES {
        let text = fs::read_to_string(docs.join(guide)).with_context(|| format!("docs/{guide} cannot be read"))?;
        (|| {
            yaml(&text, folder.path())?;
            for (line, block) in blocks(&text, "promql")? {
                for expression in block.iter().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
                    server.query(expression).with_context(|| format!("line {line}"))?;
                }
            }
            names(kit, &text)?;
            links(&text, &docs)
        })()
        .with_context(|| format!("docs/{guide}"))?;
    }
    checklist(&fs::read_to_string(docs.join("SECURITY-CHECKLIST.md"))?)
}

/// Rules and configurations, held against promtool.
fn yaml(text: &str, folder: &Path) -> Result<()> {
    let promtool = debian(PROMTOOL, "usr/bin/promtool")?;
    for (line, block) in blocks(text, "yaml")? {
        let file = folder.join("block.yml");
        fs::write(&file, block.join("\n") + "\n")?;
        let top: Vec<&str> = block.iter().filter_map(|line| line.split_once(':')).map(|(key, _)| key).collect();
        let words: &[&str] = if top.contains(&"groups") {
            &["check", "rules", "--lint=all", "--lint-fatal"]
        } else if ["global", "scrape_configs", "alerting", "remote_write"].iter().any(|key| top.contains(key)) {
            &["check", "config", "--syntax-only"]
        } else {
            bail!("line {line}: a block of YAML that is neither rules nor a configuration");
        };
        process::capture(Command::new(&promtool).args(words).arg(&file)).with_context(|| format!("line {line}"))?;
    }
    Ok(())
}

/// Every metric that is named exists.
fn names(kit: &Kit<'_>, text: &str) -> Result<()> {
    let catalogue = catalogue(kit)?;
    for word in text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_') {
        // With an underscore at its end it is the start of many.
        if !word.starts_with("uidmeter_") || word.ends_with('_') {
            continue;
        }
        let base = SUFFIXES.iter().find_map(|suffix| word.strip_suffix(suffix)).unwrap_or(word);
        ensure!(catalogue.contains(word) || catalogue.contains(base), "there is no metric {word}");
    }
    Ok(())
}

/// Files and headings that links of the document lead to.
fn links(text: &str, docs: &Path) -> Result<()> {
    for goal in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
        if goal.starts_with("https://") {
            continue;
        }
        let (file, heading) = goal.split_once('#').unwrap_or((goal, ""));
        let content = if file.is_empty() {
            text.to_owned()
        } else {
            let path = docs.join(file);
            if path.is_dir() {
                continue;
            }
            fs::read_to_string(&path).with_context(|| format!("a link leads to {goal}"))?
        };
        let found = heading.is_empty()
            || content.lines().filter(|line| line.starts_with('#')).any(|line| anchor(line) == heading);
        ensure!(found, "a link leads to {goal}, which is no heading");
    }
    Ok(())
}

/// As GitHub makes it.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text.chars().filter(|letter| letter.is_alphanumeric() || [' ', '-', '_'].contains(letter));
    kept.map(|letter| if letter == ' ' { '-' } else { letter }).collect()
}

/// Five sections, and in each, every item has a command that shows whether it is so.
fn checklist(text: &str) -> Result<()> {
    let sections: Vec<&str> = text.split("\n## ").skip(1).collect();
    ensure!(sections.len() == SECTIONS, "the checklist has {} sections, not {SECTIONS}", sections.len());
    for section in sections {
        let items: Vec<&str> = section.split("\n- [ ] ").skip(1).collect();
        let title = section.lines().next().unwrap_or_default();
        ensure!(items.len() >= 3, "the section {title:?} has only {} items", items.len());
        for item in items {
            let first = item.lines().next().unwrap_or_default();
            ensure!(item.contains("```sh\n"), "the item {first:?} has no command that verifies it");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{anchor, blocks};

    #[test]
    fn blocks_are_told_apart_by_their_language() {
        let text = "a\n```sh\none\n```\n```yaml\ntwo\n```\n```sh\nthree\nfour\n```\n";
        let found = blocks(text, "sh").ok();
        assert_eq!(found, Some(vec![(3, vec!["one"]), (9, vec!["three", "four"])]));
        assert!(blocks("```sh\nopen\n", "sh").is_err());
    }

    #[test]
    fn a_heading_has_the_anchor_that_github_gives_it() {
        assert_eq!(anchor("## A target is down, why?"), "a-target-is-down-why");
    }
}
