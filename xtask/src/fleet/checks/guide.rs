//! What the guides tell people to type: scripts, firewall rules, proxies, backups, and every command of the documents themselves.

mod backup;
mod certificates;
mod commands;
mod documents;
mod firewall;
mod proxy;
mod scrape;
mod scripts;
mod secrets;
mod segments;
mod setup;
mod site;
mod sizing;
mod stage;
mod tunnels;
mod units;

use super::Check;

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "guide-scripts",
        tells: "shellcheck finds nothing in any script, and each tells its usage when it is called wrongly",
        run: scripts::check,
    },
    Check {
        name: "guide-secrets",
        tells: "a secret is one line, for its owner alone, whole or not there; a token that is replaced is never half there",
        run: secrets::check,
    },
    Check {
        name: "guide-certificates",
        tells: "the site's own certificates hold for what they are for and for nothing else",
        run: certificates::check,
    },
    Check {
        name: "guide-units",
        tells: "systemd finds nothing wrong with the units and when they run",
        run: units::check,
    },
    Check {
        name: "guide-documents",
        tells: "configurations, rules and queries of the guides are accepted, links lead somewhere, the checklist has its commands",
        run: documents::check,
    },
    Check {
        name: "guide-sizing",
        tells: "as many series as the guide's formula says, and promtool finds nothing wrong with the page",
        run: sizing::check,
    },
    Check {
        name: "guide-firewall",
        tells: "the rules for nftables, iptables and ufw let Prometheus in and nobody else",
        run: firewall::check,
    },
    Check {
        name: "guide-firewalld",
        tells: "a firewalld that runs lets Prometheus in and nobody else, though the port was open to all before",
        run: firewall::check_firewalld,
    },
    Check {
        name: "guide-segments",
        tells: "between networks, every way of the matrix is open and every other way is closed",
        run: segments::check,
    },
    Check {
        name: "guide-setup",
        tells: "the set-up script's configurations are accepted, and two Prometheus with them have the same figures",
        run: setup::check,
    },
    Check {
        name: "guide-backup",
        tells: "a Prometheus restored from a backup answers as the one that was backed up, and a broken backup is refused",
        run: backup::check,
    },
    Check {
        name: "guide-tunnels",
        tells: "two tunnels through a real SSH server have a port each, and come again after they end",
        run: tunnels::check,
    },
    Check {
        name: "guide-proxy",
        tells: "Prometheus scrapes through nginx with TLS and a password, and nothing else gets through",
        run: proxy::check,
    },
    Check {
        name: "guide-scrape",
        tells: "each way in, with the shipped files, admits its own clients and refuses all others",
        run: scrape::check,
    },
    Check {
        name: "guide-commands",
        tells: "every command of the guides runs, in the order in which they stand there",
        run: commands::check,
    },
];
