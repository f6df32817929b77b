//! Against the real Prometheus: it scrapes the daemon, and its own linter accepts the page; it stores native histograms of
//! known waits, and what it computes from them is what the waits say.
//!
//! `cargo xtask test peers` fetches the servers and names them in `UIDMETER_PROMETHEUS_2`, `UIDMETER_PROMTOOL_2` and the
//! same with 3.

#[path = "support/fixed.rs"]
mod fixed;
#[path = "support/modes.rs"]
mod modes;
#[path = "support/samples.rs"]
mod samples;
#[path = "support/daemon.rs"]
mod support;

use std::{
    error::Error,
    fmt::Write as _,
    fs,
    io::Write as _,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use fixed::Host;
use modes::Site;
use nix::sys::signal::Signal;
use support::{Daemon, get};

type Outcome = Result<(), Box<dyn Error>>;

/// Ends when dropped.
struct Prometheus {
    child: Child,
    address: SocketAddr,
    _data: tempfile::TempDir,
}

impl Prometheus {
    fn start(binary: PathBuf, target: SocketAddr) -> Result<Self, Box<dyn Error>> {
        Self::start_with(binary, target, &[], "")
    }

    /// With more flags, and more of a scrape configuration: `key: value, …`.
    fn start_with(binary: PathBuf, target: SocketAddr, flags: &[&str], scraping: &str) -> Result<Self, Box<dyn Error>> {
        let config = format!(
            "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\n\
             scrape_configs: [{{job_name: uidmeter, static_configs: [{{targets: ['{target}']}}], {scraping}}}]\n"
        );
        Self::start_configured(binary, flags, &config)
    }

    /// With a whole configuration.
    fn start_configured(binary: PathBuf, flags: &[&str], configuration: &str) -> Result<Self, Box<dyn Error>> {
        let data = tempfile::tempdir()?;
        let config = data.path().join("prometheus.yml");
        fs::write(&config, configuration)?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let child = Command::new(binary)
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", data.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .args(flags)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self { child, address, _data: data })
    }

    /// What the API answers.
    fn ask(&self, path: &str) -> Result<serde_json::Value, Box<dyn Error>> {
        let (status, body) = get(self.address, path)?;
        if status != 200 {
            return Err(format!("{path}: {status} {body}").into());
        }
        Ok(serde_json::from_str(&body)?)
    }

    /// The values of the series that `expression` yields.
    fn query(&self, expression: &str) -> Result<Vec<f64>, Box<dyn Error>> {
        let mut encoded = String::new();
        for byte in expression.bytes() {
            write!(encoded, "%{byte:02x}")?;
        }
        let body = self.ask(&format!("/api/v1/query?query={encoded}"))?;
        let series = body["data"]["result"].as_array().ok_or("no result")?;
        series.iter().map(|one| Ok(one["value"][1].as_str().ok_or("no value")?.parse()?)).collect()
    }

    /// Asks until every value satisfies `condition`, and there is one.
    fn await_query(&self, expression: &str, condition: impl Fn(f64) -> bool) -> Outcome {
        let deadline = Instant::now() + Duration::from_mins(1);
        loop {
            let found = self.query(expression);
            if let Ok(values) = &found
                && !values.is_empty()
                && values.iter().all(|value| condition(*value))
            {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(format!("{expression} yields {found:?}").into());
            }
            thread::sleep(Duration::from_millis(200));
        }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // Both fail if it has ended, which is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn from_environment(variable: &str) -> Result<PathBuf, Box<dyn Error>> {
    let path =
        std::env::var_os(variable).ok_or_else(|| format!("{variable} is not set; run `cargo xtask test peers`"))?;
    Ok(path.into())
}

fn is_scraped_by(version: u32) -> Outcome {
    let daemon = Daemon::start(&[])?;
    let prometheus = Prometheus::start(from_environment(&format!("UIDMETER_PROMETHEUS_{version}"))?, daemon.address)?;
    prometheus.await_query("up{job=\"uidmeter\"}", |up| (up - 1.0).abs() < f64::EPSILON)?;
    // Not every kernel lets functions be hooked.
    prometheus.await_query("uidmeter_probe_active{probe!~\"memory_stall.*\"}", |active| {
        (active - 1.0).abs() < f64::EPSILON
    })?;
    // Root runs this very test; its use is above nothing and below all CPUs.
    let cpus = f64::from(u32::try_from(thread::available_parallelism()?.get())?);
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
    daemon.end(Signal::SIGTERM)?;
    Ok(())
}

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

fn stores_native_histograms(version: u32, scraping: &str) -> Result<(Host, Prometheus), Box<dyn Error>> {
    let host = Host::start()?;
    let binary = from_environment(&format!("UIDMETER_PROMETHEUS_{version}"))?;
    let prometheus = Prometheus::start_with(binary, host.address, &["--enable-feature=native-histograms"], scraping)?;
    quantiles_are_those_of_the_waits(&prometheus, &host)?;
    Ok((host, prometheus))
}

#[test]
fn prometheus_2_stores_native_histograms_whose_quantiles_are_those_of_the_waits() -> Outcome {
    stores_native_histograms(2, "").map(drop)
}

#[test]
fn prometheus_3_stores_native_and_classic_histograms_side_by_side() -> Outcome {
    let (host, prometheus) = stores_native_histograms(3, "always_scrape_classic_histograms: true")?;
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
    let binary = from_environment("UIDMETER_PROMETHEUS_3")?;
    let only = "scrape_protocols: [OpenMetricsText1.0.0], fallback_scrape_protocol: OpenMetricsText1.0.0";
    let prometheus = Prometheus::start_with(binary, host.address, &[], only)?;
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

fn passes_the_linter_of(version: u32) -> Outcome {
    let daemon = Daemon::start(&[])?;
    let (_, page) = daemon.get("/metrics")?;
    let mut promtool = Command::new(from_environment(&format!("UIDMETER_PROMTOOL_{version}"))?)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    promtool.stdin.take().ok_or("no input")?.write_all(page.as_bytes())?;
    let output = promtool.wait_with_output()?;
    let said = [output.stdout, output.stderr].concat();
    if !output.status.success() || !said.is_empty() {
        return Err(format!("promtool says {}: {}", output.status, String::from_utf8_lossy(&said)).into());
    }
    Ok(())
}

#[test]
fn prometheus_2_scrapes_the_daemon() -> Outcome {
    is_scraped_by(2)
}

#[test]
fn prometheus_3_scrapes_the_daemon() -> Outcome {
    is_scraped_by(3)
}

#[test]
fn promtool_2_accepts_the_page() -> Outcome {
    passes_the_linter_of(2)
}

#[test]
fn promtool_3_accepts_the_page() -> Outcome {
    passes_the_linter_of(3)
}

/// Those that name keys which this version does not know yet are left out.
fn accepts_the_samples_but(version: u32, unknown: &[&str]) -> Outcome {
    let folder = samples::samples()?;
    let mut checked = 0;
    for entry in fs::read_dir(folder.path())? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.extension().is_none_or(|extension| extension != "yml") || unknown.contains(&&*name) {
            continue;
        }
        let mut promtool = Command::new(from_environment(&format!("UIDMETER_PROMTOOL_{version}"))?);
        let output = promtool.args(["check", "web-config"]).arg(&path).output()?;
        if !output.status.success() {
            return Err(format!("{name}: {}", String::from_utf8_lossy(&output.stderr)).into());
        }
        checked += 1;
    }
    if checked < 3 { Err(format!("only {checked} samples").into()) } else { Ok(()) }
}

#[test]
fn promtool_2_accepts_the_web_configuration() -> Outcome {
    accepts_the_samples_but(2, &["mtls.yml"])
}

#[test]
fn promtool_3_accepts_the_web_configuration() -> Outcome {
    accepts_the_samples_but(3, &[])
}

/// Sample of the web configuration, authentication file, heading of the documented scrape block.
const MODES: [(Option<&str>, Option<&str>, &str); 6] = [
    (None, None, "`none`"),
    (Some("basic.yml"), None, "`basic`"),
    (Some("tls.yml"), Some("jwt.toml"), "`jwt`"),
    (Some("basic.yml"), Some("jwt.toml"), "`basic`"),
    (Some("basic.yml"), Some("jwt.toml"), "`jwt`"),
    (Some("mtls.yml"), Some("permissions.toml"), "Client certificates"),
];

fn scrapes_in_every_documented_mode(version: u32) -> Outcome {
    let site = Site::new()?;
    for (web_config, auth_file, heading) in MODES {
        let path = |name: Option<&str>| name.map(|name| site.path(name));
        let host = Host::start_guarded(path(web_config), path(auth_file))
            .map_err(|error| format!("{web_config:?} {auth_file:?}: {error}"))?;
        let binary = || from_environment(&format!("UIDMETER_PROMETHEUS_{version}"));
        let scraped = Prometheus::start_configured(binary()?, &[], &site.block(heading, host.address)?)?;
        scraped
            .await_query("up{job=\"uidmeter\"}", is(1.0))
            .map_err(|error| format!("{web_config:?} {auth_file:?} {heading}: {error}"))?;
        if web_config.is_some() {
            // TLS alone does not open the door.
            let stranger = "scheme: https, tls_config: {insecure_skip_verify: true}";
            let stranger = Prometheus::start_with(binary()?, host.address, &[], stranger)?;
            stranger
                .await_query("up{job=\"uidmeter\"}", is(0.0))
                .map_err(|error| format!("{web_config:?} {auth_file:?}, without credentials: {error}"))?;
        }
    }
    Ok(())
}

fn is(expected: f64) -> impl Fn(f64) -> bool {
    move |found| (found - expected).abs() < f64::EPSILON
}

#[test]
fn prometheus_2_scrapes_in_every_documented_mode() -> Outcome {
    scrapes_in_every_documented_mode(2)
}

#[test]
fn prometheus_3_scrapes_in_every_documented_mode() -> Outcome {
    scrapes_in_every_documented_mode(3)
}

/// A new key comes beside the old one, Prometheus gets a token of it, and the old key goes. `follows` says whether this
/// Prometheus reads its token's file at each scrape; one that keeps its first token is let in as long as the old key stands there.
fn rotates_its_token(version: u32, follows: bool) -> Outcome {
    let site = Site::new()?;
    site.keygen("next", "next")?;
    let jwt = fs::read_to_string(site.path("jwt.toml"))?;
    let next = "[[jwt.keys]]\nkid = \"next\"\nalgorithm = \"EdDSA\"\nfile = \"next.key.pub\"\n";
    let host = Host::start_guarded(Some(site.path("tls.yml")), Some(site.path("jwt.toml")))?;
    let binary = from_environment(&format!("UIDMETER_PROMETHEUS_{version}"))?;
    let prometheus = Prometheus::start_configured(binary, &[], &site.block("`jwt`", host.address)?)?;
    prometheus.await_query("up", is(1.0))?;
    // Both keys hold, then the token changes: nobody is turned away meanwhile.
    site.write("jwt.toml", &format!("{jwt}\n{next}"))?;
    thread::sleep(AFTER_A_LOOK);
    site.mint("next", "next")?;
    thread::sleep(Duration::from_secs(3));
    prometheus.await_query("min_over_time(up[15s])", is(1.0))?;
    // The old key goes.
    let (before, _) = jwt.split_once("[[jwt.keys]]").ok_or("the sample has no key")?;
    site.write("jwt.toml", &format!("{before}{next}"))?;
    thread::sleep(AFTER_A_LOOK);
    prometheus.await_query("up", is(if follows { 1.0 } else { 0.0 }))
}

/// Files are looked at every three seconds.
const AFTER_A_LOOK: Duration = Duration::from_secs(5);

#[test]
fn prometheus_2_takes_a_new_token_at_its_next_scrape() -> Outcome {
    rotates_its_token(2, true)
}

#[test]
fn prometheus_3_keeps_its_first_token_so_both_keys_must_hold_for_a_while() -> Outcome {
    rotates_its_token(3, false)
}
