//! A real Prometheus as a child process, and what it answers. Dropping it stops it and removes its data.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

use crate::{child::Child, daemon::free_address, interrupt::Interrupt};

/// A query over many samples takes its time on a busy machine.
const PATIENCE: Duration = Duration::from_mins(2);
const START: Duration = Duration::from_mins(1);

/// One at work.
pub(super) struct Prometheus {
    child: Child,
    address: SocketAddr,
    _data: TempDir,
}

impl Prometheus {
    /// Starts `program` with `configuration` and waits until it is ready.
    pub(super) fn start(program: &Path, configuration: &Path, native: bool, interrupt: &Interrupt) -> Result<Self> {
        let data = tempfile::tempdir().context("cannot make a folder for Prometheus' data")?;
        let address = free_address().context("no free port on 127.0.0.1")?;
        let mut command = Command::new(program);
        command
            .arg(format!("--config.file={}", configuration.display()))
            .arg(format!("--storage.tsdb.path={}", data.path().display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--log.level=warn")
            .args(native.then_some("--enable-feature=native-histograms"))
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let child = Child::spawn(&mut command, None).with_context(|| format!("cannot start {}", program.display()))?;
        let mut prometheus = Self { child, address, _data: data };
        let begun = Instant::now();
        while prometheus.get("/-/ready").is_err() {
            prometheus.check()?;
            if begun.elapsed() > START {
                bail!("{} is not ready after {} s", program.display(), START.as_secs());
            }
            interrupt.pause()?;
        }
        Ok(prometheus)
    }

    pub(super) fn pid(&self) -> Pid {
        self.child.pid()
    }

    /// That it still runs.
    pub(super) fn check(&mut self) -> Result<()> {
        match self.child.ended()? {
            Some(status) => bail!("Prometheus has ended: {status}"),
            None => Ok(()),
        }
    }

    /// Its version, as it tells.
    pub(super) fn version(&self) -> Result<String> {
        let answer = self.api("/api/v1/status/buildinfo")?;
        Ok(answer["version"].as_str().context("Prometheus does not tell its version")?.to_owned())
    }

    /// Series in memory.
    pub(super) fn series(&self) -> Result<u64> {
        let answer = self.api("/api/v1/status/tsdb")?;
        answer["headStats"]["numSeries"].as_u64().context("Prometheus does not tell how many series it has")
    }

    /// What `query` yields now: for each series its values in the order of their times. One value of an instant vector.
    pub(super) fn ask(&self, query: &str) -> Result<Vec<Vec<f64>>> {
        let encoded: String = form_urlencoded::Serializer::new(String::new()).append_pair("query", query).finish();
        let answer = self.api(&format!("/api/v1/query?{encoded}"))?;
        values(&answer).with_context(|| format!("Prometheus' answer to {query} cannot be read"))
    }

    /// The field `data` of an answer.
    fn api(&self, path: &str) -> Result<Value> {
        let mut answer: Value = serde_json::from_slice(&self.get(path)?)?;
        Ok(answer["data"].take())
    }

    /// HTTP/1.0, so that the answer does not come in chunks.
    fn get(&self, path: &str) -> Result<Vec<u8>> {
        let mut stream = TcpStream::connect_timeout(&self.address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").as_bytes())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").context("an answer without a head")?;
        let body = answer.split_off(end + 4);
        match answer.split(|byte| *byte == b' ').nth(1) {
            Some(b"200") => Ok(body),
            _ => bail!("Prometheus refuses {path}: {}", String::from_utf8_lossy(&body)),
        }
    }
}

/// Of a vector or a matrix, whose numbers are text.
fn values(answer: &Value) -> Option<Vec<Vec<f64>>> {
    let value = |sample: &Value| sample.get(1)?.as_str()?.parse().ok();
    let series = |series: &Value| match (series.get("values"), series.get("value")) {
        (Some(samples), _) => samples.as_array()?.iter().map(value).collect(),
        (None, Some(sample)) => Some(vec![value(sample)?]),
        (None, None) => None,
    };
    answer.get("result")?.as_array()?.iter().map(series).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::values;

    #[test]
    fn vectors_and_matrices_are_read_and_nothing_else() {
        let vector = json!({ "result": [{ "metric": {}, "value": [1.5, "0.25"] }] });
        assert_eq!(values(&vector), Some(vec![vec![0.25]]));
        let matrix = json!({ "result": [{ "values": [[1, "1"], [2, "0"]] }, { "values": [[1, "3e-2"]] }] });
        assert_eq!(values(&matrix), Some(vec![vec![1.0, 0.0], vec![0.03]]));
        assert_eq!(values(&json!({ "result": [{ "histogram": [1, {}] }] })), None);
        assert_eq!(values(&json!({ "result": [{ "value": [1, "one"] }] })), None);
        assert_eq!(values(&json!({})), None);
    }
}
