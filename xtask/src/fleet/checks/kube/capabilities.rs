//! The daemon as the `DaemonSet` starts it: its capabilities, flags and settings, with Secret and ports of here, and the kubelet's probes.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use super::super::super::kit::Kit;
use super::super::super::python::Python;
use super::super::super::server::free_port;
use super::hub::certificates;
use super::{build, documents, object};
use crate::process::{self, Unavailable};

const PATIENCE: Duration = Duration::from_mins(1);
/// After this time the daemon has looked at its files again, as whom it has become.
const SECOND_LOOK: Duration = Duration::from_secs(5);
const NOBODY: u32 = 65_534;
/// bcrypt of "a-password-for-this-check", at the least cost.
const WEB: &str = "tls_server_config:\n  cert_file: tls.crt\n  key_file: tls.key\nbasic_auth_users:\n  \
                   prometheus: $2b$04$abcdefghijklmnopqrstuuM6sXXnnCVALaBpLdJeyINCQfBqj33na\n";

pub(super) fn check(kit: &Kit<'_>) -> Result<()> {
    let python = Python::prepare()?;
    let program = kit.daemon()?;
    let folder = kit.scratch().join("pod");
    certificates(&folder.join("web"))?;
    fs::write(folder.join("web/web.yml"), WEB)?;
    copy_as_nobody(&folder)?;
    let port = free_port()?;
    for name in ["base", "enforce"] {
        let objects = documents(&python, &build(kit, &kit.packaging("kubernetes").join(name), name)?)?;
        let container = &object(&objects, "DaemonSet", "uidmeter")?["spec"]["template"]["spec"]["containers"][0];
        let arguments = lay_out(container, &objects, &folder, port)?;
        // The flags and settings of each variant are ones that the daemon knows.
        process::capture(Command::new(&program).arg("check-config").args(&arguments[1..]))
            .with_context(|| format!("the settings of {name}"))?;
        if name == "base" {
            start(&program, container, &arguments, &folder, port)?;
        }
    }
    Ok(())
}

/// What the init container makes of the Secret: files of nobody's, which nobody else can read.
fn copy_as_nobody(folder: &Path) -> Result<()> {
    // Whoever is nobody must be able to get there.
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
    for entry in fs::read_dir(folder.join("web"))? {
        let path = entry?.path();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400))?;
        if process::is_root() {
            std::os::unix::fs::chown(&path, Some(NOBODY), Some(NOBODY))?;
        }
    }
    Ok(())
}

/// Puts each `ConfigMap` where the container would have them, and returns its arguments with paths of here.
fn lay_out(container: &Value, objects: &[Value], folder: &Path, port: u16) -> Result<Vec<String>> {
    fs::create_dir_all(folder.join("policy"))?;
    let here = folder.display().to_string();
    for map in objects.iter().filter(|object| object["kind"] == "ConfigMap") {
        for (name, text) in map["data"].as_object().into_iter().flatten() {
            let text = text.as_str().context("a ConfigMap holds something that is no text")?;
            let text = text.replace("/etc/uidmeter", &here).replace("0.0.0.0:9101", &format!("127.0.0.1:{port}"));
            let place = if name == "policy.toml" { folder.join("policy") } else { folder.to_owned() };
            fs::write(place.join(name), text)?;
        }
    }
    let arguments = container["args"].as_array().context("the container has no arguments")?;
    Ok(arguments.iter().filter_map(Value::as_str).map(|argument| argument.replace("/etc/uidmeter", &here)).collect())
}

/// Starts the daemon with the container's capabilities and nothing else, and asks what the kubelet asks.
fn start(program: &Path, container: &Value, arguments: &[String], folder: &Path, port: u16) -> Result<()> {
    if !process::is_root() {
        bail!(Unavailable("starting the daemon with a container's capabilities takes root".into()));
    }
    let added = container["securityContext"]["capabilities"]["add"].as_array().context("no capabilities")?;
    let names: Vec<String> = added.iter().filter_map(Value::as_str).map(str::to_ascii_lowercase).collect();
    let log = folder.join("log");
    let file = fs::File::create(&log)?;
    let mut command = Command::new("setpriv");
    command.arg(format!("--bounding-set=-all,+{}", names.join(",+"))).args(["--inh-caps=-all", "--no-new-privs", "--"]);
    command.arg(program).args(arguments).stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
    let mut daemon = Running(command.spawn().context("cannot start setpriv")?);
    for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
        let path = container[probe]["httpGet"]["path"].as_str().context("a probe without a path")?;
        let begun = Instant::now();
        // The kubelet shows no credential and looks at no certificate.
        let ask = || -> Result<String> {
            let mut curl = Command::new("curl");
            curl.args(["-sS", "-k", "--noproxy", "*", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "5"]);
            process::capture(curl.arg(format!("https://127.0.0.1:{port}{path}")))
        };
        while ask().ok().as_deref() != Some("200") {
            let said = fs::read_to_string(&log).unwrap_or_default();
            if let Some(status) = daemon.0.try_wait()? {
                bail!("the daemon ended with {status}:\n{said}");
            }
            ensure!(begun.elapsed() < PATIENCE, "{path} is not answered with 200 after {PATIENCE:?}:\n{said}");
            thread::sleep(Duration::from_millis(250));
        }
    }
    thread::sleep(SECOND_LOOK);
    let said = fs::read_to_string(&log)?;
    ensure!(!said.contains("stay as they were"), "the daemon cannot read its files again:\n{said}");
    ensure!(said.contains("gave up privileges"), "the daemon did not give up privileges:\n{said}");
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.0.id()))?;
    let uid = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap_or_default();
    ensure!(!uid.split_whitespace().any(|uid| uid == "0"), "the daemon goes on as root");
    Ok(())
}

/// Ends the daemon however the check ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let pid = nix::unistd::Pid::from_raw(self.0.id().cast_signed());
        // SIGTERM, for it detaches its programs; setpriv has become the daemon.
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        let _ = self.0.wait();
    }
}
