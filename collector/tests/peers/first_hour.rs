//! A host and its Prometheus, made ready by what `uidmeter init` writes and prints, and by nothing else.

use std::process::Command;

use crate::{
    Outcome,
    host::Host,
    prometheus::{Prometheus, is},
};

/// Where the printed block looks for what belongs to Prometheus.
const THERE: &str = "/etc/prometheus/";

#[test]
fn what_init_prints_makes_a_target_that_is_up() -> Outcome {
    let (mut hosts, mut jobs) = (Vec::new(), String::new());
    let folder = tempfile::tempdir()?;
    for way in ["jwt", "basic"] {
        let place = folder.path().join(way);
        let binary = std::env::var_os("UIDMETER_BIN").ok_or("UIDMETER_BIN is not set; run `cargo xtask test peers`")?;
        let output = Command::new(binary)
            .args(["init", "--host", "127.0.0.1", "--owner", "0", "--auth", way, "--folder"])
            .arg(&place)
            .output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into());
        }
        let told = String::from_utf8(output.stdout)?;
        let block: Vec<&str> = told
            .lines()
            .skip_while(|line| *line != "scrape_configs:")
            .skip(1)
            .take_while(|line| !line.is_empty())
            .collect();
        let auth = place.join("auth.toml");
        let host = Host::start_guarded(Some(place.join("web.yml")), auth.exists().then_some(auth))?;
        let there = format!("{}/", place.join("for-prometheus").display());
        let job = format!("{}\n", block.join("\n"));
        let job = job.replace(THERE, &there).replace("127.0.0.1:9101", &host.address.to_string());
        jobs += &job.replace("job_name: uidmeter\n", &format!("job_name: {way}\n"));
        hosts.push(host);
    }
    for prometheus in Prometheus::all(&jobs)? {
        prometheus.await_query("count(up{job=~\"jwt|basic\"} == 1)", is(2.0))?;
    }
    Ok(())
}
