//! A machine within the machine: mounts and network of its own, so that what a guide tells people to type can be typed here word
//! by word. Writes to `/etc`, `/usr`, `/var`, `/root` and `/run` end in memory, packages are laid under what the machine has, and nothing
//! of it can be reached from outside. Ends with the value, or with this process.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::super::super::kit::Kit;
use crate::packages::{self, Wanted};
use crate::process::{self, Unavailable};

/// Debian's, which the machine is or is near to.
const SUITE: &str = "bookworm";
/// How long a program may take until it is ready.
const PATIENCE: Duration = Duration::from_secs(30);
/// What a login shell of root has.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// See the module.
pub(super) struct Stage {
    holder: Child,
    /// Its end is the holder's.
    _input: Option<ChildStdin>,
    running: Vec<(String, Child)>,
    folder: PathBuf,
    root: PathBuf,
}

impl Stage {
    /// With the files of these Debian packages, and with these programs on the path.
    ///
    /// # Errors
    /// This process is not root, the kernel refuses, or a package cannot be had.
    pub(super) fn new(kit: &Kit<'_>, wanted: &[&'static str], programs: &[(&str, &Path)]) -> Result<Self> {
        if !process::is_root() {
            bail!(Unavailable("mounts and networks of one's own take root".to_owned()));
        }
        let folder = tempfile::tempdir_in(kit.scratch())?.keep();
        let mut unpacked = Vec::new();
        for pattern in wanted {
            unpacked.push(packages::unpacked(Wanted { suite: SUITE, pattern })?);
        }
        let script = set_up(&folder, &unpacked, programs)?;
        let mut holder = Command::new("unshare")
            .args(["--mount", "--net", "--uts", "sh", "-euc", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(folder.join("holder.log"))?)
            .spawn()
            .context("cannot start unshare")?;
        let mut line = String::new();
        if let Some(output) = holder.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        let input = holder.stdin.take();
        let stage = Self { holder, _input: input, running: Vec::new(), folder, root: kit.project().root().to_owned() };
        if line.trim() != "ready" {
            let said = fs::read_to_string(stage.folder.join("holder.log")).unwrap_or_default();
            bail!("no mounts and network of one's own here: {}", said.trim());
        }
        Ok(stage)
    }

    /// A shell that reads `script` inside, in the project's root, for so many seconds at most.
    fn within(&self, seconds: Option<&str>, script: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.holder.id().to_string(), "--mount", "--net", "--uts", "--"]);
        if let Some(seconds) = seconds {
            command.args(["timeout", seconds]);
        }
        command.args(["sh", "-euc", &format!("cd {}\n{script}", self.root.display())]);
        command.env_clear().env("PATH", PATH).env("HOME", &self.folder).env("LANG", "C.UTF-8").stdin(Stdio::null());
        command
    }

    /// What `script` prints.
    ///
    /// # Errors
    /// It fails; with everything that it said.
    pub(super) fn run(&self, script: &str) -> Result<String> {
        let output = self.within(Some("60"), script).output().context("cannot start nsenter")?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            let errors = String::from_utf8_lossy(&output.stderr);
            bail!("{script}\n{}: {}{}", output.status, said, errors.trim_end());
        }
        Ok(said)
    }

    /// That `script` fails, and says `expected`.
    ///
    /// # Errors
    /// It succeeds, or fails in another way.
    pub(super) fn refuses(&self, script: &str, expected: &str) -> Result<()> {
        match self.run(script) {
            Ok(said) => bail!("{script}\nsucceeded where it must not: {said}"),
            Err(error) if error.to_string().contains(expected) => Ok(()),
            Err(error) => bail!("expected {expected:?}, but: {error}"),
        }
    }

    /// Starts a program that stays, under a `name`, and waits until `ready` (a command) succeeds.
    ///
    /// # Errors
    /// It ends, or is not ready in time; with the end of what it said.
    pub(super) fn start(&mut self, name: &str, program: &str, ready: &str) -> Result<()> {
        let log = fs::File::create(self.log(name))?;
        let child = self
            .within(None, &format!("exec {program}"))
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("cannot start nsenter")?;
        self.running.push((name.to_owned(), child));
        self.wait_until(ready).with_context(|| format!("{name} is not ready:\n{}", self.said(name)))
    }

    /// Until `condition` (a command) succeeds.
    ///
    /// # Errors
    /// It does not in time.
    pub(super) fn wait_until(&self, condition: &str) -> Result<()> {
        let begun = Instant::now();
        loop {
            match self.run(condition) {
                Ok(_) => return Ok(()),
                Err(error) if begun.elapsed() > PATIENCE => return Err(error),
                Err(_) => thread::sleep(Duration::from_millis(100)),
            }
        }
    }

    /// Ends what has been started under `name`.
    pub(super) fn stop(&mut self, name: &str) {
        for (_, child) in self.running.iter_mut().filter(|(running, _)| running == name) {
            end(child);
        }
        self.running.retain(|(running, _)| running != name);
    }

    /// The end of what `name` said.
    pub(super) fn said(&self, name: &str) -> String {
        let text = fs::read_to_string(self.log(name)).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }

    /// A folder that both inside and outside see.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    fn log(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.log"))
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        for (_, child) in self.running.iter_mut().rev() {
            end(child);
        }
        end(&mut self.holder);
    }
}

/// Asks it to end, for programs that have children of their own; kills what does not.
fn end(child: &mut Child) {
    let pid = nix::unistd::Pid::from_raw(child.id().cast_signed());
    let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
    for _ in 0..50 {
        if !matches!(child.try_wait(), Ok(None)) {
            return;
        }
        thread::sleep(Duration::from_millis(20));
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// The script of the holder: overlays with the machine's files on top, so that its own libraries win.
fn set_up(folder: &Path, unpacked: &[PathBuf], programs: &[(&str, &Path)]) -> Result<String> {
    let memory = folder.join("memory");
    let memory = memory.display();
    let mut script = format!("mkdir -p {memory}; mount -t tmpfs none {memory}\n");
    for part in ["usr", "etc", "var", "root"] {
        writeln!(script, "mkdir -p {memory}/{part} {memory}/{part}.work")?;
        let lower = unpacked.iter().map(|package| package.join(part)).filter(|package| package.is_dir());
        let lower = lower.fold(format!("/{part}"), |all, package| format!("{all}:{}", package.display()));
        // Packages from before the merge of / and /usr have files of /usr elsewhere.
        if part == "usr" {
            writeln!(script, "mkdir -p {memory}/usr/bin")?;
            for package in unpacked {
                for outside in ["bin", "sbin", "lib"].map(|name| package.join(name)).iter().filter(|path| path.is_dir())
                {
                    writeln!(script, "cp -a {} {memory}/usr/", outside.display())?;
                }
            }
            for (name, program) in programs {
                writeln!(script, "ln -s {} {memory}/usr/bin/{name}", program.display())?;
            }
        }
        writeln!(
            script,
            "mount -t overlay overlay -o lowerdir={lower},upperdir={memory}/{part},workdir={memory}/{part}.work /{part}"
        )?;
    }
    Ok(script + "mount -t tmpfs none /run\nip link set lo up\necho ready\nexec cat >/dev/null\n")
}
