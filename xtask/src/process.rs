//! Starting other programs: headings, streaming, capturing, and root where it is needed.
//! Every failure names the command and how it ended.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

/// The reason why something cannot be done on this machine at all, as opposed to one that was done and failed.
#[derive(Debug)]
pub(crate) struct Unavailable(pub(crate) String);

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unavailable {}

/// One line that says what happens next. Everything that may take long begins with one.
pub(crate) fn heading(text: &str) {
    println!("==> {text}");
}

/// Runs to the end with the terminal's own input and output; a failure is an error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot start `{}`", display(command)))?;
    if !status.success() {
        bail!("`{}` failed: {status}", display(command));
    }
    Ok(())
}

/// Like [`run`], for a check whose failure has been told by its own output.
pub(crate) fn succeeds(command: &mut Command) -> Result<bool> {
    let status = command.status().with_context(|| format!("cannot start `{}`", display(command)))?;
    Ok(status.success())
}

/// Runs to the end and returns standard output; on failure the error holds standard error.
pub(crate) fn capture(command: &mut Command) -> Result<String> {
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("cannot start `{}`", display(command)))?;
    if !output.status.success() {
        bail!(
            "`{}` failed: {}\n{}",
            display(command),
            output.status,
            String::from_utf8_lossy(&output.stderr).trim_end()
        );
    }
    String::from_utf8(output.stdout)
        .with_context(|| format!("`{}` printed something that is not UTF-8", display(command)))
}

/// Program and arguments as a person would type them.
pub(crate) fn display(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|word| word.to_string_lossy().into_owned()));
    words.join(" ")
}

/// Where `program` is on the PATH, if anywhere. Looks into the system's folders too: an ordinary user's
/// PATH often lacks /usr/sbin.
pub(crate) fn find_program(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|candidate| is_executable(candidate))
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// Whether this process may do anything already.
pub(crate) fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// `program` as root: directly when this is root already, else through sudo.
/// `variables` are set for it either way; sudo drops the environment otherwise.
pub(crate) fn as_root<P: AsRef<OsStr>>(program: P, variables: &[(&str, &OsStr)], why: &str) -> Result<Command> {
    if is_root() {
        let mut command = Command::new(program);
        command.envs(variables.iter().copied());
        return Ok(command);
    }
    let Some(sudo) = find_program("sudo") else {
        bail!(Unavailable(format!("{why} needs root, and this machine has no sudo: run the same command as root")));
    };
    let mut command = Command::new(sudo);
    command.arg("--");
    if !variables.is_empty() {
        // `env` rather than sudo's own VAR=value, which many sudo policies refuse.
        command.arg("env");
        for (name, value) in variables {
            let mut assignment = std::ffi::OsString::from(name);
            assignment.push("=");
            assignment.push(value);
            command.arg(assignment);
        }
    }
    command.arg(program);
    Ok(command)
}
