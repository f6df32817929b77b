//! Real servers that checks start: each on a loopback port of its own, with a folder of its own, ended when it is dropped.

use std::io::Read as _;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

/// How long a server may take to begin.
const PATIENCE: Duration = Duration::from_secs(30);
/// Largest answer that is read, in bytes.
const MOST: u64 = 64 << 20;

/// A port of loopback that is free now.
///
/// # Errors
/// There is none.
pub(super) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// A program that runs until this is dropped. What it says goes to a file.
pub(super) struct Server {
    child: Child,
    /// Where it listens, as `http://127.0.0.1:PORT`.
    pub(super) url: String,
    log: std::path::PathBuf,
}

impl Server {
    /// Starts `command`, which is told to listen on `port` already, and waits until `ready` (a path) answers 200.
    ///
    /// # Errors
    /// It ends, or is not ready in time; with the end of what it said.
    pub(super) fn start(command: &mut Command, port: u16, ready: &str, log: &Path) -> Result<Self> {
        let file = std::fs::File::create(log)?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let child = command.spawn().with_context(|| format!("cannot start {}", command.get_program().display()))?;
        let mut server = Self { child, url: format!("http://127.0.0.1:{port}"), log: log.to_owned() };
        let begun = Instant::now();
        while get(&format!("{}{ready}", server.url)).is_err() {
            if let Some(status) = server.child.try_wait()? {
                bail!("{} ended: {status}\n{}", command.get_program().display(), server.said());
            }
            if begun.elapsed() > PATIENCE {
                bail!("{} is not ready after {PATIENCE:?}\n{}", command.get_program().display(), server.said());
            }
            thread::sleep(Duration::from_millis(100));
        }
        Ok(server)
    }

    /// A Prometheus with this configuration and a database in `folder`.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub(super) fn prometheus(program: &Path, config: &Path, folder: &Path, flags: &[&str]) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        let port = free_port()?;
        let mut command = Command::new(program);
        command.arg(format!("--config.file={}", config.display()));
        command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
        if !flags.iter().any(|flag| flag.starts_with("--storage.")) {
            command.arg(format!("--storage.tsdb.path={}", folder.join("data").display()));
        }
        command.args(flags);
        Self::start(&mut command, port, "/-/ready", &folder.join("log"))
    }

    /// The result of an instant query: `data.result` of Prometheus' answer.
    ///
    /// # Errors
    /// The expression is wrong, or nobody answers.
    pub(super) fn query(&self, expression: &str) -> Result<Vec<Value>> {
        let url = format!("{}/api/v1/query", self.url);
        let answer =
            agent().get(&url).query("query", expression).call().map_err(|error| self.unhappy(expression, &error));
        let mut text = String::new();
        let mut answer = answer?;
        answer.body_mut().as_reader().take(MOST).read_to_string(&mut text)?;
        let answer: Value = serde_json::from_str(&text)?;
        if answer["status"] != "success" {
            bail!("{expression}: {}", answer["error"]);
        }
        Ok(match answer["data"]["resultType"].as_str() {
            Some("scalar" | "string") => vec![answer["data"]["result"].clone()],
            _ => answer["data"]["result"].as_array().cloned().unwrap_or_default(),
        })
    }

    /// The syntax tree of an expression, as Prometheus 3 parses it.
    ///
    /// # Errors
    /// The expression is wrong, or nobody answers.
    pub(super) fn parsed(&self, expression: &str) -> Result<Value> {
        let url = format!("{}/api/v1/parse_query", self.url);
        let mut answer =
            agent().get(&url).query("query", expression).call().map_err(|error| self.unhappy(expression, &error))?;
        let mut text = String::new();
        answer.body_mut().as_reader().take(MOST).read_to_string(&mut text)?;
        Ok(serde_json::from_str::<Value>(&text)?["data"].take())
    }

    /// Asks again and again until `expression` has a result, which is returned.
    ///
    /// # Errors
    /// It has none within `patience`.
    pub(super) fn wait_for(&self, expression: &str, patience: Duration) -> Result<Vec<Value>> {
        let begun = Instant::now();
        loop {
            let found = self.query(expression)?;
            if !found.is_empty() {
                return Ok(found);
            }
            if begun.elapsed() > patience {
                bail!("{expression} has no result after {patience:?}\n{}", self.said());
            }
            thread::sleep(Duration::from_millis(250));
        }
    }

    /// The process, for signals.
    pub(super) fn pid(&self) -> nix::unistd::Pid {
        nix::unistd::Pid::from_raw(self.child.id().cast_signed())
    }

    /// The end of what it said.
    pub(super) fn said(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }

    fn unhappy(&self, expression: &str, error: &ureq::Error) -> anyhow::Error {
        anyhow::anyhow!("{expression}: {error}\n{}", self.said())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Either it has ended by itself, or this ends it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends JSON, and wants an answer with status 2xx.
///
/// # Errors
/// Nobody answers, or something else.
pub(super) fn post(url: &str, body: &Value) -> Result<()> {
    agent().post(url).header("Content-Type", "application/json").send(serde_json::to_string(body)?)?;
    Ok(())
}

/// The body of an answer with status 200.
///
/// # Errors
/// Nobody answers, or something else.
pub(super) fn get(url: &str) -> Result<String> {
    let mut text = String::new();
    agent().get(url).call()?.body_mut().as_reader().take(MOST).read_to_string(&mut text)?;
    Ok(text)
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().timeout_global(Some(Duration::from_secs(10))).proxy(None).build().into()
}
