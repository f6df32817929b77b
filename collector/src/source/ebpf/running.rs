//! What loaded programs cost: the kernel's statistics of their runs, also of those that another process holds.

use std::{
    fs, io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use aya::{
    programs::loaded_programs,
    sys::{Stats, enable_stats},
};

use super::fdinfo;
use crate::source::ProgramRuns;

/// Has the kernel count runs and their time until the descriptor is dropped. `kernel.bpf_stats_enabled` stays as it is.
///
/// # Errors
/// This process may not, or the kernel is older than 5.8.
pub fn count_runs() -> io::Result<OwnedFd> {
    enable_stats(Stats::RunTime).map_err(|error| error.io_error)
}

/// A program that a process holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldProgram {
    /// The kernel's number for it.
    pub id: u32,
    /// The first 15 bytes of its name, which is all that the kernel keeps: two programs can have the same.
    pub name: String,
    /// What the kernel counted while [`count_runs`] held.
    pub runs: ProgramRuns,
}

/// The programs that process `pid` holds, in the order in which they were loaded.
///
/// # Errors
/// This process may not look into that one, or it has ended.
pub fn programs_of(pid: u32) -> io::Result<Vec<HeldProgram>> {
    let held = held(&PathBuf::from(format!("/proc/{pid}/fdinfo")))?;
    let mut programs = Vec::new();
    for program in loaded_programs() {
        let program = program.map_err(io::Error::other)?;
        if let Some((id, runs)) = held.iter().find(|(id, _)| *id == program.id()) {
            let name = String::from_utf8_lossy(program.name()).into_owned();
            programs.push(HeldProgram { id: *id, name, runs: *runs });
        }
    }
    programs.sort_by_key(|program| program.id);
    Ok(programs)
}

/// Ids and runs of the programs among the descriptors in `folder`, each once.
fn held(folder: &Path) -> io::Result<Vec<(u32, ProgramRuns)>> {
    let mut held: Vec<(u32, ProgramRuns)> = Vec::new();
    for entry in fs::read_dir(folder)? {
        // A descriptor may be closed while we look.
        let Ok(text) = entry.and_then(|entry| fs::read_to_string(entry.path())) else { continue };
        if let Some(program) = fdinfo::program(&text).filter(|(id, _)| held.iter().all(|(other, _)| other != id)) {
            held.push(program);
        }
    }
    Ok(held)
}

#[cfg(test)]
mod tests {
    use std::{fs, io};

    use super::held;
    use crate::{source::ProgramRuns, units::Nanos};

    #[test]
    fn programs_are_told_from_links_and_other_descriptors_and_counted_once() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let program = "pos:\t0\nprog_type:\t26\nprog_id:\t7\nrun_time_ns:\t50\nrun_cnt:\t2\nrecursion_misses:\t1\n";
        for (name, text) in [
            ("3", program),
            ("4", program),
            ("5", "pos:\t0\nlink_type:\ttracing\nlink_id:\t1\nprog_id:\t8\n"),
            ("6", "pos:\t0\nmap_type:\t2\n"),
            ("7", "prog_type:\t26\n"),
        ] {
            fs::write(folder.path().join(name), text)?;
        }
        assert_eq!(held(folder.path())?, [(7, ProgramRuns { recursion_misses: 1, count: 2, time: Nanos(50) })]);
        Ok(())
    }
}
