//! The commands of `docs/KUBERNETES.md` that make objects: each is run as it stands there, and what it prints is held against its schema.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::super::super::kit::{Kit, debian};
use super::super::super::python::Python;
use super::hub::certificates;
use super::validate;
use crate::packages::Wanted;
use crate::process;

/// What a command has in it that needs no cluster.
const OFFLINE: [&str; 2] = ["--dry-run=client", "--local"];

pub(super) fn check(kit: &Kit<'_>) -> Result<()> {
    let python = Python::prepare()?;
    let folder = kit.scratch().join("commands");
    certificates(&folder)?;
    for (name, text) in [
        ("web.yml", "tls_server_config: {cert_file: tls.crt, key_file: tls.key}\n"),
        ("password", "a-password-for-this-check\n"),
        ("alertmanager.yml", "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n"),
        ("dashboard.json", "{}\n"),
        ("datasource.yml", "apiVersion: 1\n"),
        ("folders.yml", "apiVersion: 1\n"),
    ] {
        fs::write(folder.join(name), text)?;
    }
    std::os::unix::fs::symlink(kit.packaging("."), folder.join("packaging"))?;
    let tools = kit.scratch().join("tools");
    fs::create_dir_all(&tools)?;
    let kubectl = debian(Wanted { suite: "sid", pattern: "kubectl" }, "usr/bin/kubectl")?;
    fs::copy(kubectl, tools.join("kubectl"))?;
    let path = std::env::var_os("PATH").context("there is no PATH")?;
    let paths = std::env::join_paths([tools].into_iter().chain(std::env::split_paths(&path)))?;

    let text = fs::read_to_string(kit.project().root().join("docs/KUBERNETES.md"))?;
    let commands = commands(&text);
    ensure!(commands.len() >= 8, "docs/KUBERNETES.md has only {} commands that can be run here", commands.len());
    for command in commands {
        println!("    {command}");
        let mut shell = Command::new("/bin/sh");
        // No cluster, whatever this machine knows of some.
        shell.args(["-euc", &command]).env("PATH", &paths).env("KUBECONFIG", "/dev/null").env("HOME", &folder);
        let object = process::capture(shell.current_dir(&folder))?;
        let file = folder.join("object.yaml");
        fs::write(&file, object)?;
        validate(&python, &[&file]).with_context(|| format!("what `{command}` makes"))?;
    }
    Ok(())
}

/// Commands in blocks of shell that work without a cluster, those over several lines as one.
fn commands(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut inside = false;
    let mut command = String::new();
    for line in text.lines() {
        if line.starts_with("```") {
            inside = line == "```sh";
        } else if inside {
            command.push_str(line.trim_end_matches('\\').trim());
            command.push(' ');
            if !line.ends_with(['\\', '|']) {
                let whole = std::mem::take(&mut command);
                found.extend(
                    Some(whole.trim().to_owned()).filter(|whole| OFFLINE.iter().any(|flag| whole.contains(flag))),
                );
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::commands;

    #[test]
    fn commands_over_several_lines_are_one_and_those_for_a_cluster_are_left_out() {
        let text = "```sh\nkubectl create x \\\n    --dry-run=client\nkubectl apply -k .\n```\nkubectl --local\n";
        assert_eq!(commands(text), ["kubectl create x --dry-run=client"]);
    }
}
