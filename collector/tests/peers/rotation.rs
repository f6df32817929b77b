//! Tokens and their keys change while Prometheus scrapes, as `docs/FLEET-COMMAND.md` says.

use std::{fs, thread, time::Duration};

use crate::{
    Outcome,
    host::Host,
    prometheus::{Prometheus, V3, is},
    site::Site,
};

/// Several scrapes, and one look at the files.
const A_WHILE: Duration = Duration::from_secs(5);
/// All of this test.
const NO_FAILED_SCRAPE: &str = "min_over_time(up[5m])";
const DOCUMENT: &str = include_str!("../../../docs/FLEET-COMMAND.md");

/// The lines with which a person changes a scrape section so that its token is read again.
fn documented_touch() -> Result<&'static str, String> {
    let section =
        DOCUMENT.split("\n## ").find(|section| section.starts_with("A Prometheus that keeps its first token"));
    let block = section.and_then(|section| section.split("```yaml\n").nth(1)?.split("```").next());
    block.ok_or_else(|| "the document does not say how".to_owned())
}

/// `uidmeter fleet rotate` changes the key in two runs. Prometheus 2 reads its token's file at each scrape; Prometheus 3 keeps its
/// first token until its scrape section changes, which is done between the runs. None of them misses a scrape; one that is
/// forgotten does.
#[test]
fn every_prometheus_scrapes_without_a_gap_while_the_key_changes() -> Outcome {
    let site = Site::new()?;
    let host = Host::start_guarded(Some(site.path("tls.yml")), Some(site.path("jwt.toml")))?;
    let job = site.job("`jwt`", "uidmeter", host.address)?;
    let everybody = Prometheus::all(&job)?;
    let forgotten = Prometheus::start(V3, &[], &job)?;
    for prometheus in everybody.iter().chain([&forgotten]) {
        prometheus.await_query("up", is(1.0))?;
    }
    let old = fs::read_to_string(site.path("uidmeter.token"))?;
    site.rotate(host.address, "next", &[])?;
    assert_ne!(fs::read_to_string(site.path("uidmeter.token"))?, old);
    let touched = format!("{job}{}", documented_touch()?);
    for prometheus in everybody.iter().filter(|prometheus| prometheus.release.name == V3.name) {
        prometheus.configure(&touched)?;
    }
    thread::sleep(A_WHILE);
    // Both keys hold: whatever it shows, nobody is turned away.
    for prometheus in everybody.iter().chain([&forgotten]) {
        prometheus.await_query(NO_FAILED_SCRAPE, is(1.0))?;
    }
    site.rotate(host.address, "next", &["--retire"])?;
    assert!(!fs::read_to_string(site.path("jwt.toml"))?.contains("kid = \"current\""));
    forgotten.await_query("up", is(0.0))?;
    thread::sleep(A_WHILE);
    for prometheus in &everybody {
        prometheus.await_query(NO_FAILED_SCRAPE, is(1.0))?;
        prometheus.await_query("time() - timestamp(up)", |age| age < 3.0)?;
    }
    Ok(())
}
