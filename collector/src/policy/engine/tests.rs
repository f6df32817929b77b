//! The engine on made-up hosts, second by second.

use std::sync::Arc;

use super::{
    super::tests::{HOG, person, policy},
    Action, Decision, Engine,
};
use crate::{
    config::Mode,
    policy::{Clock, HostLoad, Observation, UserLoad},
    units::{Bytes, Cores, Nanos, Uid, UnixTime},
};

pub(super) type Outcome = Result<(), String>;

/// 2026-03-23, a Monday, at noon UTC.
const NOON: u64 = 1_774_267_200;

/// A host whose engine is asked every second.
pub(super) struct Host {
    pub(super) engine: Engine,
    pub(super) host: HostLoad,
    pub(super) users: Vec<UserLoad>,
    pub(super) second: u64,
}

impl Host {
    pub(super) fn new(text: &str, cpus: u32) -> Result<Self, String> {
        let mut engine = Engine::new(Arc::new(policy(text)?));
        engine.set_mode(Mode::Enforce);
        let (memory_total, memory_available) = (Bytes(16 << 30), Bytes(8 << 30));
        let host = HostLoad { cpus, memory_total, memory_available, ..HostLoad::default() };
        Ok(Self { engine, host, users: Vec::new(), second: 0 })
    }

    /// Somebody of this name; added if he is new.
    pub(super) fn user(&mut self, uid: u32, name: &str) -> &mut UserLoad {
        let at = self.users.iter().position(|user| user.person.uid == Uid(uid)).unwrap_or_else(|| {
            self.users.push(UserLoad::idle(person(uid, name, &[])));
            self.users.len() - 1
        });
        &mut self.users[at]
    }

    pub(super) fn ann(&mut self, cpu: f64) {
        self.user(20_001, "ann").cpu = Cores(cpu);
    }

    /// Interactive, and waiting.
    pub(super) fn bob(&mut self, wait_ms: u64) {
        let bob = self.user(20_002, "bob");
        (bob.cpu, bob.waiting, bob.wait_p99) = (Cores(0.05), Cores(0.4), Some(Nanos(wait_ms * 1_000_000)));
    }

    /// So many seconds in which nothing changes; what is decided, with the second.
    pub(super) fn run(&mut self, seconds: u64) -> Vec<(u64, Decision)> {
        let mut decisions = Vec::new();
        for _ in 0..seconds {
            self.host.busy = Cores(self.users.iter().map(|user| user.cpu.0).sum());
            let observation = Observation { host: self.host.clone(), users: self.users.clone() };
            let moment = |offset: u64| Nanos((offset + self.second) * 1_000_000_000);
            let clock = Clock { monotonic: moment(1000), wall: UnixTime(moment(NOON)) };
            decisions
                .extend(self.engine.evaluate(&observation, &clock).decisions.into_iter().map(|d| (self.second, d)));
            self.second += 1;
        }
        decisions
    }
}

pub(super) fn actions(decisions: &[(u64, Decision)]) -> Vec<(u64, u32, Action)> {
    decisions.iter().map(|(second, decision)| (*second, decision.order.uid.0, decision.action)).collect()
}

#[test]
fn the_offender_alone_is_limited_step_by_step_and_released_when_he_stops() -> Outcome {
    let mut host = Host::new(HOG, 2)?;
    host.ann(1.92);
    host.bob(23);
    let decisions = host.run(16);
    assert_eq!(
        actions(&decisions),
        [(5, 20_001, Action::Set), (10, 20_001, Action::Tighten), (15, 20_001, Action::Tighten)]
    );
    assert_eq!(
        decisions[0].1.order.cause.reason,
        "p99 run-queue latency of bob is 23 ms (over 10 ms for 5 s) while ann uses 1.92 of 2 CPUs (fair share 1.00, over \
         1.25 times that for 5 s)"
    );
    let limits: Vec<_> = decisions.iter().map(|(_, decision)| decision.order.limits.to_string()).collect();
    assert_eq!(limits, ["cpu.weight 20", "cpu.weight 20, cpu.max 1.000 cores", "cpu.weight 20, cpu.max 0.500 cores"]);
    host.ann(0.1);
    host.bob(1);
    let decisions = host.run(30);
    assert_eq!(actions(&decisions), [(26, 20_001, Action::Release)]);
    assert!(decisions[0].1.order.limits.is_none());
    Ok(())
}
