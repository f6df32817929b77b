//! Secrets and tokens: how they are made, and that nobody ever reads half of one.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::thread;

use anyhow::{Context as _, Result, bail, ensure};

use super::super::super::kit::Kit;
use crate::process;

/// How often a file is replaced while another thread reads it.
const ROUNDS: usize = 20;

pub(super) fn check(kit: &Kit<'_>) -> Result<()> {
    let folder = tempfile::tempdir_in(kit.scratch())?;
    let file = folder.path().join("secret");
    let make = || {
        let mut command = Command::new(kit.packaging("scripts/new-secret"));
        command.current_dir(folder.path());
        command
    };
    process::capture(make().arg(&file))?;
    let first = fs::read_to_string(&file)?;
    ensure!(is_secret(&first), "new-secret made {} bytes that are no line of 64 digits", first.len());
    let mode = fs::metadata(&file)?.permissions().mode() & 0o777;
    ensure!(mode == 0o600, "new-secret made a file of mode {mode:o}");
    ensure!(!make().arg(&file).output()?.status.success(), "new-secret overwrites a secret without being told to");
    ensure!(fs::read_to_string(&file)? == first, "new-secret changed a secret that it refused to replace");
    whole_at_any_time(&file, is_secret, || process::capture(make().arg("--replace").arg(&file)).map(|_| ()))?;
    ensure!(fs::read_to_string(&file)? != first, "new-secret --replace made the same secret again");
    // A folder in the way must not get the file put into it.
    fs::create_dir(folder.path().join("folder"))?;
    ensure!(!make().args(["--replace", "folder"]).output()?.status.success(), "new-secret put a secret into a folder");
    let left: Vec<_> = fs::read_dir(folder.path())?.filter_map(|entry| Some(entry.ok()?.file_name())).collect();
    ensure!(left.len() == 2, "new-secret left files behind: {left:?}");
    two_lines()?;
    tokens(kit)
}

/// What guides show instead: nothing that fits on one line, so that a password file has two.
fn two_lines() -> Result<()> {
    let shown = process::capture(Command::new("openssl").args(["rand", "-base64", "64"]))?;
    ensure!(shown.lines().count() == 2, "openssl rand -base64 64 now gives one line; docs/FLEET.md says two");
    Ok(())
}

/// A token that is minted again and again where Prometheus reads it.
fn tokens(kit: &Kit<'_>) -> Result<()> {
    let program = kit.daemon()?;
    let folder = tempfile::tempdir_in(kit.scratch())?;
    let (key, token) = (folder.path().join("token.key"), folder.path().join("uidmeter.token"));
    let call = |words: &[&str]| {
        let mut command = Command::new(&program);
        command.arg("token").args(words);
        command
    };
    process::capture(call(&["keygen", "--kid", "current", "--private"]).arg(&key))?;
    let mint = || -> Result<()> {
        let words = ["mint", "--kid", "current", "--issuer", "fleet.example", "--audience", "uidmeter"];
        let more = ["--subject", "prometheus", "--lifetime", "1h"];
        process::capture(call(&[words.as_slice(), &more].concat()).arg("--key").arg(&key).arg("--out").arg(&token))?;
        Ok(())
    };
    mint()?;
    let mode = fs::metadata(&token)?.permissions().mode() & 0o777;
    ensure!(mode == 0o600, "the token's file has mode {mode:o}");
    whole_at_any_time(&token, is_token, mint)
}

/// Replaces `file` with `replace` while another thread reads it over and over.
fn whole_at_any_time(
    file: &std::path::Path,
    is_whole: fn(&str) -> bool,
    replace: impl Fn() -> Result<()>,
) -> Result<()> {
    let done = std::sync::atomic::AtomicBool::new(false);
    let reads = thread::scope(|scope| {
        let reader = scope.spawn(|| -> Result<usize> {
            let mut reads = 0;
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                let text = fs::read_to_string(file).context("the file was away for a moment")?;
                ensure!(is_whole(&text), "somebody could read {:?}", text.chars().take(80).collect::<String>());
                reads += 1;
            }
            Ok(reads)
        });
        let replaced = (0..ROUNDS).try_for_each(|_| replace());
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        let Ok(reads) = reader.join() else { bail!("the reader panicked") };
        replaced.and(reads)
    })?;
    ensure!(reads > ROUNDS, "the file was read only {reads} times while it was replaced {ROUNDS} times");
    Ok(())
}

fn is_secret(text: &str) -> bool {
    text.strip_suffix('\n').is_some_and(|line| line.len() == 64 && line.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn is_token(text: &str) -> bool {
    text.trim_end().split('.').filter(|part| part.len() > 40).count() == 3 && text.trim_end().lines().count() == 1
}
