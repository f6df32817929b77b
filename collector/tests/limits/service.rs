//! The unit that is shipped, run by systemd itself: when it counts as started, as whom it runs, what watches it, and that nobody
//! stays limited after it.

use std::{fs, io, net::TcpListener, path::Path, process::Command, thread, time::Duration};

use crate::{
    Outcome, Tests,
    harm::SECONDS,
    people::MALLORY,
    rig::PATIENCE,
    support::{binary, get},
    systemd::{POLICY, systemctl},
    traces::{group_of, limits_of},
};

pub(crate) const TESTS: Tests = &[
    ("the_unit_is_started_when_it_serves_and_runs_as_an_ordinary_user", monitors),
    ("the_unit_is_begun_anew_when_ticks_stop", watched),
    ("the_unit_that_enforces_leaves_nobody_limited_whatever_dies", enforces),
];

const UNIT: &str = include_str!("../../../packaging/systemd/uidmeter.service");
const ENFORCE: &str = include_str!("../../../packaging/systemd/enforce.conf");
/// Units that are gone with the machine.
const UNITS: &str = "/run/systemd/system";
const CONFIGURATION: &str = "/etc/uidmeter/uidmeter.toml";

/// The service; stopped and removed when dropped.
struct Service {
    address: std::net::SocketAddr,
}

impl Service {
    /// Installs unit and configuration, as a package does, and starts it. `more` is added to the configuration, `drop_in` to the
    /// unit.
    fn start(more: &str, drop_in: &str) -> io::Result<Self> {
        if !Command::new("id").arg("uidmeter").output()?.status.success() {
            let made = Command::new("useradd").args(["--system", "--no-create-home", "uidmeter"]).output()?;
            if !made.status.success() {
                return Err(io::Error::other(String::from_utf8_lossy(&made.stderr).into_owned()));
            }
        }
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let folder = Path::new(UNITS).join("uidmeter.service.d");
        fs::create_dir_all(&folder)?;
        let here = |text: &str| text.replace("/usr/bin/uidmeter", &binary().to_string_lossy());
        fs::write(Path::new(UNITS).join("uidmeter.service"), here(UNIT))?;
        fs::write(folder.join("test.conf"), here(drop_in))?;
        fs::create_dir_all("/etc/uidmeter")?;
        fs::write(CONFIGURATION, format!("{more}\n[web]\nlisten_addresses = [\"{address}\"]\n"))?;
        systemctl(&["daemon-reload"])?;
        let service = Self { address };
        systemctl(&["start", "uidmeter"]).map_err(|error| complaint(&error.to_string()))?;
        Ok(service)
    }
}

/// Waits; `what` says what did not come.
fn until(what: &str, mut holds: impl FnMut() -> io::Result<bool>) -> io::Result<()> {
    let deadline = std::time::Instant::now() + PATIENCE;
    while !holds()? {
        if std::time::Instant::now() > deadline {
            return Err(complaint(&format!("{what} within {PATIENCE:?}")));
        }
        thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// An error that shows how the unit stands.
fn complaint(what: &str) -> io::Error {
    let log = Command::new("journalctl").args(["-u", "uidmeter", "-n", "15", "--no-pager", "-o", "cat"]).output();
    let log = log.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let status = show("StatusText").unwrap_or_default();
    io::Error::other(format!("{what}; status {status:?}; its log ends with\n{log}"))
}

/// A property of the unit.
fn show(property: &str) -> io::Result<String> {
    let output = Command::new("systemctl").args(["show", "--value", "-p", property, "uidmeter"]).output()?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = systemctl(&["stop", "uidmeter"]);
        let _ = systemctl(&["reset-failed", "uidmeter"]);
        let _ = fs::remove_dir_all(Path::new(UNITS).join("uidmeter.service.d"));
        let _ = fs::remove_file(Path::new(UNITS).join("uidmeter.service"));
        let _ = fs::remove_file(CONFIGURATION);
        let _ = systemctl(&["daemon-reload"]);
    }
}

fn monitors() -> Outcome {
    let service = Service::start("", "")?;
    // Without waiting: that is what being started means.
    let (status, _) = get(service.address, "/-/ready").map_err(|error| complaint(&error.to_string()))?;
    if status != 200 {
        return Err(complaint(&format!("/-/ready answers {status} once it is started")).into());
    }
    let told = show("StatusText")?;
    if told != format!("serving http://{}/metrics", service.address) {
        return Err(format!("systemd was told {told:?}").into());
    }
    let process = fs::read_to_string(format!("/proc/{}/status", show("MainPID")?))?;
    let line =
        |name: &str| process.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim().to_owned();
    let ids = line("Uid:");
    if ids.split_whitespace().any(|id| id == "0") {
        return Err(format!("it runs as {ids}").into());
    }
    // CAP_PERFMON alone, or with CAP_BPF (include/uapi/linux/capability.h: 38 and 39).
    let effective = u64::from_str_radix(&line("CapEff:"), 16)?;
    if effective == 0 || effective & !(1 << 38 | 1 << 39) != 0 {
        return Err(format!("it keeps the capabilities {effective:x}").into());
    }
    let read = || -> io::Result<String> {
        let (_, page) = get(service.address, "/metrics")?;
        let line = page.lines().find(|line| line.starts_with("uidmeter_config_last_reload_success_timestamp_seconds "));
        Ok(line.unwrap_or_default().to_owned())
    };
    let before = read()?;
    systemctl(&["reload", "uidmeter"])?;
    until("it did not read its configuration again", || Ok(read()? != before))?;
    systemctl(&["stop", "uidmeter"])?;
    let (result, state) = (show("Result")?, show("ActiveState")?);
    if (result.as_str(), state.as_str()) != ("success", "inactive") {
        return Err(complaint(&format!("stopped, it is {state} with {result}")).into());
    }
    Ok(())
}

fn watched() -> Outcome {
    let service = Service::start("", "[Service]\nWatchdogSec=8s\n")?;
    // As long as ticks go on, nothing happens.
    thread::sleep(Duration::from_secs(12));
    let pid = show("MainPID")?;
    if show("NRestarts")? != "0" {
        return Err(complaint("it was begun anew although it ticks").into());
    }
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid.parse()?), nix::sys::signal::Signal::SIGSTOP)?;
    until("it was not begun anew", || Ok(show("NRestarts")? == "1" && show("ActiveState")? == "active"))?;
    let (status, _) = get(service.address, "/-/ready")?;
    if status == 200 { Ok(()) } else { Err(complaint(&format!("/-/ready answers {status}")).into()) }
}

fn enforces() -> Outcome {
    fs::create_dir_all("/etc/uidmeter")?;
    fs::write("/etc/uidmeter/policy.toml", POLICY)?;
    let more = "[limits]\nmode = \"enforce\"\npolicy_file = \"/etc/uidmeter/policy.toml\"\ninterval = \"500ms\"\n\
                audit_log = \"/var/log/uidmeter/limits.jsonl\"\ncontrol_socket = \"/run/uidmeter/control.sock\"\n";
    // The next start would undo it, too: here it is the end of this one that is meant.
    let _service = Service::start(more, &format!("{ENFORCE}Restart=no\n"))?;
    let mut hog = MALLORY.runs(&["spin", SECONDS, "4"])?;
    let is_limited = || Ok(!limits_of(&group_of(MALLORY))?.is_empty());
    until("nobody was limited", is_limited)?;
    let process = fs::read_to_string(format!("/proc/{}/status", show("MainPID")?))?;
    if process.lines().any(|line| line.starts_with("Uid:") && line.split_whitespace().any(|id| id == "0")) {
        return Err("the process that talks to the network is root".into());
    }
    // Daemon and enforcer at once, without a chance to undo anything themselves.
    systemctl(&["kill", "--kill-who=all", "--signal=KILL", "uidmeter"])?;
    // He is still there: a slice that goes with its last session would take its limits along.
    until("somebody stayed limited", || Ok(!is_limited()?))?;
    hog.stop()?;
    systemctl(&["stop", "uidmeter"])?;
    if is_limited()? {
        return Err(complaint("somebody is limited after it was stopped").into());
    }
    Ok(())
}
