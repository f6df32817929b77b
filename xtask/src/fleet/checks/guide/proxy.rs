//! `packaging/proxy/nginx.conf` as a site of Debian's nginx, in front of a daemon that listens on loopback.

use std::fs;

use anyhow::{Context as _, Result, ensure};

use super::super::super::kit::Kit;
use super::site;
use super::stage::Stage;

const PACKAGES: &[&str] = &["nginx", "nginx-common", "apache2-utils", "libapr1", "libaprutil1"];

pub(super) fn check(kit: &Kit<'_>) -> Result<()> {
    let mut stage = site::stage(kit, PACKAGES, site::PROMETHEUS)?;
    stage.start("uidmeter", "uidmeter run", "curl -sf http://127.0.0.1:9101/-/ready")?;
    stage.run(&format!(
        "{}
         packaging/scripts/new-secret /etc/prometheus/uidmeter.password
         htpasswd -iBc /etc/nginx/uidmeter.htpasswd prometheus </etc/prometheus/uidmeter.password
         chgrp www-data /etc/nginx/uidmeter.htpasswd
         chmod 0640 /etc/nginx/uidmeter.htpasswd
         cp /etc/uidmeter/tls.crt /etc/nginx/uidmeter.crt
         cp /etc/pki/host1.example.com.key /etc/nginx/uidmeter.key
         cp packaging/proxy/nginx.conf /etc/nginx/conf.d/uidmeter.conf
         rm -f /etc/nginx/modules-enabled/*
         mkdir -p /var/log/nginx
         nginx -t",
        site::CERTIFICATES
    ))?;
    stage.start("nginx", "nginx -g 'daemon off;'", "ss -ltn | grep -q ':9443 '")?;
    answers(&stage)?;
    scrape(kit, &mut stage)
}

/// Who gets what, by status.
fn answers(stage: &Stage) -> Result<()> {
    let url = "https://host1.example.com:9443";
    let right = "--user prometheus:$(cat /etc/prometheus/uidmeter.password)";
    for (options, path, expected) in [
        (right, "/metrics", "200"),
        (right, "/api/v1/users", "404"),
        (right, "/-/healthy", "404"),
        (right, "/metrics/x", "404"),
        ("", "/metrics", "401"),
        ("--user prometheus:wrong", "/metrics", "401"),
        ("--user root:$(cat /etc/prometheus/uidmeter.password)", "/metrics", "401"),
    ] {
        let status = stage.run(&format!(
            "curl -sS --cacert /etc/prometheus/uidmeter-ca.crt -o /dev/null -w '%{{http_code}}' {options} {url}{path}"
        ))?;
        ensure!(status == expected, "{path} with {options:?} is answered with {status}, not {expected}");
    }
    stage.refuses("curl -sS --cacert /etc/prometheus/uidmeter-ca.crt --tls-max 1.1 --ciphers DEFAULT@SECLEVEL=0 https://host1.example.com:9443/", "")?;
    let plain = stage.run("curl -s -o /dev/null -w '%{http_code}' http://host1.example.com:9443/metrics")?;
    ensure!(plain == "400", "without TLS the answer is {plain}");
    let page = stage.run(&format!("curl -sS --cacert /etc/prometheus/uidmeter-ca.crt {right} {url}/metrics"))?;
    ensure!(page.contains("uidmeter_build_info"), "what nginx passes on is no page of uidmeter");
    Ok(())
}

/// With the block that is shipped, at a scrape each second.
fn scrape(kit: &Kit<'_>, stage: &mut Stage) -> Result<()> {
    let block = fs::read_to_string(kit.packaging("proxy/prometheus.yml"))?;
    let file = stage.folder().join("prometheus.yml");
    fs::write(&file, format!("global: {{scrape_interval: 1s}}\n{block}"))?;
    let file = file.display();
    stage.run(&format!("promtool check config {file}"))?;
    let command = format!(
        "prometheus --config.file={file} --storage.tsdb.path=/var/lib/prometheus --web.listen-address=127.0.0.1:9090"
    );
    stage.start("prometheus", &command, "curl -sf http://127.0.0.1:9090/-/ready")?;
    stage
        .wait_until("promtool query instant http://127.0.0.1:9090 'up{instance=\"host1.example.com:9101\"} == 1' | grep -q '=> 1'")
        .with_context(|| stage.said("nginx"))
}
