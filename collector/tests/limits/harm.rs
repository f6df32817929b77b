//! Two users on two CPUs: one with 16 threads that never sleep, and one who wakes every 5 ms and waits for a CPU because of them.

use std::{io, thread, time::Duration};

use nix::sys::signal::Signal;

use crate::{
    Outcome, Tests,
    figures::{Figures, Waits},
    people::{MALLORY, VICTOR},
    support::Daemon,
};

pub(crate) const TESTS: Tests = &[("who_never_sleeps_harms_who_wakes_often", harms)];

/// Longer than any test takes.
const SECONDS: &str = "600";

/// Long enough for some hundred waits, of which one in a hundred decides.
const WINDOW: Duration = Duration::from_secs(3);

/// The bound under which 99 of 100 waits of the victim are, over a window.
fn p99(daemon: &Daemon) -> io::Result<f64> {
    let waits = || -> io::Result<Waits> { Ok(Figures::new(daemon.get("/metrics")?.1).waits(VICTOR.uid)) };
    let before = waits()?;
    thread::sleep(WINDOW);
    waits()?.p99_since(&before).ok_or_else(|| io::Error::other("the victim did not wait once"))
}

/// What all other tests here stand on. How much an emulated CPU makes its user wait differs from machine to machine, so one is held
/// against the other: twice the bound, since bounds are a power of two apart.
fn harms() -> Outcome {
    let daemon = Daemon::start(&[])?;
    let mut victim = VICTOR.runs(&["wake", SECONDS, "0"])?;
    let alone = p99(&daemon)?;
    let mut offender = MALLORY.runs(&["spin", SECONDS, "16"])?;
    let harmed = p99(&daemon)?;
    offender.stop()?;
    victim.stop()?;
    daemon.end(Signal::SIGTERM)?;
    if harmed < 2.0 * alone {
        return Err(format!("99 of 100 waits are under {alone} s alone, under {harmed} s when harmed").into());
    }
    Ok(())
}
