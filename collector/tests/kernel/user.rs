//! A test user: one process under a UID and in a cgroup of its own that waits for a word before it begins its load.

use std::{
    io::{self, BufRead as _, BufReader, Write as _},
    os::unix::process::ExitStatusExt as _,
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    thread,
    time::Duration,
};

use collector::{
    snapshot::{Counters, Owner, Snapshot},
    source::{
        Source as _,
        ebpf::{EbpfSource, LoadError, Options},
    },
    units::{Bytes, Uid},
};

use crate::oracle::Cgroup;

/// Options as the daemon has them by default.
pub(crate) fn options() -> Options {
    Options {
        btf: "/sys/kernel/btf/vmlinux".into(),
        max_users: 4096,
        kernel_memory: Bytes(64 << 20),
        tick: Duration::from_millis(100),
        without: Vec::new(),
    }
}

pub(crate) fn load() -> Result<EbpfSource, LoadError> {
    EbpfSource::load(&options())
}

/// A reading.
pub(crate) fn read(source: &mut EbpfSource) -> Snapshot {
    let mut snapshot = Snapshot::default();
    source.read(&mut snapshot);
    snapshot
}

/// What `uid` has been charged so far.
pub(crate) fn counters(source: &mut EbpfSource, uid: u32) -> Counters {
    read(source).row(Owner::User(Uid(uid))).map(|row| row.counters.clone()).unwrap_or_default()
}

/// A load that is ready, under way or done.
pub(crate) struct Load {
    child: Child,
    word: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Load {
    /// Starts a process that joins `cgroup`, becomes `uid`, and waits, off the CPU. `load` is its name and arguments;
    /// see [`crate::workload`].
    pub(crate) fn prepare(uid: u32, cgroup: &Cgroup, load: &[&str]) -> io::Result<Self> {
        Self::prepare_in(uid, &cgroup.procs(), load)
    }

    /// The same; `procs` is the file through which processes join their cgroup.
    pub(crate) fn prepare_in(uid: u32, procs: &Path, load: &[&str]) -> io::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("--workload")
            .arg(procs)
            .arg(uid.to_string())
            .args(load)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let word = child.stdin.take();
        let output = child.stdout.take().map(BufReader::new).ok_or(io::ErrorKind::BrokenPipe)?;
        let mut load = Self { child, word, output };
        load.await_line("ready")?;
        Ok(load)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Lets the load go on.
    pub(crate) fn go(&mut self) -> io::Result<()> {
        self.word.as_mut().ok_or(io::ErrorKind::BrokenPipe)?.write_all(b"\n")
    }

    /// Waits until the load says `line` and has left the CPU.
    pub(crate) fn await_line(&mut self, line: &str) -> io::Result<()> {
        let mut found = String::new();
        self.output.read_line(&mut found)?;
        if found.trim_end() != line {
            return Err(io::Error::other(format!("the load said {found:?} instead of {line:?}")));
        }
        // It says so just before it blocks.
        thread::sleep(Duration::from_millis(30));
        Ok(())
    }

    /// Waits until a signal ends it, and gives the signal's number.
    pub(crate) fn killed_by(mut self) -> io::Result<i32> {
        let status = self.child.wait()?;
        status.signal().ok_or_else(|| io::Error::other(format!("the load was not killed: {status}")))
    }

    /// Waits for its end, for a while; tells whether it has come. It must have been a good one.
    pub(crate) fn has_ended_within(&mut self, time: Duration) -> io::Result<bool> {
        thread::sleep(time);
        match self.child.try_wait()? {
            None => Ok(false),
            Some(status) if status.success() => Ok(true),
            Some(status) => Err(io::Error::other(format!("the load ended with {status}"))),
        }
    }

    /// Waits for its end.
    pub(crate) fn end(mut self) -> io::Result<()> {
        drop(self.word.take());
        let status = self.child.wait()?;
        if status.success() { Ok(()) } else { Err(io::Error::other(format!("the load ended with {status}"))) }
    }

    /// Waits for its end, and gives what `wait4(2)` tells of its use and that of its children.
    pub(crate) fn end_with_usage(mut self) -> io::Result<libc::rusage> {
        drop(self.word.take());
        let pid = libc::pid_t::try_from(self.child.id()).map_err(io::Error::other)?;
        // SAFETY: a zeroed `rusage` is one, and `wait4` writes a whole one to it.
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        let mut status = 0;
        // SAFETY: both pointers are to locals.
        if unsafe { libc::wait4(pid, &raw mut status, 0, &raw mut usage) } != pid {
            return Err(io::Error::last_os_error());
        }
        if status == 0 { Ok(usage) } else { Err(io::Error::other(format!("the load ended with status {status}"))) }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        // Both fail if it has ended, which is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
