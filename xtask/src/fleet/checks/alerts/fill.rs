//! `fill.sh`: what it writes, and what it refuses.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use anyhow::{Result, bail};

use crate::fleet::kit::{Kit, debian};
use crate::packages::Wanted;
use crate::process;

pub(super) fn run(kit: &Kit<'_>) -> Result<()> {
    let script = kit.packaging("alertmanager/fill.sh");
    let shellcheck = debian(Wanted { suite: "bookworm", pattern: "shellcheck" }, "usr/bin/shellcheck")?;
    process::capture(Command::new(shellcheck).arg(&script))?;
    let written = super::filled(kit)?;
    let mode = fs::metadata(&written)?.permissions().mode() & 0o777;
    if mode != 0o600 {
        bail!("fill.sh writes with mode {mode:o}");
    }
    let text = fs::read_to_string(&written)?;
    if text.lines().any(|line| !line.starts_with('#') && line.contains("\"@")) {
        bail!("fill.sh leaves a word that is not filled in");
    }
    let example = fs::read_to_string(kit.packaging("alertmanager/values.example"))?;
    let without: Vec<&str> = example.lines().filter(|line| !line.starts_with("SMTP_HOST=")).collect();
    let wrong = [
        ("a missing value", without.join("\n")),
        ("an unknown name", format!("{example}SMPT_HOST=a\n")),
        ("a name twice", format!("{example}SMTP_HOST=a\n")),
        ("an empty value", example.replace("SMTP_USER=alertmanager", "SMTP_USER=")),
        ("a quote", example.replace("SMTP_USER=alertmanager", "SMTP_USER=a\"b")),
        ("a command", example.replace("SMTP_USER=alertmanager", "SMTP_USER=$(id)")),
        ("a line that is none", format!("{example}something\n")),
        ("nothing", String::new()),
    ];
    let values = kit.scratch().join("wrong-values");
    let output = kit.scratch().join("not-written.yml");
    for (what, text) in wrong {
        fs::write(&values, text)?;
        let ended = Command::new(&script).arg(&values).arg(&output).output()?;
        if ended.status.success() || output.exists() {
            bail!("fill.sh accepts {what}");
        }
        if !String::from_utf8_lossy(&ended.stderr).starts_with("fill.sh: ") {
            bail!("fill.sh does not say what is wrong with {what}: {}", String::from_utf8_lossy(&ended.stderr));
        }
    }
    let left = fs::read_dir(kit.scratch())?.filter_map(Result::ok);
    if left.into_iter().any(|entry| entry.file_name().to_string_lossy().starts_with("not-written.yml.")) {
        bail!("fill.sh leaves an unfinished file behind");
    }
    Ok(())
}
