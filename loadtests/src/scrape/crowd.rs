//! Sleeping processes of many users, for exporters that look at processes.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};
use nix::sys::signal::{Signal, kill};

use crate::child::Child;

/// Those of tests.
const FIRST_UID: u32 = 20_000;

/// Processes that sleep; dropping this ends them.
pub(super) struct Crowd(Vec<Child>);

impl Crowd {
    /// Starts `processes`, shared out among `users`.
    pub(super) fn start(processes: u32, users: u32) -> Result<Self> {
        use std::os::unix::process::CommandExt as _;
        let mut crowd = Self(Vec::new());
        for number in 0..processes {
            let uid = FIRST_UID + number % users;
            let mut sleep = Command::new("sleep");
            // Longer than any measurement, and not forever.
            sleep.arg("900").uid(uid).gid(uid).stdin(Stdio::null()).stdout(Stdio::null());
            let child = Child::spawn(&mut sleep, None).with_context(|| format!("cannot start process {number}"))?;
            crowd.0.push(child);
        }
        Ok(crowd)
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        // All at once; then each is waited for.
        for child in &self.0 {
            let _ = kill(child.pid(), Signal::SIGKILL);
        }
    }
}
