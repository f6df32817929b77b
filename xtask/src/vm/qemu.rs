//! One emulated machine from power-on to power-off, or to the end of its time. QEMU's own exit code says
//! nothing about what happened inside; the console's lines do.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

/// What is needed to start one.
#[derive(Clone, Debug)]
pub(super) struct Machine {
    /// Stands before each line of its console, and in the table.
    pub(super) name: String,
    /// The kernel.
    pub(super) image: PathBuf,
    /// Its first and only file system.
    pub(super) archive: PathBuf,
    /// Memory, in MiB.
    pub(super) memory_mib: u32,
    /// What the first process reads from the kernel's command line: `uidmeter.mode=…` and so on.
    pub(super) words: String,
}

/// One line of the console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// When it was complete, since power-on.
    pub(super) at: Duration,
    /// Without the terminal's control sequences.
    pub(super) text: String,
}

/// What the console said, and for how long.
#[derive(Clone, Debug, Default)]
pub(super) struct Boot {
    /// Every line that is not empty.
    pub(super) lines: Vec<Line>,
    /// From power-on to power-off.
    pub(super) elapsed: Duration,
    /// The machine was still running when its time was over.
    pub(super) timed_out: bool,
}

/// Boots `machine`, printing its console.
pub(super) fn boot(machine: &Machine, limit: Duration) -> Result<Boot> {
    let Machine { name, image, archive, memory_mib, words } = machine;
    let started = Instant::now();
    let mut qemu = Command::new("qemu-system-x86_64")
        // One thread for both CPUs: with a thread for each, QEMU lets one CPU run on into an instruction that the other has
        // patched meanwhile, and attaching to a tracepoint patches __schedule itself (seen as "Oops: int3" on 6.12).
        .args(["-accel", "tcg,thread=single", "-M", "q35", "-smp", "2", "-m"])
        .arg(memory_mib.to_string())
        // A source of random numbers: without one, whoever asks for some soon after the boot is kept waiting.
        .args(["-cpu", "qemu64,+rdrand"])
        // No network card: its firmware would try to boot from it.
        .args(["-nographic", "-no-reboot", "-nic", "none"])
        .arg("-kernel")
        .arg(image)
        .arg("-initrd")
        .arg(archive)
        .arg("-append")
        .arg(format!("console=ttyS0 panic=-1 quiet {words}"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start qemu-system-x86_64")?;
    let console = qemu.stdout.take().context("QEMU has no console")?;
    let (sender, receiver) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        let mut console = BufReader::new(console);
        let mut line = Vec::new();
        while console.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
            if sender.send(plain(&String::from_utf8_lossy(&line))).is_err() {
                break;
            }
            line.clear();
        }
    });

    let mut boot = Boot::default();
    loop {
        let left = limit.saturating_sub(started.elapsed());
        match receiver.recv_timeout(left) {
            Ok(line) => {
                if !line.is_empty() {
                    println!("[{name}] {line}");
                    boot.lines.push(Line { at: started.elapsed(), text: line });
                }
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                boot.timed_out = true;
                break;
            }
        }
    }
    if boot.timed_out {
        qemu.kill().context("cannot stop QEMU")?;
    }
    qemu.wait().context("cannot wait for QEMU")?;
    // It ends with the pipe; what it may have left is of no interest.
    drop(receiver);
    drop(reader.join());
    boot.elapsed = started.elapsed();
    Ok(boot)
}

/// A line without control characters and escape sequences: the firmware clears the screen.
fn plain(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut rest = line.chars().peekable();
    while let Some(c) = rest.next() {
        if c == '\u{1b}' {
            if rest.next() == Some('[') {
                while rest.next().is_some_and(|c| !c.is_ascii_alphabetic()) {}
            }
        } else if !c.is_control() || c == '\t' {
            text.push(c);
        }
    }
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn the_firmwares_control_sequences_are_left_out() {
        assert_eq!(plain("\u{1b}c\u{1b}[?7l\u{1b}[2J\u{1b}[0mSeaBIOS\r\n"), "SeaBIOS");
        assert_eq!(plain("test a ... ok\r\n"), "test a ... ok");
    }
}
