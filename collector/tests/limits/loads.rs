//! The loads themselves: what a test's user runs. Each ends by itself after a number of seconds.

use std::{
    hint,
    io::{self, Write as _},
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::wait::{WaitPidFlag, waitpid},
    unistd::{ForkResult, fork, setsid},
};

/// `LOAD SECONDS [NUMBER]`.
pub(crate) fn run(arguments: &[String]) -> ExitCode {
    match begin(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "load {arguments:?}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn begin(arguments: &[String]) -> io::Result<()> {
    let [load, rest @ ..] = arguments else { return Err(io::Error::other("no load is named")) };
    let number =
        |i: usize| rest.get(i).and_then(|n| n.parse().ok()).ok_or_else(|| io::Error::other("a number is missing"));
    let end = Instant::now() + Duration::from_secs(number(0)?);
    match load.as_str() {
        "spin" => spin(end, number(1)?),
        "crowd" => crowd(end, number(1)?),
        "wake" => wake(end, Duration::from_micros(number(1)?)),
        "storm" => storm(end, number(1)?),
        "hold" => hold(end, number(1)?),
        other => Err(io::Error::other(format!("no load is called {other:?}"))),
    }
}

/// Threads that never sleep.
fn spin(end: Instant, threads: u64) -> io::Result<()> {
    let threads: Vec<_> = (0..threads).map(|_| thread::spawn(move || busy_until(end))).collect();
    for thread in threads {
        thread.join().map_err(|_| io::Error::other("a thread panicked"))?;
    }
    Ok(())
}

fn busy_until(end: Instant) {
    while Instant::now() < end {
        for _ in 0..10_000 {
            hint::spin_loop();
        }
    }
}

/// Processes that never sleep, each in a session of its own.
fn crowd(end: Instant, processes: u64) -> io::Result<()> {
    for _ in 0..processes {
        // SAFETY: this process has one thread, so the child may do anything.
        if unsafe { fork() }?.is_child() {
            // Fails for the leader of a group only, which a child is not.
            let _ = setsid();
            busy_until(end);
            leave_after(Duration::ZERO);
        }
    }
    for _ in 0..processes {
        waitpid(None, None)?;
    }
    Ok(())
}

/// Somebody at a terminal: wakes every 5 ms and works for a moment.
#[expect(clippy::unnecessary_wraps, reason = "as every load")]
fn wake(end: Instant, work: Duration) -> io::Result<()> {
    while Instant::now() < end {
        thread::sleep(Duration::from_millis(5));
        busy_until(Instant::now() + work);
    }
    Ok(())
}

/// Families of processes in which each member lives for a millisecond and leaves two children, of whom one goes on: at any
/// time some process was born a moment ago, and its parent is gone.
fn storm(end: Instant, families: u64) -> io::Result<()> {
    for _ in 0..families {
        // SAFETY: this process has one thread, so the child may do anything.
        if unsafe { fork() }?.is_child() {
            family(end);
        }
    }
    while Instant::now() < end {
        thread::sleep(Duration::from_millis(20));
        while waitpid(None, Some(WaitPidFlag::WNOHANG)).is_ok_and(|status| status.pid().is_some()) {}
    }
    Ok(())
}

fn family(end: Instant) -> ! {
    loop {
        busy_until(Instant::now() + Duration::from_millis(1));
        // SAFETY: as above.
        let heir = unsafe { fork() };
        // SAFETY: as above. This one only looks on for a while.
        let bystander = unsafe { fork() };
        match (heir, bystander) {
            (Ok(ForkResult::Child), _) if bystander.is_ok_and(ForkResult::is_child) => leave_after(Duration::ZERO),
            (Ok(ForkResult::Child), _) if Instant::now() < end => {}
            (_, Ok(ForkResult::Child)) => leave_after(Duration::from_millis(50)),
            // The limit on processes was met: the family goes on with this one.
            (Err(_), _) if Instant::now() < end => thread::sleep(Duration::from_millis(5)),
            _ => leave_after(Duration::ZERO),
        }
    }
}

fn leave_after(time: Duration) -> ! {
    thread::sleep(time);
    // SAFETY: ends the process, without the parent's exit handlers.
    unsafe { libc::_exit(0) }
}

/// Takes memory step by step up to a number of MiB, and goes on using all that it has.
fn hold(end: Instant, mib: u64) -> io::Result<()> {
    let mut held = Vec::new();
    while Instant::now() < end {
        if u64::try_from(held.len()).is_ok_and(|held| held < mib) {
            let memory = memmap2::MmapMut::map_anon(1 << 20)?;
            memory.advise(memmap2::Advice::NoHugePage)?;
            held.push(memory);
        }
        for memory in &mut held {
            for at in (0..memory.len()).step_by(4096) {
                memory[at] = memory[at].wrapping_add(1);
            }
        }
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}
