//! Tests of limits on a machine of their own: what was written is held against what the kernel then does.
//!
//! They change cgroups of the whole machine, so they run only where the machine was made for them: `UIDMETER_LIMITS_MACHINE`
//! says `cgroupfs` (cgroup v2, no systemd) or `systemd` (systemd is PID 1). Anywhere else there is nothing to run.
//!
//! Each module lists its own tests; a machine runs those that are made for it.

mod cgroupfs;
mod deaths;
mod escapes;
mod faults;
mod figures;
mod harm;
mod loads;
mod memory;
mod people;
mod rig;
mod service;
#[path = "../support/daemon.rs"]
mod support;
mod systemd;
mod traces;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

/// A test.
type Test = fn() -> Outcome;
/// What it returns.
type Outcome = Result<(), libtest_mimic::Failed>;
/// Tests of one subject, by name.
type Tests = &'static [(&'static str, Test)];

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some("--load") {
        return loads::run(&arguments.collect::<Vec<_>>());
    }
    let tests: &[Tests] = match std::env::var("UIDMETER_LIMITS_MACHINE").as_deref() {
        Ok("cgroupfs") => &[cgroupfs::TESTS, faults::TESTS, harm::TESTS, memory::TESTS, escapes::TESTS, deaths::TESTS],
        Ok("systemd") => &[systemd::TESTS, service::TESTS, faults::TESTS, harm::TESTS, deaths::TESTS],
        _ => &[],
    };
    let trials = tests.iter().copied().flatten().map(|(name, test)| Trial::test(*name, *test)).collect();
    let mut arguments = Arguments::from_args();
    // Tests measure the machine that they share.
    arguments.test_threads = Some(1);
    libtest_mimic::run(&arguments, trials).exit_code()
}
