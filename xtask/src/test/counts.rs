//! Counts of tests, as libtest (and what imitates it) prints them.

use std::fmt;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};

use crate::process;

/// Tests by how they ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Held.
    pub(crate) passed: usize,
    /// Did not hold, or could not be judged.
    pub(crate) failed: usize,
    /// Did not run.
    pub(crate) skipped: usize,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)?;
        if self.skipped > 0 {
            write!(f, ", {} skipped", self.skipped)?;
        }
        Ok(())
    }
}

impl std::iter::Sum for Counts {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, next| Self {
            passed: sum.passed + next.passed,
            failed: sum.failed + next.failed,
            skipped: sum.skipped + next.skipped,
        })
    }
}

impl Counts {
    /// What `test result: ok. 2 passed; 0 failed; 1 ignored; …` says; `None` for any other line.
    pub(crate) fn of_line(line: &str) -> Option<Self> {
        let (_, numbers) = line.trim().strip_prefix("test result: ")?.split_once(". ")?;
        let mut counts = Self::default();
        for part in numbers.split(';') {
            let mut words = part.split_whitespace();
            let (number, what) = (words.next()?, words.next());
            match what {
                Some("passed") => counts.passed = number.parse().ok()?,
                Some("failed") => counts.failed = number.parse().ok()?,
                Some("ignored") => counts.skipped = number.parse().ok()?,
                _ => {}
            }
        }
        Some(counts)
    }

    /// Runs `command`, passing its output through, and counts. Ending badly without a failed test, as when
    /// something does not compile, is a failure as well.
    pub(crate) fn of_command(command: &mut Command) -> Result<Self> {
        let shown = process::display(command);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start `{shown}`"))?;
        let output = child.stdout.take().context("a child without output")?;
        let mut counts = Self::default();
        let mut reader = BufReader::new(output);
        let mut bytes = Vec::new();
        while reader.read_until(b'\n', &mut bytes)? > 0 {
            let line = String::from_utf8_lossy(&bytes);
            let line = line.trim_end_matches(['\r', '\n']);
            println!("{line}");
            counts = [Some(counts), Self::of_line(line)].into_iter().flatten().sum();
            bytes.clear();
        }
        let status = child.wait().with_context(|| format!("cannot wait for `{shown}`"))?;
        if !status.success() && counts.failed == 0 {
            println!("    `{shown}` failed: {status}");
            counts.failed = 1;
        }
        Ok(counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_lines_are_counted_and_other_lines_are_not() {
        let line = "test result: FAILED. 11 passed; 2 failed; 3 ignored; 0 measured; 4 filtered out; finished in 0.01s";
        let expected = Counts { passed: 11, failed: 2, skipped: 3 };
        assert_eq!(Counts::of_line(line), Some(expected));
        for other in ["", "test a ... ok", "running 3 tests", "test result: nothing"] {
            assert_eq!(Counts::of_line(other), None, "{other}");
        }
    }

    #[test]
    fn skipped_tests_are_named_only_if_there_are_any() {
        let counts = Counts { passed: 3, failed: 0, skipped: 0 };
        assert_eq!(counts.to_string(), "3 passed, 0 failed");
        let counts = Counts { skipped: 2, ..counts };
        assert_eq!(counts.to_string(), "3 passed, 0 failed, 2 skipped");
    }

    #[test]
    fn a_command_that_ends_badly_without_a_test_has_failed() {
        let counts = Counts::of_command(Command::new("sh").args(["-c", "exit 3"]));
        assert_eq!(counts.ok(), Some(Counts { failed: 1, ..Counts::default() }));
        let line = "echo 'test result: ok. 4 passed; 0 failed; 0 ignored'";
        let counts = Counts::of_command(Command::new("sh").args(["-c", line]));
        assert_eq!(counts.ok(), Some(Counts { passed: 4, ..Counts::default() }));
    }
}
