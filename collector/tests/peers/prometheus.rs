//! Releases of Prometheus, and a running one.

use std::{
    error::Error,
    fmt::Write as _,
    fs,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{Outcome, daemon::get};

/// What one Debian has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Release {
    pub(crate) name: &'static str,
    prometheus: &'static str,
    promtool: &'static str,
}

/// bookworm's.
pub(crate) const V2_42: Release =
    Release { name: "2.42", prometheus: "UIDMETER_PROMETHEUS_2_42", promtool: "UIDMETER_PROMTOOL_2_42" };
/// trixie's.
pub(crate) const V2_53: Release =
    Release { name: "2.53", prometheus: "UIDMETER_PROMETHEUS_2_53", promtool: "UIDMETER_PROMTOOL_2_53" };
/// sid's.
pub(crate) const V3: Release =
    Release { name: "3", prometheus: "UIDMETER_PROMETHEUS_3", promtool: "UIDMETER_PROMTOOL_3" };
pub(crate) const RELEASES: [Release; 3] = [V2_42, V2_53, V3];

impl Release {
    pub(crate) fn promtool(self) -> Result<Command, Box<dyn Error>> {
        Ok(Command::new(from_environment(self.promtool)?))
    }
}

fn from_environment(variable: &str) -> Result<PathBuf, Box<dyn Error>> {
    let path =
        std::env::var_os(variable).ok_or_else(|| format!("{variable} is not set; run `cargo xtask test peers`"))?;
    Ok(path.into())
}

/// With these items of `scrape_configs`.
fn configuration(jobs: &str) -> String {
    format!("global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nscrape_configs:\n{jobs}")
}

fn spawn(release: Release, arguments: &[String]) -> Result<Child, Box<dyn Error>> {
    let mut command = Command::new(from_environment(release.prometheus)?);
    Ok(command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?)
}

/// Ends when dropped.
pub(crate) struct Prometheus {
    pub(crate) release: Release,
    child: Child,
    pub(crate) address: SocketAddr,
    arguments: Vec<String>,
    data: tempfile::TempDir,
}

impl Prometheus {
    /// Scrapes `target`, with more of a scrape configuration: `key: value, …`.
    pub(crate) fn of(
        release: Release,
        target: SocketAddr,
        flags: &[&str],
        scraping: &str,
    ) -> Result<Self, Box<dyn Error>> {
        let job = format!("  - {{job_name: uidmeter, static_configs: [{{targets: ['{target}']}}], {scraping}}}\n");
        Self::start(release, flags, &job)
    }

    /// One of each release with the same `jobs`.
    pub(crate) fn all(jobs: &str) -> Result<Vec<Self>, Box<dyn Error>> {
        RELEASES.into_iter().map(|release| Self::start(release, &[], jobs)).collect()
    }

    /// With these items of `scrape_configs`; each is scraped every second.
    pub(crate) fn start(release: Release, flags: &[&str], jobs: &str) -> Result<Self, Box<dyn Error>> {
        let data = tempfile::tempdir()?;
        let config = data.path().join("prometheus.yml");
        fs::write(&config, configuration(jobs))?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let own = [
            format!("--config.file={}", config.display()),
            format!("--storage.tsdb.path={}", data.path().join("data").display()),
            format!("--web.listen-address={address}"),
        ];
        let arguments: Vec<String> = own.into_iter().chain(flags.iter().map(ToString::to_string)).collect();
        let child = spawn(release, &arguments)?;
        Ok(Self { release, child, address, arguments, data })
    }

    /// From now on with these `jobs`.
    pub(crate) fn configure(&self, jobs: &str) -> Outcome {
        fs::write(self.data.path().join("prometheus.yml"), configuration(jobs))?;
        Ok(kill(Pid::from_raw(i32::try_from(self.child.id())?), Signal::SIGHUP)?)
    }

    /// Ends it; what it has stored stays.
    pub(crate) fn kill(&mut self) -> Outcome {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Starts it again, where it was.
    pub(crate) fn start_again(&mut self) -> Outcome {
        self.child = spawn(self.release, &self.arguments)?;
        Ok(())
    }

    /// Waits until it answers.
    pub(crate) fn await_ready(&self) -> Outcome {
        self.await_query("vector(1)", is(1.0))
    }

    /// What the API answers.
    pub(crate) fn ask(&self, path: &str) -> Result<serde_json::Value, Box<dyn Error>> {
        let (status, body) = get(self.address, path)?;
        if status != 200 {
            return Err(format!("{path}: {status} {body}").into());
        }
        Ok(serde_json::from_str(&body)?)
    }

    fn result(&self, expression: &str) -> Result<serde_json::Value, Box<dyn Error>> {
        let mut encoded = String::new();
        for byte in expression.bytes() {
            write!(encoded, "%{byte:02x}")?;
        }
        self.ask(&format!("/api/v1/query?query={encoded}"))
    }

    /// When the only series that `range` selects (`NAME[TIME]`) has samples, in milliseconds since 1970.
    pub(crate) fn moments(&self, range: &str) -> Result<Vec<i64>, Box<dyn Error>> {
        let body = self.result(range)?;
        let [series] = body["data"]["result"].as_array().ok_or("no result")?.as_slice() else {
            return Err(format!("{range}: not one series: {body}").into());
        };
        let samples = series["values"].as_array().ok_or("no values")?;
        let moment = |sample: &serde_json::Value| sample[0].as_f64().map(|seconds| (seconds * 1e3).round());
        #[expect(clippy::cast_possible_truncation, reason = "whole milliseconds of this century")]
        samples.iter().map(|sample| Ok(moment(sample).ok_or("no time")? as i64)).collect()
    }

    /// The values of the series that `expression` yields.
    pub(crate) fn query(&self, expression: &str) -> Result<Vec<f64>, Box<dyn Error>> {
        let body = self.result(expression)?;
        let series = body["data"]["result"].as_array().ok_or("no result")?;
        series.iter().map(|one| Ok(one["value"][1].as_str().ok_or("no value")?.parse()?)).collect()
    }

    /// Asks until every value satisfies `condition`, and there is one.
    pub(crate) fn await_query(&self, expression: &str, condition: impl Fn(f64) -> bool) -> Outcome {
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
                return Err(format!("Prometheus {}: {expression} yields {found:?}", self.release.name).into());
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

/// For [`Prometheus::await_query`].
pub(crate) fn is(expected: f64) -> impl Fn(f64) -> bool {
    move |found| (found - expected).abs() < f64::EPSILON
}
