//! The daemon's figures: every release scrapes them, and its own linter has nothing to say about the page.

use std::{io::Write as _, process::Stdio, thread};

use nix::sys::signal::Signal;

use crate::{
    Outcome,
    daemon::Daemon,
    prometheus::{Prometheus, RELEASES, is},
};

#[test]
fn every_prometheus_scrapes_the_daemon() -> Outcome {
    let daemon = Daemon::start(&[])?;
    let job = format!("  - {{job_name: uidmeter, static_configs: [{{targets: ['{}']}}]}}\n", daemon.address);
    // Root runs this very test; its use is above nothing and below all CPUs.
    let cpus = f64::from(u32::try_from(thread::available_parallelism()?.get())?);
    for prometheus in Prometheus::all(&job)? {
        prometheus.await_query("up{job=\"uidmeter\"}", is(1.0))?;
        // Not every kernel lets functions be hooked.
        prometheus.await_query("uidmeter_probe_active{hook!~\"fentry/.*\"}", is(1.0))?;
        prometheus.await_query("rate(uidmeter_cpu_seconds_total{user=\"root\"}[10s])", |cores| {
            cores > 0.0 && cores < cpus * 1.2
        })?;
        prometheus.await_query(
            "sum(rate(uidmeter_cpu_mode_seconds_total{user=\"root\"}[10s])) / sum(rate(uidmeter_cpu_seconds_total{user=\"root\"}[10s]))",
            |ratio| (ratio - 1.0).abs() < 1e-6,
        )?;
        prometheus.await_query(
            "histogram_quantile(0.99, rate(uidmeter_run_queue_latency_seconds_bucket{user=\"root\"}[10s]))",
            |seconds| seconds > 0.0 && seconds < 16.0,
        )?;
    }
    daemon.end(Signal::SIGTERM)?;
    Ok(())
}

#[test]
fn every_promtool_accepts_the_page() -> Outcome {
    let daemon = Daemon::start(&[])?;
    let (_, page) = daemon.get("/metrics")?;
    for release in RELEASES {
        let mut promtool = release
            .promtool()?
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        promtool.stdin.take().ok_or("no input")?.write_all(page.as_bytes())?;
        let output = promtool.wait_with_output()?;
        let said = [output.stdout, output.stderr].concat();
        if !output.status.success() || !said.is_empty() {
            let (name, said) = (release.name, String::from_utf8_lossy(&said));
            return Err(format!("promtool {name} ends with {}: {said}", output.status).into());
        }
    }
    Ok(())
}
