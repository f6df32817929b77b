//! Single tests and how long each took, from a console's lines. Pure.
//!
//! A test that writes to the console itself gets its words between its name and its result.

use std::time::Duration;

use crate::vm::qemu::Line;

/// One test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Case {
    /// Its name.
    pub(super) name: String,
    /// `ok`, `FAILED`, `ignored`, or that the machine ended before it did.
    pub(super) result: &'static str,
    /// From the end of the one before it.
    pub(super) elapsed: Duration,
}

const UNFINISHED: &str = "unfinished";

/// All tests in the order in which they ran.
pub(super) fn of_console(lines: &[Line]) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let mut began = Duration::ZERO;
    for Line { at, text } in lines {
        if text.starts_with("running ") {
            began = *at;
        }
        let mut said = text.as_str();
        if let Some((name, rest)) = text.strip_prefix("test ").and_then(|rest| rest.split_once(" ... ")) {
            cases.push(Case { name: name.trim_end().to_owned(), result: UNFINISHED, elapsed: Duration::ZERO });
            said = rest;
        }
        if let Some(case) = cases.last_mut().filter(|case| case.result == UNFINISHED) {
            case.elapsed = at.saturating_sub(began);
            if let Some(result) = ["ok", "FAILED", "ignored"].into_iter().find(|result| said.trim() == *result) {
                case.result = result;
                began = *at;
            }
        }
    }
    cases
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_test_has_its_result_and_its_time() {
        let lines = [
            (5, "Welcome"),
            (10, "running 3 tests"),
            (12, "test a   ... ok"),
            (13, "test b ... CPU ns: ours 1, the kernel's 1"),
            (17, "FAILED"),
            (18, "test c ... it begins"),
            (21, "UIDMETER-VM-EXIT 101"),
        ]
        .map(|(at, text)| Line { at: Duration::from_secs(at), text: text.to_owned() });
        let found: Vec<(String, &str, u64)> =
            of_console(&lines).into_iter().map(|case| (case.name, case.result, case.elapsed.as_secs())).collect();
        let expected = [("a", "ok", 2), ("b", "FAILED", 5), ("c", "unfinished", 4)];
        assert_eq!(found, expected.map(|(name, result, seconds)| (name.to_owned(), result, seconds)));
    }
}
