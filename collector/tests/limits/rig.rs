//! A daemon that limits, with files of its own, and what it leaves behind.

use std::{
    fs::{self, File},
    io,
    net::{SocketAddr, TcpListener},
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    figures::Figures,
    people::Person,
    support::{binary, end_of, get},
    traces::{Traces, group_of, limits_of},
};

/// How long a machine with slow CPUs may need for what takes a moment elsewhere: the host may be busy with other things, and two
/// emulated CPUs share one thread of it.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// A configuration in a folder of its own, and the daemon that runs with it, if one does.
pub(crate) struct Rig {
    folder: tempfile::TempDir,
    daemon: Option<Child>,
    address: SocketAddr,
    before: Traces,
}

impl Rig {
    /// Writes the files, looks at the machine, and starts the daemon.
    pub(crate) fn start(policy: &str) -> io::Result<Self> {
        let folder = tempfile::tempdir()?;
        // The daemon becomes an ordinary user.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut rig = Self { folder, daemon: None, address, before: Traces::now()? };
        fs::write(rig.path("policy.toml"), policy)?;
        fs::write(rig.path("uidmeter.toml"), rig.configuration(address))?;
        rig.start_again()?;
        Ok(rig)
    }

    fn configuration(&self, address: SocketAddr) -> String {
        let path = |name: &str| self.path(name).display().to_string();
        format!(
            "[limits]\nmode = \"enforce\"\npolicy_file = \"{}\"\ninterval = \"500ms\"\nlease = \"{}s\"\njournal = \"{}\"\n\
             audit_log = \"{}\"\ncontrol_socket = \"{}\"\n[memory]\ninterval = \"1s\"\n\
             [web]\nlisten_addresses = [\"{address}\"]\n",
            path("policy.toml"),
            LEASE.as_secs(),
            path("limits.journal"),
            path("audit.jsonl"),
            path("control.sock"),
        )
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts the daemon with the same files.
    pub(crate) fn start_again(&mut self) -> io::Result<()> {
        self.daemon = Some(self.spawn("uidmeter.toml")?);
        let deadline = Instant::now() + PATIENCE;
        while get(self.address, "/-/healthy").is_err() {
            let ended = self.daemon.as_mut().map_or(Ok(None), Child::try_wait)?;
            if ended.is_some() || Instant::now() > deadline {
                return Err(self.complaint("the daemon does not answer"));
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn spawn(&self, configuration: &str) -> io::Result<Child> {
        let log = File::options().create(true).append(true).open(self.path("log"))?;
        Command::new(binary())
            .args(["run", "--config"])
            .arg(self.path(configuration))
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
    }

    /// A second daemon with the same files, but for the address.
    pub(crate) fn second(&self) -> io::Result<Child> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        fs::write(self.path("second.toml"), self.configuration(address))?;
        self.spawn("second.toml")
    }

    /// An error that shows the end of the daemon's log.
    pub(crate) fn complaint(&self, what: &str) -> io::Error {
        let log = fs::read_to_string(self.path("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let end = lines[lines.len().saturating_sub(12)..].join("\n");
        io::Error::other(format!("{what}; the daemon's log ends with\n{end}"))
    }

    pub(crate) fn figures(&self) -> io::Result<Figures> {
        Ok(Figures::new(get(self.address, "/metrics")?.1))
    }

    /// The audit log.
    pub(crate) fn audit(&self) -> String {
        fs::read_to_string(self.path("audit.jsonl")).unwrap_or_default()
    }

    /// Waits until `holds`; `what` says what did not come.
    pub(crate) fn until(&self, what: &str, mut holds: impl FnMut() -> io::Result<bool>) -> io::Result<Instant> {
        let deadline = Instant::now() + PATIENCE;
        while !holds()? {
            if Instant::now() > deadline {
                return Err(self.complaint(&format!("{what} within {PATIENCE:?}")));
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(Instant::now())
    }

    /// Waits until the first value of a limit is on the group of `person`; gives the time at which it was seen.
    pub(crate) fn until_touched(&self, person: Person) -> io::Result<Instant> {
        let what = format!("{} was not limited", person.name);
        self.until(&what, || Ok(!limits_of(&group_of(person))?.is_empty()))
    }

    /// Waits until the daemon shows that all of a limit is in force, and it is.
    pub(crate) fn until_limited(&self, person: Person) -> io::Result<()> {
        let what = format!("{} was not limited", person.name);
        self.until(&what, || Ok(self.figures()?.is_limited(person)))?;
        self.until_touched(person)?;
        Ok(())
    }

    /// Waits until everything is as it was before the daemon was started for the first time.
    pub(crate) fn until_restored(&self) -> io::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let now = Traces::now()?;
            if now == self.before {
                return Ok(());
            }
            if Instant::now() > deadline {
                let difference = self.before.difference(&now);
                return Err(self.complaint(&format!("not everything was given back within {PATIENCE:?}: {difference}")));
            }
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// The daemon's process, and that of its enforcer, the only child it has.
    pub(crate) fn processes(&self) -> io::Result<(Pid, Pid)> {
        let daemon = self.daemon.as_ref().map(Child::id).ok_or_else(|| io::Error::other("no daemon runs"))?;
        let mut children = Vec::new();
        for thread in fs::read_dir(format!("/proc/{daemon}/task"))? {
            let text = fs::read_to_string(thread?.path().join("children"))?;
            children.extend(text.split_whitespace().filter_map(|pid| pid.parse::<i32>().ok()));
        }
        let [enforcer] = children[..] else {
            return Err(self.complaint(&format!("the daemon has the children {children:?}, and should have one")));
        };
        Ok((Pid::from_raw(daemon.try_into().map_err(io::Error::other)?), Pid::from_raw(enforcer)))
    }

    /// Waits for the end of a daemon that was killed.
    pub(crate) fn reap(&mut self) -> io::Result<()> {
        if let Some(mut daemon) = self.daemon.take() {
            daemon.wait()?;
        }
        Ok(())
    }

    /// Waits until the daemon has ended by itself, which must not look as if all were well.
    pub(crate) fn until_failed(&mut self) -> io::Result<()> {
        let Some(mut daemon) = self.daemon.take() else { return Err(io::Error::other("no daemon runs")) };
        match end_of(&mut daemon, PATIENCE)? {
            Some(status) if !status.success() => Ok(()),
            Some(status) => Err(self.complaint(&format!("the daemon has ended with {status}"))),
            None => {
                self.daemon = Some(daemon);
                Err(self.complaint("the daemon goes on"))
            }
        }
    }

    /// What `uidmeter release` says; it must succeed.
    pub(crate) fn release(&self) -> io::Result<String> {
        let output = Command::new(binary()).args(["release", "--config"]).arg(self.path("uidmeter.toml")).output()?;
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        if output.status.success() {
            Ok(said)
        } else {
            Err(io::Error::other(format!("uidmeter release ended with {}: {said}", output.status)))
        }
    }

    /// Ends the daemon as a service manager does. Gives the time it took.
    pub(crate) fn stop(&mut self) -> io::Result<Duration> {
        let Some(mut daemon) = self.daemon.take() else { return Err(io::Error::other("no daemon runs")) };
        let started = Instant::now();
        kill(Pid::from_raw(daemon.id().try_into().map_err(io::Error::other)?), Signal::SIGTERM)?;
        let status = end_of(&mut daemon, PATIENCE)?;
        let took = started.elapsed();
        if status.is_some_and(|status| status.success()) {
            return Ok(took);
        }
        // Both fail if it has ended, which is fine.
        let _ = daemon.kill();
        let _ = daemon.wait();
        Err(self.complaint(&format!("after SIGTERM and {took:?} the daemon's status is {status:?}")))
    }

    /// The same, and everything must have been given back by then.
    pub(crate) fn end(mut self) -> io::Result<Duration> {
        let took = self.stop()?;
        let now = Traces::now()?;
        if now == self.before {
            return Ok(took);
        }
        Err(self.complaint(&format!("the daemon left: {}", self.before.difference(&now))))
    }
}

/// Short, so that its end can be waited for.
pub(crate) const LEASE: Duration = Duration::from_secs(5);

impl Drop for Rig {
    fn drop(&mut self) {
        if let Some(daemon) = &mut self.daemon {
            // A test has failed: the next one shall find a machine that is as it was.
            let _ = daemon.kill();
            let _ = daemon.wait();
            let _ = self.until_restored();
        }
        let _ = self.release();
    }
}
