//! What the kernel tells about a map or program through `/proc/self/fdinfo`, which needs no privilege.
//! (`bpf_map_show_fdinfo` and `bpf_prog_show_fdinfo`, kernel/bpf/syscall.c.)

use std::{
    fs, io,
    os::fd::{AsFd, AsRawFd as _},
};

use crate::{
    source::ProgramRuns,
    units::{Bytes, Nanos},
};

/// Runs and misses of a program.
pub(super) fn program_runs(program: &impl AsFd) -> io::Result<ProgramRuns> {
    Ok(runs(&read(program)?))
}

fn runs(text: &str) -> ProgramRuns {
    ProgramRuns {
        recursion_misses: value(text, "recursion_misses"),
        count: value(text, "run_cnt"),
        time: Nanos(value(text, "run_time_ns")),
    }
}

/// Id and runs of a program, from the text of its descriptor; `None` if that is of something else.
pub(super) fn program(text: &str) -> Option<(u32, ProgramRuns)> {
    let is_program = text.lines().any(|line| line.starts_with("prog_type:"));
    let id = u32::try_from(value(text, "prog_id")).ok().filter(|id| is_program && *id > 0)?;
    Some((id, runs(text)))
}

/// Memory that the kernel accounts to a map or program.
pub(super) fn memory(object: &impl AsFd) -> io::Result<Bytes> {
    Ok(Bytes(value(&read(object)?, "memlock")))
}

fn read(object: &impl AsFd) -> io::Result<String> {
    fs::read_to_string(format!("/proc/self/fdinfo/{}", object.as_fd().as_raw_fd()))
}

/// A line's value; zero for a line that this kernel does not print.
fn value(text: &str, key: &str) -> u64 {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| *name == key)
        .and_then(|(_, value)| value.trim().parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::value;

    #[test]
    fn values_are_found_by_their_whole_name() {
        let text = "pos:\t0\nrun_time_ns:\t12\nrun_cnt:\t3\n";
        assert_eq!((value(text, "run_cnt"), value(text, "cnt"), value(text, "recursion_misses")), (3, 0, 0));
    }
}
