//! How many expensive failures an address may cause. Pure: the clock is passed in.
//!
//! **The rule.** Only a password that has to go through bcrypt takes from its address's allowance, and one that turns out
//! right, or is not computed after all, gives back what it took. So tokens, certificates, and passwords that have been verified before are never limited,
//! however many others behind the same address guess: whoever is in, stays in. A newcomer behind the address of
//! somebody who guesses without pause competes with him for what comes back with time; tokens and certificates are
//! the way out, and other addresses are not touched.
//!
//! IPv6 addresses count by their /64, which is what one host commonly has; users of a Unix socket by their UID.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use super::Peer;

/// Some 100 bytes each.
const MOST_ORIGINS: usize = 4096;

/// Whom failures are charged to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Origin {
    V4([u8; 4]),
    /// The first 64 bits.
    V6([u8; 8]),
    User(u32),
    Unknown,
}

impl Origin {
    pub(super) fn of(peer: &Peer) -> Self {
        match (peer.address.map(|address| address.to_canonical()), peer.unix) {
            (Some(IpAddr::V4(address)), _) => Self::V4(address.octets()),
            (Some(IpAddr::V6(address)), _) => {
                let mut prefix = [0; 8];
                prefix.copy_from_slice(&address.octets()[..8]);
                Self::V6(prefix)
            }
            (None, Some(uid)) => Self::User(uid),
            (None, None) => Self::Unknown,
        }
    }
}

/// How much is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Failures in a row; at least 1.
    pub burst: u32,
    /// Time until one comes back; above zero.
    pub interval: Duration,
}

/// What an origin has left, and since when.
#[derive(Clone, Copy)]
struct Bucket {
    left: u32,
    since: SystemTime,
}

/// The allowances of all origins.
pub(super) struct Limiter {
    state: Mutex<(Allowance, HashMap<Origin, Bucket>)>,
}

impl Limiter {
    pub(super) fn new(allowance: Allowance) -> Self {
        Self { state: Mutex::new((allowance, HashMap::new())) }
    }

    /// From now on. What has been taken stays taken.
    pub(super) fn change(&self, allowance: Allowance) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).0 = allowance;
    }

    /// An attempt of `origin`, or how long it is to wait.
    pub(super) fn attempt(self: &Arc<Self>, origin: Origin, now: SystemTime) -> Result<Attempt, Duration> {
        self.take(origin, now).map(|()| Attempt { limiter: Arc::clone(self), origin, failed: false })
    }

    /// Takes one, or says how long to wait.
    fn take(&self, origin: Origin, now: SystemTime) -> Result<(), Duration> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (allowance, buckets) = &mut *state;
        if buckets.len() >= MOST_ORIGINS && !buckets.contains_key(&origin) {
            make_room(*allowance, buckets, now);
        }
        let bucket = buckets.entry(origin).or_insert(Bucket { left: allowance.burst, since: now });
        bucket.refill(*allowance, now);
        if bucket.left == 0 {
            let passed = now.duration_since(bucket.since).unwrap_or_default();
            return Err(allowance.interval.saturating_sub(passed));
        }
        bucket.left -= 1;
        Ok(())
    }

    /// What was taken was no failure.
    fn give_back(&self, origin: Origin) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (allowance, buckets) = &mut *state;
        if let Some(bucket) = buckets.get_mut(&origin) {
            bucket.left = (bucket.left + 1).min(allowance.burst);
        }
    }
}

/// What was taken for one attempt. It goes back unless the attempt fails, whoever waits for its end.
pub(super) struct Attempt {
    limiter: Arc<Limiter>,
    origin: Origin,
    failed: bool,
}

impl Attempt {
    /// The password was wrong.
    pub(super) fn fail(mut self) {
        self.failed = true;
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if !self.failed {
            self.limiter.give_back(self.origin);
        }
    }
}

impl Bucket {
    fn refill(&mut self, allowance: Allowance, now: SystemTime) {
        // A clock that was set back must not keep anybody waiting for the time that it lost.
        let passed = now.duration_since(self.since).unwrap_or_else(|_| {
            self.since = now;
            Duration::ZERO
        });
        let whole = passed.as_nanos() / allowance.interval.as_nanos().max(1);
        let back = u32::try_from(whole).unwrap_or(u32::MAX).min(allowance.burst);
        self.left = self.left.saturating_add(back).min(allowance.burst);
        if self.left == allowance.burst {
            self.since = now;
        } else {
            self.since += allowance.interval * back;
        }
    }
}

/// Forgets whoever has everything back, or else who has been quiet for longest.
fn make_room(allowance: Allowance, buckets: &mut HashMap<Origin, Bucket>, now: SystemTime) {
    buckets.retain(|_, bucket| {
        bucket.refill(allowance, now);
        bucket.left < allowance.burst
    });
    if buckets.len() >= MOST_ORIGINS
        && let Some(quietest) = buckets.iter().min_by_key(|(_, bucket)| bucket.since).map(|(origin, _)| *origin)
    {
        buckets.remove(&quietest);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        net::IpAddr,
        time::{Duration, SystemTime, UNIX_EPOCH},
    };

    use super::{Allowance, Limiter, MOST_ORIGINS, Origin, Peer};

    const ALLOWANCE: Allowance = Allowance { burst: 3, interval: Duration::from_secs(2) };
    const HOST: Origin = Origin::V4([10, 0, 0, 1]);

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_000_000 + seconds)
    }

    #[test]
    fn failures_beyond_the_burst_wait_for_their_interval() {
        let limiter = Limiter::new(ALLOWANCE);
        for _ in 0..3 {
            assert_eq!(limiter.take(HOST, at(0)), Ok(()));
        }
        assert_eq!(limiter.take(HOST, at(0)), Err(Duration::from_secs(2)));
        assert_eq!(limiter.take(HOST, at(1)), Err(Duration::from_secs(1)));
        assert_eq!(limiter.take(HOST, at(2)), Ok(()));
        assert_eq!(limiter.take(HOST, at(2)), Err(Duration::from_secs(2)));
        // Never more than the burst, however long it was quiet.
        assert_eq!((0..10).filter(|_| limiter.take(HOST, at(1000)).is_ok()).count(), 3);
        assert_eq!(limiter.take(Origin::V4([10, 0, 0, 2]), at(1000)), Ok(()), "others are not touched");
    }

    #[test]
    fn a_success_costs_nothing() {
        let limiter = Limiter::new(ALLOWANCE);
        for _ in 0..100 {
            assert_eq!(limiter.take(HOST, at(0)), Ok(()));
            limiter.give_back(HOST);
        }
        limiter.give_back(HOST);
        assert_eq!((0..10).filter(|_| limiter.take(HOST, at(0)).is_ok()).count(), 3);
    }

    #[test]
    fn a_clock_that_is_set_back_locks_nobody_out() {
        let limiter = Limiter::new(ALLOWANCE);
        assert_eq!((0..10).filter(|_| limiter.take(HOST, at(100_000)).is_ok()).count(), 3);
        assert!(limiter.take(HOST, at(0)).is_err());
        assert_eq!(limiter.take(HOST, at(2)), Ok(()));
    }

    #[test]
    fn the_table_is_bounded_and_forgets_the_quietest() {
        let limiter = Limiter::new(ALLOWANCE);
        let origin = |number: u32| Origin::V4(number.to_be_bytes());
        for number in 0..u32::try_from(MOST_ORIGINS).unwrap_or_default() {
            for _ in 0..3 {
                let _ = limiter.take(origin(number), at(u64::from(number == 7)));
            }
        }
        assert_eq!(limiter.take(origin(1_000_000), at(1)), Ok(()));
        let count = limiter.state.lock().map(|state| state.1.len()).unwrap_or_default();
        assert_eq!(count, MOST_ORIGINS);
        assert!(limiter.take(origin(7), at(1)).is_err(), "who was last is remembered");
        // Whoever has everything back makes room for all.
        assert_eq!(limiter.take(origin(2_000_000), at(1000)), Ok(()));
        assert_eq!(limiter.state.lock().map(|state| state.1.len()).unwrap_or_default(), 1);
    }

    #[test]
    fn addresses_count_by_what_one_host_has() {
        let of = |address: &str| {
            let address = address.parse::<IpAddr>().ok();
            assert!(address.is_some(), "{address:?}");
            Origin::of(&Peer { address, ..Peer::default() })
        };
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
        assert_ne!(of("10.0.0.2"), of("10.0.0.1"));
        let user = |uid| Origin::of(&Peer { unix: Some(uid), ..Peer::default() });
        assert_ne!(user(1000), user(1001));
    }
}
