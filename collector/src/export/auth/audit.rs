//! A line in the log for each refusal, at a bounded rate: whoever is refused a thousand times a second must not fill
//! the disk, nor hide among his own lines.

use std::{
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
            let (reason, peer) = (refusal.reason, describe(peer));
            tracing::warn!(target: "audit", %peer, reason, unwritten = silent, "{}", refusal.audit);
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
    use std::time::{Duration, UNIX_EPOCH};

    use super::Audit;

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
}
