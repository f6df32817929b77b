//! Each way in, with the files of `packaging/web` as they are shipped: one daemon that gets one after the other, and one Prometheus
//! with a job for each kind of credential. Who comes in is read from `up`.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use super::super::super::kit::Kit;
use super::site;
use super::stage::Stage;

const PATIENCE: Duration = Duration::from_secs(20);
/// A scrape of each job, and a little.
const SETTLED: Duration = Duration::from_millis(1500);

/// Name and what Prometheus is told.
const JOBS: [(&str, &str); 7] = [
    ("plain", "scheme: http"),
    ("tls", "scheme: https, TLS"),
    ("basic", "scheme: https, BASIC, TLS"),
    ("token", "scheme: https, TOKEN, TLS"),
    ("certificate", "scheme: https, CLIENT"),
    ("certificate-basic", "scheme: https, BASIC, CLIENT"),
    ("certificate-token", "scheme: https, TOKEN, CLIENT"),
];

/// Web configuration file, authentication file, and the jobs that come in.
const MODES: [(&str, Option<&str>, &[&str]); 8] = [
    ("basic.yml", None, &["basic", "certificate-basic"]),
    ("tls.yml", Some("jwt.toml"), &["token", "certificate-token"]),
    ("basic.yml", Some("jwt.toml"), &["basic", "token", "certificate-basic", "certificate-token"]),
    ("mtls.yml", None, &["certificate", "certificate-basic", "certificate-token"]),
    ("mtls-basic.yml", None, &["certificate-basic"]),
    ("mtls.yml", Some("jwt.toml"), &["certificate-token"]),
    ("certificate-or-basic.yml", Some("sufficient.toml"), &["basic", "certificate", "certificate-basic"]),
    ("basic.yml", Some("permissions.toml"), &["basic", "certificate-basic"]),
];

/// What the daemon tells of its own work: requests, time, room, probes, decisions, refusals.
const OWN: [&str; 18] = [
    "uidmeter_http_requests_total",
    "uidmeter_scrape_duration_seconds_count",
    "uidmeter_tick_duration_seconds_count",
    "uidmeter_ticks_late_total",
    "uidmeter_attributed_cpu_seconds_total",
    "uidmeter_unattributed_total",
    "uidmeter_users",
    "uidmeter_user_slots",
    "uidmeter_overflow_users_total",
    "uidmeter_kernel_memory_bytes",
    "uidmeter_probe_active",
    "uidmeter_probe_missed_runs_total",
    "uidmeter_policy_evaluations_total",
    "uidmeter_policy_enforcing",
    "uidmeter_auth_failures_total",
    "uidmeter_password_checks_total",
    "uidmeter_tls_certificate_expiry_timestamp_seconds",
    "uidmeter_config_last_reload_successful",
];

pub(super) fn check(kit: &Kit<'_>) -> Result<()> {
    let mut stage = site::stage(kit, &[], site::PROMETHEUS)?;
    stage.run(&format!(
        "{}
         cp -r packaging/web packaging/policy /etc/uidmeter/
         cp /etc/uidmeter/clients.crt /etc/uidmeter/tls.crt /etc/uidmeter/tls.key /etc/uidmeter/web/
         chown uidmeter /etc/uidmeter/web/tls.key
         printf %s change-me >/etc/prometheus/uidmeter.password
         cd /etc/uidmeter/web
         uidmeter token keygen --private token.key --kid current
         chmod 0644 token.key.pub",
        site::CERTIFICATES
    ))?;
    mint(&stage, "", "/etc/prometheus/uidmeter.token")?;
    none(&mut stage)?;
    let file = stage.folder().join("prometheus.yml");
    fs::write(&file, configuration()?)?;
    let file = file.display();
    stage.run(&format!("promtool check config {file}"))?;
    let command = format!(
        "prometheus --config.file={file} --storage.tsdb.path=/var/lib/prometheus --web.listen-address=127.0.0.1:9090"
    );
    stage.start("prometheus", &command, "curl -sf http://127.0.0.1:9090/-/ready")?;
    for (web, auth, expected) in MODES {
        serve(&mut stage, web, auth)?;
        settle(&stage, expected).with_context(|| format!("{web} with {auth:?}\n{}", stage.said("uidmeter")))?;
        match (web, auth) {
            ("tls.yml", Some("jwt.toml")) => tokens(&stage)?,
            ("basic.yml", Some("jwt.toml")) => own(&stage)?,
            _ => {}
        }
    }
    Ok(())
}

/// On loopback and without anything: whoever is on the machine. Beyond loopback it does not begin.
fn none(stage: &mut Stage) -> Result<()> {
    stage.start("uidmeter", "uidmeter run", "curl -sf http://127.0.0.1:9101/-/ready")?;
    stage.run("curl -sf http://127.0.0.1:9101/metrics | promtool check metrics")?;
    stage.stop("uidmeter");
    stage.refuses("uidmeter run --web.listen-address 0.0.0.0:9101", "loopback")
}

/// Starts the daemon with two of the shipped files.
fn serve(stage: &mut Stage, web: &str, auth: Option<&str>) -> Result<()> {
    stage.stop("uidmeter");
    let auth = auth.map_or_else(String::new, |file| format!(" --web.auth-file /etc/uidmeter/web/{file}"));
    let command = format!(
        "uidmeter run --web.listen-address 0.0.0.0:9101 --web.config.file /etc/uidmeter/web/{web}{auth} \
         --limits.policy-file /etc/uidmeter/policy/build-server.toml"
    );
    stage.start("uidmeter", &command, "ss -Hltn 'sport = :9101' | grep -q .")
}

fn configuration() -> Result<String, std::fmt::Error> {
    let mut text = String::from("global: {scrape_interval: 1s}\nscrape_configs:\n");
    for (name, options) in JOBS {
        let options = options
            .replace("TLS", "tls_config: {ca_file: /etc/prometheus/uidmeter-ca.crt}")
            .replace(
                "CLIENT",
                "tls_config: {ca_file: /etc/prometheus/uidmeter-ca.crt, cert_file: /etc/prometheus/uidmeter-client.crt, \
                 key_file: /etc/prometheus/uidmeter-client.key}",
            )
            .replace("BASIC", "basic_auth: {username: prometheus, password_file: /etc/prometheus/uidmeter.password}")
            .replace("TOKEN", "authorization: {credentials_file: /etc/prometheus/uidmeter.token}");
        writeln!(
            text,
            "  - {{job_name: {name}, {options}, static_configs: [{{targets: ['host1.example.com:9101']}}]}}"
        )?;
    }
    Ok(text)
}

/// Until the jobs that are up are those that are expected, and stay it until each was scraped again.
fn settle(stage: &Stage, expected: &[&str]) -> Result<()> {
    let expected: BTreeSet<String> = expected.iter().map(|job| (*job).to_owned()).collect();
    let begun = Instant::now();
    let mut since = None;
    loop {
        let said = stage.run("promtool query instant http://127.0.0.1:9090 'up == 1'")?;
        let up: BTreeSet<String> =
            said.lines().filter_map(|line| line.split("job=\"").nth(1)?.split('"').next()).map(str::to_owned).collect();
        let since = since.get_or_insert_with(Instant::now);
        if up != expected {
            *since = Instant::now();
        } else if since.elapsed() > SETTLED {
            return Ok(());
        }
        if begun.elapsed() > PATIENCE {
            bail!("these jobs come in: {up:?}; expected are {expected:?}");
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Makes a token with other `flags` than the right ones.
fn mint(stage: &Stage, flags: &str, file: &str) -> Result<()> {
    let flag = |name: &str, value: &str| {
        if flags.contains(name) { String::new() } else { format!(" {name} {value}") }
    };
    stage.run(&format!(
        "uidmeter token mint --subject prometheus --out {file} {flags}{}{}{}{}",
        flag("--key", "/etc/uidmeter/web/token.key"),
        flag("--kid", "current"),
        flag("--issuer", "fleet.example"),
        flag("--audience", "uidmeter"),
    ))?;
    Ok(())
}

/// Tokens that differ from a good one in one thing each.
fn tokens(stage: &Stage) -> Result<()> {
    stage.run("uidmeter token keygen --private /etc/pki/other.key --kid current")?;
    for (flags, expected) in [
        ("", "200"),
        ("--issuer another.example", "401"),
        ("--audience another", "401"),
        ("--kid another", "401"),
        ("--key /etc/pki/other.key", "401"),
        ("--lifetime 3days", "401"),
        ("--permissions api:read", "403"),
    ] {
        mint(stage, flags, "/etc/pki/token")?;
        let status = stage.run(
            "curl -sS --cacert /etc/prometheus/uidmeter-ca.crt -o /dev/null -w '%{http_code}' \
             -H \"Authorization: Bearer $(cat /etc/pki/token)\" https://host1.example.com:9101/metrics",
        )?;
        ensure!(status == expected, "a token with {flags:?} is answered with {status}, not {expected}");
    }
    Ok(())
}

/// The families about the daemon's own work, by name, as Prometheus has them.
fn own(stage: &Stage) -> Result<()> {
    for name in OWN {
        let said = stage.run(&format!("promtool query instant http://127.0.0.1:9090 'count({name})'"))?;
        ensure!(said.contains("=>"), "Prometheus has no {name}");
    }
    let refused =
        "promtool query instant http://127.0.0.1:9090 'sum by (reason) (uidmeter_auth_failures_total) > 0' | grep '=>'";
    stage.wait_until(refused).context("clients without credentials are not counted")
}
