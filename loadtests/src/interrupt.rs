//! SIGINT, SIGTERM and SIGHUP end a measurement early but in order: whatever waits gives up with an error, and what
//! was started or attached is undone on the way out.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    flag,
};

/// How often a waiting measurement looks up. It costs the measured machine next to nothing.
const POLL: Duration = Duration::from_millis(20);

/// Whether someone wants this to end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// From now on these signals are noted instead of ending the process at once.
    pub(crate) fn catch() -> io::Result<Self> {
        let interrupt = Self::default();
        for signal in [SIGHUP, SIGINT, SIGTERM] {
            flag::register(signal, Arc::clone(&interrupt.0))?;
        }
        Ok(interrupt)
    }

    /// Sleeps; an error if someone wants this to end.
    pub(crate) fn sleep(&self, length: Duration) -> Result<()> {
        let start = Instant::now();
        loop {
            if self.0.load(Ordering::Relaxed) {
                bail!("interrupted; nothing stays attached or running");
            }
            match length.saturating_sub(start.elapsed()) {
                Duration::ZERO => return Ok(()),
                left => thread::sleep(left.min(POLL)),
            }
        }
    }

    /// Sleeps for as long as a waiting loop should between two looks.
    pub(crate) fn pause(&self) -> Result<()> {
        self.sleep(POLL)
    }
}

#[cfg(test)]
mod tests {
    use super::Interrupt;
    use std::{sync::atomic::Ordering, time::Duration};

    #[test]
    fn an_interrupt_ends_a_sleep_with_an_error() {
        let interrupt = Interrupt::default();
        assert!(interrupt.sleep(Duration::ZERO).is_ok());
        interrupt.0.store(true, Ordering::Relaxed);
        assert!(interrupt.sleep(Duration::from_hours(1)).is_err());
    }
}
