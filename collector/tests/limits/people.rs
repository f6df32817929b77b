//! Users of the test machines, and what they run.

use std::{
    fs, io,
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// Somebody with an account (`xtask/src/vm/initramfs.rs` makes them).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Person {
    pub(crate) name: &'static str,
    pub(crate) uid: u32,
}

pub(crate) const ANN: Person = Person { name: "ann", uid: 20_001 };
/// Her name ends with another one.
pub(crate) const JOANNA: Person = Person { name: "joanna", uid: 20_002 };
pub(crate) const MALLORY: Person = Person { name: "mallory", uid: 20_003 };
pub(crate) const VICTOR: Person = Person { name: "victor", uid: 20_004 };

/// Whether a session manager makes slices for those who log in.
pub(crate) fn has_systemd() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

/// How long a machine with slow CPUs may need for what is due at once.
const PATIENCE: Duration = Duration::from_secs(30);

/// A load under way; killed with all its children when this is dropped.
pub(crate) struct Load {
    person: Person,
    child: Child,
}

impl Person {
    /// Runs a load (see [`crate::loads`]) as people do: in a session of its own where there is a session manager.
    pub(crate) fn runs(self, load: &[&str]) -> io::Result<Load> {
        if !has_systemd() {
            return self.runs_here("load", load);
        }
        let command = format!("exec {} --load {}", std::env::current_exe()?.display(), load.join(" "));
        // It says that the load was killed, which is how all loads end.
        let child = Command::new("su")
            .args(["-l", self.name, "-c", &command])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        self.begun(child)
    }

    /// Runs a load in the cgroup in which this process is. `name` is what it calls itself.
    pub(crate) fn runs_here(self, name: &str, load: &[&str]) -> io::Result<Load> {
        let child = Command::new(std::env::current_exe()?)
            .arg0(name)
            .arg("--load")
            .args(load)
            .uid(self.uid)
            .gid(self.uid)
            .stdin(Stdio::null())
            .spawn()?;
        self.begun(child)
    }

    fn begun(self, child: Child) -> io::Result<Load> {
        let load = Load { person: self, child };
        let deadline = Instant::now() + PATIENCE;
        while self.loads()?.is_empty() {
            if Instant::now() > deadline {
                return Err(io::Error::other(format!("the load of {} does not begin", self.name)));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(load)
    }

    /// Resident memory of the loads, in bytes.
    pub(crate) fn resident(self) -> io::Result<u64> {
        let mut sum = 0;
        for pid in self.loads()? {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
            sum += line.trim_matches([' ', '\t', 'k', 'B']).parse::<u64>().unwrap_or(0) << 10;
        }
        Ok(sum)
    }

    /// Processes under this user's UID.
    pub(crate) fn processes(self) -> io::Result<Vec<i32>> {
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc")? {
            let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            if uid_of(pid) == Some(self.uid) {
                found.push(pid);
            }
        }
        Ok(found)
    }

    /// Those of them that run this executable.
    pub(crate) fn loads(self) -> io::Result<Vec<i32>> {
        let own = fs::read_link("/proc/self/exe")?;
        let is_load = |pid: &i32| fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == own);
        Ok(self.processes()?.into_iter().filter(is_load).collect())
    }
}

/// The real UID of a process that is not dead.
fn uid_of(pid: i32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let field = |key: &str| status.lines().find_map(|line| line.strip_prefix(key)).map(str::trim);
    if field("State:")?.starts_with(['Z', 'X']) {
        return None;
    }
    field("Uid:")?.split_whitespace().next()?.parse().ok()
}

impl Load {
    /// Kills it and all its children, until there are none.
    pub(crate) fn stop(&mut self) -> io::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = self.person.loads()?;
            if left.is_empty() {
                // What started it ends with it; su ends its session first.
                self.child.wait()?;
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(io::Error::other(format!("processes {left:?} of {} do not end", self.person.name)));
            }
            for pid in left {
                // It may be gone by now.
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let _ = self.stop();
    }
}
