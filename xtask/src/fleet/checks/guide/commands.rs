//! Every command of the guides, typed in the order in which it stands there, on a site that begins bare. A command that cannot run
//! here stands in a list with the reason; one that is in no list and fails, fails the check.

use std::fs;

use anyhow::{Context as _, Result, bail, ensure};

use super::super::super::kit::Kit;
use super::documents::{GUIDES, blocks};
use super::firewall::IPTABLES;
use super::site;
use super::stage::Stage;

const PACKAGES: &[&str] = &[
    "nftables",
    "libnftables1",
    "libnftnl11",
    "iptables",
    "libip4tc2",
    "libip6tc2",
    "libxtables12",
    "libnetfilter-conntrack3",
    "libnfnetlink0",
    "apache2-utils",
    "libapr1",
    "libaprutil1",
];

/// What a command contains that does not run here, and why.
const ELSEWHERE: [(&str, &str); 12] = [
    ("systemctl status ", "no service manager runs here"),
    ("systemctl is-enabled ", "no service manager runs here"),
    ("systemctl reload ", "no service manager runs here"),
    ("systemctl enable --now uidmeter-token.timer", "guide-units holds the units against systemd"),
    ("journalctl ", "no journal is written here"),
    ("timedatectl", "no service manager runs here"),
    ("http://127.0.0.1:3000/", "there is no Grafana to be had"),
    ("packaging/network/ufw.sh ", "guide-firewall runs it"),
    ("ufw status", "guide-firewall runs ufw"),
    ("packaging/network/firewalld.sh ", "guide-firewalld runs it"),
    ("firewall-cmd ", "guide-firewalld runs firewalld"),
    ("packaging/prometheus/rules/", "rules-syntax runs it"),
];

/// As section 5 of FLEET.md says.
const PROMETHEUS: &str = "prometheus --config.file=/etc/prometheus/prometheus.yml --storage.tsdb.path=/var/lib/prometheus \
     --storage.tsdb.retention.time=30d --storage.tsdb.retention.size=50GB \
     --web.listen-address=127.0.0.1:9090 --web.enable-admin-api";

pub(super) fn check(kit: &Kit<'_>) -> Result<()> {
    let mut stage = site::stage(kit, PACKAGES, site::PROMETHEUS)?;
    stage.run(IPTABLES)?;
    let mut unused: Vec<&str> = ELSEWHERE.iter().map(|(part, _)| *part).collect();
    let mut typed = 0;
    for guide in GUIDES {
        let text = fs::read_to_string(kit.project().root().join("docs").join(guide))?;
        for (line, block) in blocks(&text, "sh")? {
            for command in commands(&block) {
                let place = || format!("docs/{guide}, block at line {line}");
                if let Some((part, _)) = ELSEWHERE.iter().find(|(part, _)| command.contains(part)) {
                    unused.retain(|other| other != part);
                } else if !service(&mut stage, &command).with_context(place)? {
                    stage.run(&command).with_context(place)?;
                    typed += 1;
                }
            }
        }
    }
    ensure!(unused.is_empty(), "no guide has a command with {unused:?} any more");
    ensure!(typed > 50, "only {typed} commands were found");
    println!("    {typed} commands");
    Ok(())
}

/// Lines that go on after a backslash are one command; remarks are none.
fn commands(block: &[&str]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut open = false;
    for line in block.iter().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
        let (text, more) = line.strip_suffix('\\').map_or((*line, false), |text| (text, true));
        match found.last_mut().filter(|_| open) {
            Some(last) => last.push_str(text.trim_start()),
            None => found.push(text.to_owned()),
        }
        open = more;
    }
    found
}

/// What a service manager would do: whether `command` asks for it, and then it has been done.
fn service(stage: &mut Stage, command: &str) -> Result<bool> {
    let words: Vec<&str> = command.split_whitespace().filter(|word| *word != "--now").collect();
    match words.as_slice() {
        ["systemctl", "enable" | "start", "uidmeter"] => {
            let ready = "curl -sk https://127.0.0.1:9101/-/ready";
            stage.start("uidmeter", "uidmeter run", ready)?;
        }
        ["systemctl", "enable" | "start", "prometheus"] => {
            // As documented, but for the time between scrapes, for which nobody here waits.
            stage.run("sed -i 's/_interval: 30s/_interval: 1s/' /etc/prometheus/prometheus.yml")?;
            stage.start("prometheus", PROMETHEUS, "curl -sf http://127.0.0.1:9090/-/ready")?;
            stage
                .wait_until("promtool query instant http://127.0.0.1:9090 'up{job=\"uidmeter\"} == 1' | grep '=> 1'")
                .with_context(|| stage.said("uidmeter"))?;
        }
        ["systemctl", "stop", name] => stage.stop(name),
        ["systemctl", ..] => bail!("{command} is neither done nor in the list of what cannot be done here"),
        _ => return Ok(false),
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::commands;

    #[test]
    fn a_backslash_continues_a_command_and_a_remark_is_none() {
        let block = ["# first", "one \\", "    two", "", "three"];
        assert_eq!(commands(&block), ["one two", "three"]);
    }
}
