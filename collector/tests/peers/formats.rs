//! Native histograms of known waits, in each format that a release asks for: what Prometheus computes from them is what the
//! waits say.

use std::error::Error;

use crate::{
    Outcome,
    host::Host,
    prometheus::{Prometheus, Release, V2_42, V2_53, V3},
};

/// The bounds of a native bucket are this far apart, 2^(1/4).
const BUCKET: f64 = 1.189_207_115_002_721;

#[expect(clippy::print_stdout, reason = "the harness shows it when the test fails, or when somebody asks")]
fn quantiles_are_those_of_the_waits(prometheus: &Prometheus, host: &Host) -> Outcome {
    for (uid, waits) in &host.waits {
        let count = f64::from(u32::try_from(waits.len())?);
        let series = format!("uidmeter_run_queue_latency_seconds{{uid=\"{uid}\"}}");
        prometheus.await_query(&format!("histogram_count({series})"), |found| (found - count).abs() < 0.5)?;
        let sum = waits.iter().map(|wait| wait.as_secs_f64()).sum::<f64>();
        prometheus.await_query(&format!("histogram_sum({series})"), |found| (found / sum - 1.0).abs() < 1e-9)?;
        for percent in [1_u32, 10, 50, 90, 99] {
            let rank = (waits.len() * usize::try_from(percent)?).div_ceil(100);
            let expected = waits.get(rank - 1).ok_or("no such wait")?.as_secs_f64();
            let quantile = f64::from(percent) / 100.0;
            let found = prometheus.query(&format!("histogram_quantile({quantile}, {series})"))?;
            let [found] = found[..] else { return Err(format!("{percent} %: {found:?}").into()) };
            let ratio = found / expected;
            println!(
                "uid {uid}, {percent} %: waits say {expected:.9} s, Prometheus says {found:.9} s, ratio {ratio:.3}"
            );
            if !(1.0 / BUCKET..=BUCKET).contains(&ratio) {
                return Err(format!("uid {uid}, {percent} %: {found} instead of {expected}").into());
            }
        }
    }
    Ok(())
}

/// Unit that Prometheus was told for the histogram of waits: the Prometheus text format has no units.
fn unit(prometheus: &Prometheus) -> Result<String, Box<dyn Error>> {
    let found = prometheus.ask("/api/v1/targets/metadata?metric=uidmeter_run_queue_latency_seconds")?;
    Ok(found["data"][0]["unit"].as_str().unwrap_or_default().to_owned())
}

fn stores_native_histograms(release: Release, scraping: &str) -> Result<(Host, Prometheus), Box<dyn Error>> {
    let host = Host::start()?;
    let prometheus = Prometheus::of(release, host.address, &["--enable-feature=native-histograms"], scraping)?;
    quantiles_are_those_of_the_waits(&prometheus, &host)?;
    Ok((host, prometheus))
}

#[test]
fn prometheus_2_stores_native_histograms_whose_quantiles_are_those_of_the_waits() -> Outcome {
    stores_native_histograms(V2_42, "")?;
    stores_native_histograms(V2_53, "").map(drop)
}

#[test]
fn prometheus_3_stores_native_and_classic_histograms_side_by_side() -> Outcome {
    let (host, prometheus) = stores_native_histograms(V3, "always_scrape_classic_histograms: true")?;
    assert_eq!(unit(&prometheus)?, "seconds");
    for (uid, waits) in &host.waits {
        let below = waits.iter().filter(|wait| wait.as_secs_f64() <= 0.015_625).count();
        let below = f64::from(u32::try_from(below)?);
        let series = format!("uidmeter_run_queue_latency_seconds_bucket{{uid=\"{uid}\",le=\"0.015625\"}}");
        prometheus.await_query(&series, |found| (found - below).abs() < 0.5)?;
    }
    Ok(())
}

#[test]
fn prometheus_3_scrapes_openmetrics_when_it_takes_nothing_else() -> Outcome {
    let host = Host::start()?;
    let only = "scrape_protocols: [OpenMetricsText1.0.0], fallback_scrape_protocol: OpenMetricsText1.0.0";
    let prometheus = Prometheus::of(V3, host.address, &[], only)?;
    for (uid, waits) in &host.waits {
        let count = f64::from(u32::try_from(waits.len())?);
        let series = format!("uidmeter_run_queue_latency_seconds_count{{uid=\"{uid}\",user=~\"user.*\"}}");
        prometheus.await_query(&series, |found| (found - count).abs() < 0.5)?;
        prometheus.await_query(&format!("uidmeter_cpu_seconds_total{{uid=\"{uid}\"}}"), |found| found > 0.0)?;
    }
    // Bounds end in ".0" in this format, and Prometheus 3 writes bounds in one way whatever the format.
    prometheus.await_query("count(uidmeter_run_queue_latency_seconds_bucket{le=\"1.0\"})", |found| found > 1.5)?;
    assert_eq!(unit(&prometheus)?, "seconds");
    Ok(())
}
