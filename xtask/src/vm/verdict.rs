//! What a machine's console proves. Pure.

use std::fmt;
use std::time::Duration;

use crate::test::counts::Counts;
use crate::vm::kernels::Expectation;
use crate::vm::qemu::{Boot, Line};

/// `init.sh` prints these.
const EXIT: &str = "UIDMETER-VM-EXIT ";
const STDERR: &str = "UIDMETER-VM-STDERR ";

/// The daemon's exit code for a host that it cannot work on.
const REFUSED: i32 = 3;

/// One machine's result.
#[derive(Clone, Debug)]
pub(super) struct Verdict {
    machine: String,
    /// Its tests.
    pub(super) counts: Counts,
    elapsed: Duration,
    note: Option<String>,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:<12} {:>7} {:>7} {:>8.1}  {}",
            self.machine,
            self.counts.passed,
            self.counts.failed,
            self.elapsed.as_secs_f64(),
            self.note.as_deref().unwrap_or_default()
        )
    }
}

impl Verdict {
    /// The machine could not even be started.
    pub(super) fn broken(machine: &str, error: &anyhow::Error) -> Self {
        Self {
            machine: machine.to_owned(),
            counts: Counts { failed: 1, ..Counts::default() },
            elapsed: Duration::ZERO,
            note: Some(format!("{error:#}")),
        }
    }
}

/// Counts the suite's tests, or the refusal as one; whatever went wrong besides counts as one failure more.
pub(super) fn judge(machine: &str, expectation: Expectation, boot: &Boot) -> Verdict {
    let exit = boot.lines.iter().rev().find_map(|line| line.text.strip_prefix(EXIT)?.trim().parse::<i32>().ok());
    let (mut counts, problem) = match (exit, expectation) {
        (None, _) => {
            let why = if boot.timed_out { "was stopped at its time limit" } else { "ended" };
            let counts = suite(&boot.lines);
            (counts, Some(format!("the machine {why} without a closing line")))
        }
        (Some(code), Expectation::Suite) => {
            let counts = suite(&boot.lines);
            let problem = match code {
                _ if counts.passed + counts.failed == 0 => Some(format!("no test ran, exit code {code}")),
                0 => None,
                _ if counts.failed > 0 => None,
                _ => Some(format!("every test passed, but the suite's exit code is {code}")),
            };
            (counts, problem)
        }
        (Some(code), Expectation::Refusal { found, needed }) => {
            let problem = refusal(&boot.lines, code, found, needed);
            let passed = usize::from(problem.is_none());
            (Counts { passed, ..Counts::default() }, problem)
        }
    };
    counts.failed += usize::from(problem.is_some());
    let refused = matches!(expectation, Expectation::Refusal { .. });
    let note = problem.or_else(|| refused.then(|| "refused, as it must".to_owned()));
    Verdict { machine: machine.to_owned(), counts, elapsed: boot.elapsed, note }
}

fn suite(lines: &[Line]) -> Counts {
    lines.iter().filter_map(|line| Counts::of_line(&line.text)).sum()
}

/// What is wrong with a refusal, if anything.
fn refusal(lines: &[Line], code: i32, found: &str, needed: &str) -> Option<String> {
    let said: Vec<&str> = lines.iter().filter_map(|line| line.text.strip_prefix(STDERR)).collect();
    match said[..] {
        _ if code != REFUSED => Some(format!("exit code {code} instead of {REFUSED}")),
        [one] if one.contains(found) && one.contains(needed) => None,
        [one] => Some(format!("the refusal must name {found} and {needed}, and says: {one}")),
        _ => Some(format!("the refusal must be one line, and is {}", said.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vm::kernels;

    fn judged(kernel: &str, lines: &[&str]) -> (usize, usize, Option<String>) {
        let kernels = kernels::named(&[kernel.to_owned()]).unwrap_or_default();
        let lines = lines.iter().map(|text| Line { at: Duration::ZERO, text: (*text).to_owned() }).collect();
        let verdict = judge(kernel, kernels[0].expectation, &Boot { lines, ..Boot::default() });
        (verdict.counts.passed, verdict.counts.failed, verdict.note)
    }

    const RESULT: &str = "test result: ok. 7 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out";

    #[test]
    fn a_suite_passes_with_its_closing_line() {
        assert_eq!(judged("6.1", &[RESULT, "UIDMETER-VM-EXIT 0"]), (7, 0, None));
    }

    #[test]
    fn a_suite_without_a_closing_line_has_failed() {
        let (passed, failed, note) = judged("6.1", &[RESULT]);
        assert_eq!((passed, failed), (7, 1));
        assert!(note.is_some());
    }

    #[test]
    fn a_suite_that_ran_nothing_has_failed() {
        assert_eq!(judged("7.2", &["UIDMETER-VM-EXIT 0"]).1, 1);
        assert_eq!(judged("7.2", &["UIDMETER-VM-EXIT 127"]).1, 1);
    }

    #[test]
    fn a_failed_test_is_counted_once() {
        let result = "test result: FAILED. 5 passed; 2 failed; 0 ignored";
        let (passed, failed, _) = judged("6.12", &[result, "UIDMETER-VM-EXIT 101"]);
        assert_eq!((passed, failed), (5, 2));
    }

    #[test]
    fn a_refusal_is_one_line_with_both_versions_and_exit_code_3() {
        let good = "UIDMETER-VM-STDERR uidmeter: Linux 5.10 is too old, 5.11 or newer is needed";
        assert_eq!(judged("5.10", &[good, "UIDMETER-VM-EXIT 3"]).0, 1);
        assert_eq!(judged("5.10", &[good, "UIDMETER-VM-EXIT 1"]).1, 1);
        assert_eq!(judged("5.10", &[good, good, "UIDMETER-VM-EXIT 3"]).1, 1);
        assert_eq!(judged("5.10", &["UIDMETER-VM-STDERR EINVAL", "UIDMETER-VM-EXIT 3"]).1, 1);
        assert_eq!(judged("5.10", &["UIDMETER-VM-EXIT 3"]).1, 1);
    }
}
