//! A stage with what a site has: the daemon itself, Prometheus and its tools, and names for three hosts that are all this one.

use anyhow::Result;

use super::super::super::kit::{Kit, debian};
use super::stage::Stage;
use crate::packages::Wanted;

/// Prometheus and promtool, newest or of a suite.
pub(super) const PROMETHEUS: Wanted = Wanted { suite: "sid", pattern: "prometheus" };
pub(super) const PROMTOOL: Wanted = Wanted { suite: "sid", pattern: "promtool" };

/// A stage whose path has `uidmeter`, `prometheus` and `promtool`, and where `host1.example.com` is this machine.
///
/// # Errors
/// As [`Stage::new`].
pub(super) fn stage(kit: &Kit<'_>, packages: &[&'static str], prometheus: Wanted) -> Result<Stage> {
    let daemon = kit.daemon()?;
    let server = debian(prometheus, "usr/bin/prometheus")?;
    let promtool = debian(PROMTOOL, "usr/bin/promtool")?;
    let programs = [("uidmeter", daemon.as_path()), ("prometheus", &server), ("promtool", &promtool)];
    let stage = Stage::new(kit, packages, &programs)?;
    stage.run(
        "mkdir -p /etc/uidmeter /etc/prometheus /var/lib/prometheus /var/backups/prometheus
         printf '%s\\n' '127.0.0.1 host1.example.com host2.example.com prometheus.example.com' >>/etc/hosts
         grep -q '^prometheus:' /etc/passwd || echo 'prometheus:x:20990:20990::/var/lib/prometheus:/bin/false' >>/etc/passwd
         grep -q '^prometheus:' /etc/group || echo 'prometheus:x:20990:' >>/etc/group
         grep -q '^uidmeter:' /etc/passwd || echo 'uidmeter:x:20991:20991::/nonexistent:/bin/false' >>/etc/passwd
         grep -q '^uidmeter:' /etc/group || echo 'uidmeter:x:20991:' >>/etc/group",
    )?;
    Ok(stage)
}

/// The authority in `/etc/pki`, certificates of a host and of a client with the name that `mtls.yml` admits, where each side
/// looks for them.
pub(super) const CERTIFICATES: &str = "
    scripts=packaging/scripts
    $scripts/make-certificates ca /etc/pki
    $scripts/make-certificates server /etc/pki host1.example.com 127.0.0.1
    $scripts/make-certificates client /etc/pki prometheus.example
    cp /etc/pki/ca.crt /etc/uidmeter/clients.crt
    cp /etc/pki/ca.crt /etc/prometheus/uidmeter-ca.crt
    install -m 0644 /etc/pki/host1.example.com.crt /etc/uidmeter/tls.crt
    install -m 0600 -o uidmeter /etc/pki/host1.example.com.key /etc/uidmeter/tls.key
    install -m 0644 /etc/pki/prometheus.example.crt /etc/prometheus/uidmeter-client.crt
    install -m 0600 /etc/pki/prometheus.example.key /etc/prometheus/uidmeter-client.key
";
