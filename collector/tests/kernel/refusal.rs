//! What cannot work is refused in one sentence, with the documented exit code, and leaves nothing behind.

use std::{
    fs,
    net::TcpListener,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    process::{Command, Stdio},
    time::Duration,
};

use tempfile::NamedTempFile;

use crate::{
    Outcome,
    daemon::{nothing_left, our_programs},
    support::{binary, end_of},
};

const BTF: &str = "/sys/kernel/btf/vmlinux";

/// Runs the daemon, which must refuse with `code` and one line that contains all of `words`.
fn refused(command: &mut Command, code: i32, words: &[&str]) -> Outcome {
    let before = our_programs();
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    if end_of(&mut child, Duration::from_mins(1))?.is_none() {
        child.kill()?;
        child.wait()?;
        return Err("it was not refused: it ran".into());
    }
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.code() != Some(code) || said.lines().count() != 1 || !output.stdout.is_empty() {
        return Err(format!("{}, not {code} and one line: {said}", output.status).into());
    }
    if let Some(missing) = words.iter().find(|word| !said.contains(**word)) {
        return Err(format!("{missing:?} is not in: {said}").into());
    }
    nothing_left(&before)
}

fn uidmeter(arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.arg("run").args(["--web.listen-address", "127.0.0.1:0"]).args(arguments);
    command
}

/// The kernel's type information with one name replaced by another of the same length.
pub(crate) fn doctored_btf(from: &str, to: &str) -> Result<NamedTempFile, libtest_mimic::Failed> {
    assert_eq!(from.len(), to.len());
    let mut btf = fs::read(BTF)?;
    let name = [from.as_bytes(), b"\0"].concat();
    let at = btf.windows(name.len()).position(|window| window == name);
    let at = at.ok_or_else(|| format!("{BTF} has no {from}"))?;
    btf[at..at + to.len()].copy_from_slice(to.as_bytes());
    with_content(&btf)
}

fn with_content(bytes: &[u8]) -> Result<NamedTempFile, libtest_mimic::Failed> {
    let file = NamedTempFile::new()?;
    fs::write(file.path(), bytes)?;
    Ok(file)
}

pub(crate) fn ordinary_user() -> Outcome {
    // A copy that the user may run, wherever the original lies.
    let copy = tempfile::Builder::new()
        .prefix("uidmeter")
        .permissions(fs::Permissions::from_mode(0o755))
        .tempfile_in("/tmp")?;
    fs::copy(binary(), copy.path())?;
    fs::set_permissions(copy.path(), fs::Permissions::from_mode(0o755))?;
    let copy = copy.into_temp_path();
    let mut command = Command::new(&copy);
    command.arg("run").args(["--web.listen-address", "127.0.0.1:0"]).uid(22_200).gid(22_200);
    refused(&mut command, 4, &["22200", "CAP_BPF and CAP_PERFMON", "sudo"])
}

pub(crate) fn no_btf() -> Outcome {
    refused(&mut uidmeter(&["--btf", "/nowhere/vmlinux"]), 3, &["/nowhere/vmlinux", "CONFIG_DEBUG_INFO_BTF", "--btf"])
}

pub(crate) fn damaged_btf() -> Outcome {
    let whole = fs::read(BTF)?;
    for (content, words) in
        [(&b"nonsense"[..], ["not BTF", "--btf"]), (&whole[..whole.len() / 2], ["BTF ends", "--btf"])]
    {
        let file = with_content(content)?;
        refused(&mut uidmeter(&["--btf", &file.path().to_string_lossy()]), 3, &words)?;
    }
    Ok(())
}

pub(crate) fn missing_tracepoint() -> Outcome {
    let btf = doctored_btf("btf_trace_sched_switch", "btf_trace_sched_swatch")?;
    refused(&mut uidmeter(&["--btf", &btf.path().to_string_lossy()]), 3, &["sched_switch", "CONFIG_TRACEPOINTS"])
}

pub(crate) fn taken_port() -> Outcome {
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?.to_string();
    let mut command = Command::new(binary());
    command.args(["run", "--web.listen-address", &address]);
    refused(&mut command, 5, &[&address, "in use", "--web.listen-address"])
}

pub(crate) fn wrong_flags() -> Outcome {
    let run = |arguments: &[&str], words: &[&str]| {
        let mut command = Command::new(binary());
        command.args(arguments);
        refused(&mut command, 2, words)
    };
    run(&["run", "--web.listen-address", "0.0.0.0:9101"], &["0.0.0.0:9101", "without authentication", "127.0.0.1"])?;
    run(&["run", "--sample-intervall", "1s"], &["--sample-intervall", "--sample-interval", "--help"])?;
    run(&["run", "--max-users", "many"], &["many", "--max-users"])?;
    run(&["run", "--sample-interval", "1ns"], &["1ns", "10ms", "10s"])?;
    run(&["walk"], &["walk", "--help"])
}
