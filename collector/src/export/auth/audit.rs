//! A line in the log for each refusal, at a bounded rate: whoever is refused a thousand times a second must not fill
//! the disk, nor hide among his own lines. Every such line has the field `audit`, by which it is told from others.

use std::{
    fmt::Display,
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use super::{Peer, Refusal};

/// Lines in a row.
const BURST: u32 = 20;
/// Time until one comes back.
const INTERVAL: Duration = Duration::from_millis(200);

/// What may still be written.
pub(super) struct Audit {
    state: Mutex<State>,
}

struct State {
    left: u32,
    since: SystemTime,
    /// Refusals without a line since the last line.
    silent: u64,
}

impl Audit {
    pub(super) fn new() -> Self {
        Self { state: Mutex::new(State { left: BURST, since: SystemTime::UNIX_EPOCH, silent: 0 }) }
    }

    /// Writes the line, or remembers that it was not written.
    pub(super) fn write(&self, peer: &Peer, refusal: &Refusal, now: SystemTime) {
        if let Some(silent) = self.admit(now) {
            line(&describe(peer), refusal.reason, silent, &refusal.audit);
        }
    }

    /// How many lines were left out since the last one, if another may be written.
    fn admit(&self, now: SystemTime) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = now.duration_since(state.since).unwrap_or_else(|_| {
            state.since = now;
            Duration::ZERO
        });
        let back = u32::try_from(passed.as_nanos() / INTERVAL.as_nanos()).unwrap_or(u32::MAX).min(BURST);
        state.left = state.left.saturating_add(back).min(BURST);
        state.since = if state.left == BURST { now } else { state.since + INTERVAL * back };
        if state.left == 0 {
            state.silent += 1;
            return None;
        }
        state.left -= 1;
        Some(std::mem::take(&mut state.silent))
    }
}

/// The line about a refusal: `sentence` has no secret and nothing unescaped, `unwritten` is how many were left out before.
pub(in crate::export) fn line(peer: &dyn Display, reason: &'static str, unwritten: u64, sentence: &dyn Display) {
    tracing::warn!(target: "audit", audit = "refused", %peer, reason, unwritten, "{sentence}");
}

/// The other end, without anything that it has chosen itself.
pub(super) fn describe(peer: &Peer) -> String {
    match (peer.address, peer.unix) {
        (Some(address), _) => address.to_canonical().to_string(),
        (None, Some(uid)) => format!("uid {uid}"),
        (None, None) => "an unknown peer".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex, PoisonError},
        time::{Duration, UNIX_EPOCH},
    };

    use hyper::StatusCode;

    use super::{Audit, Peer, Refusal};

    #[test]
    fn lines_are_bounded_and_say_how_many_are_missing() {
        let audit = Audit::new();
        let at = |milliseconds: u64| UNIX_EPOCH + Duration::from_millis(1_000_000 + milliseconds);
        let written = (0..1000).filter(|_| audit.admit(at(0)).is_some()).count();
        assert_eq!(written, 20);
        assert_eq!(audit.admit(at(199)), None);
        assert_eq!(audit.admit(at(200)), Some(981));
        assert_eq!(audit.admit(at(200)), None);
        assert_eq!(audit.admit(at(400)), Some(1));
    }
    /// Where the subscriber of a test writes.
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The daemon's log has no targets.
    #[test]
    fn a_line_is_told_from_others_by_its_field_audit() {
        let lines = Lines::default();
        let writer = lines.clone();
        let log = tracing_subscriber::fmt().without_time().with_target(false).with_ansi(false);
        tracing::subscriber::with_default(log.with_writer(move || writer.clone()).finish(), || {
            let refusal = Refusal {
                status: StatusCode::UNAUTHORIZED,
                reason: "missing",
                www_authenticate: Vec::new(),
                retry_after: None,
                audit: "refused 192.0.2.7: no credentials".into(),
            };
            let peer = Peer { address: Some([192, 0, 2, 7].into()), ..Peer::default() };
            Audit::new().write(&peer, &refusal, UNIX_EPOCH);
        });
        let written = lines.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let written = String::from_utf8_lossy(&written);
        assert_eq!(
            written,
            " WARN refused 192.0.2.7: no credentials audit=\"refused\" peer=192.0.2.7 reason=\"missing\" unwritten=0\n"
        );
        assert!(include_str!("../../../../docs/SECURITY-EXPORTER.md").contains(written.trim()), "documented otherwise");
    }
}
