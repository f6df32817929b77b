//! `uidmeter doctor`: the host's fitness, one line a subject.

use std::{io::Write as _, path::Path, process::ExitCode};

use collector::source::ebpf::{Finding, check_host};

use crate::failure::{Failure, code_of};

/// Prints what was found. The exit code is the one with which `uidmeter run` would fail.
pub(crate) fn run(btf: &Path) -> Result<ExitCode, Failure> {
    let mut out = std::io::stdout().lock();
    let mut code = 0;
    for check in check_host(btf) {
        let (mark, text) = match check.finding {
            Finding::Fine(text) => ("ok", text),
            Finding::Limited(text) => ("limited", text),
            Finding::Missing(lacking) => {
                code = if code == 0 { code_of(&lacking) } else { code };
                ("missing", lacking.to_string())
            }
        };
        writeln!(out, "{mark:8} {:24} {text}", check.subject)?;
    }
    let verdict = if code == 0 { "uidmeter can run here." } else { "uidmeter cannot run here; see what is missing." };
    writeln!(out, "\n{verdict}")?;
    Ok(code.into())
}
