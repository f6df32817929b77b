//! `docs/RUNBOOKS.md`: a section for each alert and none besides, whole, with commands that the program accepts.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use anyhow::{Result, bail};

use super::documents::{self, text};
use crate::fleet::kit::Kit;

/// Where the links of alerts begin. The part before `docs/` is where the project will be published: change it in all rules at once.
const BASE: &str = "https://github.com/uidmeter/uidmeter/blob/main/docs/RUNBOOKS.md#";
const PARTS: [&str; 4] = ["**What it means.** ", "**Impact.** ", "**First.** ", "**How it ends.** "];
/// Commands of each section.
const COMMANDS: usize = 3;

pub(super) fn run(kit: &Kit<'_>) -> Result<()> {
    let document = fs::read_to_string(kit.project().root().join("docs/RUNBOOKS.md"))?;
    let sections: BTreeMap<&str, &str> = document
        .split("\n### ")
        .skip(1)
        .filter_map(|section| section.split_once('\n'))
        .map(|(title, body)| (title, body.split("\n## ").next().unwrap_or(body)))
        .collect();
    let mut left: BTreeSet<&str> = sections.keys().copied().collect();
    let rules = documents::rules(kit)?;
    let mut commands = BTreeSet::new();
    for rule in rules.iter().filter(|rule| rule.alert) {
        let link = text(&rule.annotations["runbook_url"]);
        let Some((title, body)) = sections.iter().find(|(title, _)| link == format!("{BASE}{}", anchor(title))) else {
            bail!("{} in {} links to {link:?}, which is no section of docs/RUNBOOKS.md", rule.name, rule.file);
        };
        if *title != rule.name {
            bail!("{} links to the section of {title}", rule.name);
        }
        left.remove(title);
        if let Some(part) = PARTS.iter().find(|part| !body.contains(**part)) {
            bail!("docs/RUNBOOKS.md, {title}: there is no {part:?}");
        }
        if !body.contains(text(&rule.labels["priority"])) || !body.contains(text(&rule.annotations["impact"])) {
            bail!("docs/RUNBOOKS.md, {title}: priority or impact differ from those of the alert");
        }
        let listed: Vec<&str> = listing(body);
        if listed.len() != COMMANDS {
            bail!("docs/RUNBOOKS.md, {title}: {} commands instead of {COMMANDS}", listed.len());
        }
        commands.extend(listed);
    }
    if !left.is_empty() {
        bail!("docs/RUNBOOKS.md has sections for alerts that do not exist: {left:?}");
    }
    let daemon = kit.daemon()?;
    for command in &commands {
        let words = command.strip_prefix("sudo ").unwrap_or(command);
        let Some(arguments) = words.strip_prefix("uidmeter ") else { bail!("{command:?} is no command of uidmeter") };
        // Asked for help at the end, the program looks at everything before it, and does nothing.
        let output = Command::new(&daemon).args(arguments.split(' ')).arg("--help").output()?;
        if !output.status.success() {
            bail!("uidmeter does not accept {command:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
    }
    println!("    {} sections, {} different commands", sections.len(), commands.len());
    Ok(())
}

/// As the web page of a repository makes it of a heading.
fn anchor(title: &str) -> String {
    title
        .to_lowercase()
        .chars()
        .filter_map(|letter| match letter {
            ' ' => Some('-'),
            letter if letter.is_alphanumeric() || letter == '-' || letter == '_' => Some(letter),
            _ => None,
        })
        .collect()
}

/// The lines of the section's block of commands.
fn listing(body: &str) -> Vec<&str> {
    let block = body.split_once("```sh\n").and_then(|(_, rest)| rest.split_once("\n```"));
    block.map_or_else(Vec::new, |(lines, _)| lines.lines().collect())
}

#[cfg(test)]
mod tests {
    use super::{anchor, listing};

    #[test]
    fn headings_become_anchors() {
        assert_eq!(anchor("UidmeterHostDown"), "uidmeterhostdown");
        assert_eq!(anchor("How to work, now"), "how-to-work-now");
    }

    #[test]
    fn a_block_is_read_line_by_line() {
        assert_eq!(listing("a\n```sh\nb\nc\n```\nd"), ["b", "c"]);
        assert!(listing("a").is_empty());
    }
}
