//! The engine on made-up hosts, second by second.

mod properties;

use std::{sync::Arc, time::Duration};

use super::{
    super::tests::{HOG, person, policy},
    Action, Decision, Engine, State, StateKind,
};
use crate::{
    config::Mode,
    limits::Millicores,
    policy::{Clock, HostLoad, Observation, UserLoad},
    units::{Bytes, Cores, Nanos, Uid, UnixTime},
};

pub(super) type Outcome = Result<(), String>;

/// 2026-03-23, a Monday, at noon UTC.
const NOON: u64 = 1_774_267_200;

/// A host whose engine is asked every second.
pub(super) struct Host {
    pub(super) engine: Engine,
    pub(super) load: HostLoad,
    pub(super) users: Vec<UserLoad>,
    pub(super) second: u64,
}

impl Host {
    pub(super) fn new(text: &str, cpus: u32) -> Result<Self, String> {
        let mut engine = Engine::new(Arc::new(policy(text)?));
        engine.set_mode(Mode::Enforce);
        let (memory_total, memory_available) = (Bytes(16 << 30), Bytes(8 << 30));
        let load = HostLoad { cpus, memory_total, memory_available, ..HostLoad::default() };
        Ok(Self { engine, load, users: Vec::new(), second: 0 })
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
            self.load.busy = Cores(self.users.iter().map(|user| user.cpu.0).sum());
            let observation = Observation { host: self.load.clone(), users: self.users.clone() };
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

/// [`HOG`] with `with` in place of `what`, which stands in it once.
fn hog_with(what: &str, with: &str) -> String {
    assert_eq!(HOG.matches(what).count(), 1, "{what}");
    HOG.replace(what, with)
}

/// Ann computes, bob waits.
fn quarrel(text: &str) -> Result<Host, String> {
    let mut host = Host::new(text, 2)?;
    host.ann(1.92);
    host.bob(23);
    Ok(host)
}

/// Both are done.
fn peace(host: &mut Host) {
    host.ann(0.01);
    host.bob(0);
}

fn limited(host: &Host) -> Vec<u32> {
    let states = host.engine.states();
    let limited = states.iter().filter(|user| !user.wanted.is_none() || !user.would_be.is_none());
    limited.map(|user| user.uid.0).collect()
}

const BUSY: &str = r#"
[users]
grace = "0s"
[[rule]]
name = "busy"
[rule.when]
host_cpu_busy = { above = "75%", for = "2s" }
user_cpu = { above = "50%", for = "2s" }
[[rule.step]]
cpu_weight = 20
"#;

#[test]
fn a_threshold_is_a_share_of_all_cpus_on_one_as_on_128() -> Outcome {
    for cpus in [1, 2, 16, 128] {
        let all = f64::from(cpus);
        let mut host = Host::new(BUSY, cpus)?;
        // Three quarters of one CPU, which a threshold of one core would take for too much.
        host.ann(0.75 * all - 0.01);
        assert_eq!(actions(&host.run(10)), [], "{cpus}");
        host.ann(0.75 * all);
        assert_eq!(actions(&host.run(10)), [(12, 20_001, Action::Set)], "{cpus}");
    }
    Ok(())
}

#[test]
fn it_acts_while_the_host_is_overloaded() -> Outcome {
    for cpus in [1, 2, 128] {
        let mut host = Host::new(BUSY, cpus)?;
        let all = f64::from(cpus);
        host.ann(all);
        host.user(20_001, "ann").waiting = Cores(10_000.0 * all);
        host.user(0, "root").waiting = Cores(1000.0);
        (host.load.cpu_pressure, host.load.io_pressure) = (Some(1.0), Some(1.0));
        assert_eq!(actions(&host.run(5)), [(2, 20_001, Action::Set)], "{cpus}");
    }
    Ok(())
}

#[test]
fn load_that_is_not_his_keeps_nobody_limited() -> Outcome {
    let mut host = quarrel(HOG)?;
    host.run(10);
    host.ann(0.01);
    // Root takes over, and bob waits as before.
    host.user(0, "root").cpu = Cores(2.0);
    (host.load.cpu_pressure, host.load.io_pressure) = (Some(1.0), Some(1.0));
    assert_eq!(actions(&host.run(30)), [(25, 20_001, Action::Release)]);
    Ok(())
}

#[test]
fn ann_is_no_part_of_joanna() -> Outcome {
    let mut host = quarrel(&hog_with("grace = \"0s\"", "grace = \"0s\"\nexempt_users = [\"ann\"]"))?;
    host.user(20_003, "joanna").cpu = Cores(1.9);
    let decisions = host.run(10);
    assert_eq!(decisions.iter().map(|(_, d)| d.order.uid.0).collect::<Vec<_>>(), [20_003]);
    let mut host = quarrel(&hog_with("min_limited = \"20s\"", "users = [\"ann\"]"))?;
    host.user(20_003, "joanna").cpu = Cores(1.9);
    host.user(20_004, "Ann").cpu = Cores(1.9);
    host.user(20_005, "ann ").cpu = Cores(1.9);
    assert_eq!(actions(&host.run(6)), [(5, 20_001, Action::Set)]);
    Ok(())
}

#[test]
fn a_name_that_somebody_gives_himself_changes_nothing() -> Outcome {
    let mut host = Host::new(&hog_with("grace = \"0s\"", "grace = \"0s\"\nexempt_users = [\"bob\"]"), 2)?;
    host.user(20_009, "bob").cpu = Cores(1.9);
    host.bob(23);
    assert_eq!(actions(&host.run(6)), [(5, 20_009, Action::Set)]);
    Ok(())
}

#[test]
fn users_of_a_directory_are_limited_and_the_system_is_not() -> Outcome {
    let mut host = Host::new(HOG, 16)?;
    host.bob(23);
    for uid in [0, 1, 999, 61_184, 65_519, 65_534, 65_535, u32::MAX] {
        host.user(uid, "system").cpu = Cores(9.0);
    }
    assert_eq!(actions(&host.run(10)), []);
    host.user(4_294_900_000, "far").cpu = Cores(12.0);
    assert_eq!(actions(&host.run(6)), [(15, 4_294_900_000, Action::Set)]);
    Ok(())
}

#[test]
fn memory_is_never_limited_below_what_is_in_use() -> Outcome {
    let text = r#"
[users]
grace = "0s"
[[rule]]
name = "memory"
step_after = "5s"
[rule.when]
user_memory = { above = "50%", for = "2s" }
[[rule.step]]
memory_high = "2GiB"
[[rule.step]]
memory_high = "1GiB"
memory_max = "1GiB"
"#;
    let mut host = Host::new(text, 2)?;
    let gib = |number: u64| Bytes(number << 30);
    let margin = 64 << 20;
    host.user(20_001, "ann").memory = gib(12);
    let decisions = host.run(3);
    assert_eq!(decisions[0].1.order.limits.memory_high, Some(Bytes(gib(12).0 + margin)));
    host.user(20_001, "ann").memory = gib(13);
    let decisions = host.run(5);
    let limits = decisions[0].1.order.limits;
    assert_eq!(limits.memory_high, Some(Bytes(gib(13).0 + margin)));
    assert_eq!(limits.memory_max, Some(Bytes(gib(13).0 + 2 * margin)));
    // What he gives back he does not get again: step by step, down to what the rule says.
    for used in [11, 9, 8] {
        host.user(20_001, "ann").memory = gib(used);
        let decisions = host.run(6);
        assert_eq!(actions(&decisions).len(), 1, "{used}");
        assert_eq!(decisions[0].1.order.limits.memory_high, Some(Bytes(gib(used).0 + margin)));
    }
    host.user(20_001, "ann").memory = Bytes(u64::MAX);
    host.run(10);
    Ok(())
}

#[test]
fn who_waits_for_himself_is_nobodys_victim() -> Outcome {
    let mut host = Host::new(HOG, 2)?;
    host.ann(1.92);
    // Dan takes more than a fair share, too, and waits because of it: dan alone would be reason enough otherwise.
    let dan = host.user(20_004, "dan");
    (dan.cpu, dan.waiting, dan.wait_p99) = (Cores(1.1), Cores(20.0), Some(Nanos(1_000_000_000)));
    assert_eq!(actions(&host.run(20)), []);
    Ok(())
}

#[test]
fn who_waits_because_of_a_limit_is_no_victim() -> Outcome {
    let mut host = quarrel(HOG)?;
    host.run(16);
    // Under the limit ann waits for long whatever she does, bob is well, and dan takes what is left.
    host.bob(1);
    host.ann(0.3);
    let ann = host.user(20_001, "ann");
    (ann.waiting, ann.wait_p99) = (Cores(16.0), Some(Nanos(200_000_000)));
    host.user(20_004, "dan").cpu = Cores(1.4);
    assert_eq!(actions(&host.run(10)).iter().filter(|(_, uid, _)| *uid == 20_004).count(), 0);
    Ok(())
}

#[test]
fn somebody_who_does_next_to_nothing_is_no_victim() -> Outcome {
    let mut host = Host::new(HOG, 2)?;
    host.ann(1.92);
    host.user(20_004, "dan").cpu = Cores(0.05);
    let bob = host.user(20_002, "bob");
    (bob.cpu, bob.waiting, bob.wait_p99) = (Cores(0.001), Cores(0.001), Some(Nanos(1_000_000_000)));
    assert_eq!(actions(&host.run(20)), []);
    Ok(())
}

#[test]
fn offenders_are_not_each_others_victims() -> Outcome {
    let mut host = Host::new(&hog_with("user_cpu_fair_shares = { above = 1.25", "user_cpu = { above = 1.25"), 8)?;
    for (uid, name) in [(20_001, "ann"), (20_004, "dan")] {
        let user = host.user(uid, name);
        (user.cpu, user.waiting, user.wait_p99) = (Cores(2.0), Cores(9.0), Some(Nanos(1_000_000_000)));
    }
    assert_eq!(actions(&host.run(20)), []);
    host.bob(23);
    assert_eq!(actions(&host.run(6)), [(25, 20_001, Action::Set), (25, 20_004, Action::Set)]);
    Ok(())
}

#[test]
fn a_breath_between_ends_the_wait_for_a_condition() -> Outcome {
    let mut host = quarrel(HOG)?;
    for _ in 0..5 {
        host.bob(23);
        assert_eq!(actions(&host.run(5)), []);
        host.bob(9);
        assert_eq!(actions(&host.run(1)), []);
    }
    Ok(())
}

#[test]
fn between_the_thresholds_nothing_changes() -> Outcome {
    let mut host = quarrel(HOG)?;
    host.run(6);
    host.bob(7);
    host.ann(1.1);
    assert_eq!(actions(&host.run(300)), []);
    assert_eq!(limited(&host), [20_001]);
    Ok(())
}

#[test]
fn while_he_presses_against_the_limit_one_step_at_a_time_is_taken_back() -> Outcome {
    let mut host = quarrel(HOG)?;
    host.run(16);
    // All is well, because he is limited to a half, which he takes.
    host.bob(1);
    host.ann(0.5);
    let decisions = host.run(60);
    assert_eq!(actions(&decisions)[0], (41, 20_001, Action::Relax));
    assert_eq!(decisions[0].1.order.limits.to_string(), "cpu.weight 20, cpu.max 1.000 cores");
    assert_eq!(decisions[0].1.order.cause.reason, "p99 run-queue latency of bob is 1.0 ms (under 5.0 ms for 25 s)");
    // It was too soon: this is an offence, and the next step back takes twice as long.
    let mut host = quarrel(HOG)?;
    host.run(16);
    host.bob(1);
    host.ann(0.5);
    host.run(26);
    host.bob(23);
    host.ann(1.0);
    assert_eq!(actions(&host.run(6)), [(47, 20_001, Action::Tighten)]);
    host.bob(1);
    host.ann(0.5);
    let again = actions(&host.run(100));
    assert!(again[0].2 == Action::Relax && again[0].0 >= 48 + 10 + 29, "{again:?}");
    Ok(())
}

#[test]
fn repeated_offences_begin_a_step_further_and_last_longer_until_they_are_forgotten() -> Outcome {
    let mut host = quarrel(HOG)?;
    let mut durations = Vec::new();
    let mut firsts = Vec::new();
    for _ in 0..4 {
        host.ann(1.92);
        host.bob(23);
        let decisions = host.run(6);
        let set = decisions[0].0;
        firsts.push(decisions[0].1.order.limits.to_string());
        peace(&mut host);
        let released = actions(&host.run(120));
        assert_eq!(released.len(), 1, "{released:?}");
        durations.push(released[0].0 - set);
    }
    assert!(durations.windows(2).all(|pair| pair[1] > pair[0] + 15) && durations[0] == 20, "{durations:?}");
    assert_eq!(firsts[0], "cpu.weight 20");
    assert_eq!(firsts[1], "cpu.weight 20, cpu.max 1.000 cores");
    assert_eq!(firsts[2..], ["cpu.weight 20, cpu.max 0.500 cores"; 2]);
    // A day later.
    host.second += 24 * 3600;
    host.ann(1.92);
    host.bob(23);
    let decisions = host.run(6);
    assert_eq!(decisions[0].1.order.limits.to_string(), "cpu.weight 20");
    Ok(())
}

#[test]
fn newcomers_are_left_alone_for_a_while_but_not_offenders_who_come_back() -> Outcome {
    let mut host = Host::new(&hog_with("grace = \"0s\"", "grace = \"20s\""), 2)?;
    host.bob(23);
    host.run(10);
    host.ann(1.92);
    let decisions = host.run(30);
    assert_eq!(actions(&decisions)[0], (30, 20_001, Action::Set));
    host.users.retain(|user| user.person.uid != Uid(20_001));
    host.run(200);
    host.ann(1.92);
    let second = host.second;
    assert_eq!(actions(&host.run(8))[0], (second + 5, 20_001, Action::Set));
    Ok(())
}

#[test]
fn the_daemons_start_makes_nobody_a_newcomer() -> Outcome {
    let mut host = quarrel(&hog_with("grace = \"0s\"", "grace = \"1h\""))?;
    assert_eq!(actions(&host.run(6)), [(5, 20_001, Action::Set)]);
    Ok(())
}

#[test]
fn in_blackout_hours_everything_is_released_and_nothing_is_limited() -> Outcome {
    // It is noon on Monday at second 0.
    let text = hog_with("min_limited = \"20s\"", "min_limited = \"1h\"\noff_during = [\"Mon 12:01-12:02\"]");
    let mut host = quarrel(&text)?;
    let decisions = host.run(130);
    let all = actions(&decisions);
    assert_eq!(all[..3].iter().map(|(second, ..)| *second).collect::<Vec<_>>(), [5, 10, 15]);
    assert_eq!(all[3..5], [(60, 20_001, Action::Release), (125, 20_001, Action::Set)]);
    assert_eq!(decisions[3].1.order.cause.reason, "the rule hog is off now");
    Ok(())
}

#[test]
fn an_administrator_can_hold_and_release_anybody() -> Outcome {
    let mut host = quarrel(HOG)?;
    host.run(6);
    host.engine.hold(Uid(20_001));
    peace(&mut host);
    assert_eq!(actions(&host.run(200)), []);
    assert_eq!(host.engine.states()[0].state, State::Held);
    host.ann(1.92);
    host.bob(23);
    host.run(10);
    host.engine.release(Uid(20_001), Duration::from_mins(1));
    let decisions = host.run(100);
    assert_eq!(actions(&decisions)[..2], [(216, 20_001, Action::Release), (275, 20_001, Action::Set)]);
    assert_eq!(decisions[0].1.order.cause.reason, "an administrator released the user for 60 s");
    Ok(())
}

#[test]
fn what_is_held_is_released_once_no_rule_may_act_on_it() -> Outcome {
    let mut host = quarrel(HOG)?;
    host.run(6);
    host.engine.hold(Uid(20_001));
    let exempt = hog_with("grace = \"0s\"", "exempt_users = [\"ann\"]");
    host.engine.set_policy(Arc::new(policy(&exempt)?));
    let decisions = host.run(2);
    assert_eq!(actions(&decisions), [(6, 20_001, Action::Release)]);
    assert_eq!(decisions[0].1.order.cause.reason, "UID 20001 is exempt from limits by the policy");
    Ok(())
}

#[test]
fn a_changed_policy_keeps_those_whom_it_covers_and_releases_the_others() -> Outcome {
    let mut host = quarrel(HOG)?;
    host.user(20_003, "joanna").cpu = Cores(1.9);
    host.run(16);
    assert_eq!(limited(&host), [20_001, 20_003]);
    host.engine.set_policy(Arc::new(policy(HOG)?));
    assert_eq!(actions(&host.run(3)), []);
    let tighter =
        hog_with("cpu_max = 0.5", "cpu_max = 0.25").replace("min_limited", "exempt_users = [\"joanna\"]\nmin_limited");
    host.engine.set_policy(Arc::new(policy(&tighter)?));
    let decisions = host.run(1);
    assert_eq!(actions(&decisions), [(19, 20_001, Action::Tighten), (19, 20_003, Action::Release)]);
    assert_eq!(decisions[0].1.order.limits.to_string(), "cpu.weight 20, cpu.max 0.250 cores");
    // Of another name, it is another rule.
    host.engine.set_policy(Arc::new(policy(&hog_with("name = \"hog\"", "name = \"pig\""))?));
    assert_eq!(actions(&host.run(1)), [(20, 20_001, Action::Release)]);
    assert_eq!(actions(&host.run(6)).len(), 2);
    Ok(())
}

#[test]
fn the_mode_that_goes_less_far_counts() -> Outcome {
    let modes = |host: &mut Host| -> Vec<_> { host.run(1).iter().map(|(_, d)| (d.mode, d.action)).collect() };
    let mut host = quarrel(HOG)?;
    host.engine.set_mode(Mode::DryRun);
    let decisions = host.run(6);
    assert_eq!((decisions.len(), decisions[0].1.mode), (1, Mode::DryRun));
    let ann = host.engine.states()[0].clone();
    assert!(ann.wanted.is_none() && !ann.would_be.is_none(), "{ann:?}");
    host.engine.set_mode(Mode::Enforce);
    assert_eq!(modes(&mut host), [(Mode::DryRun, Action::Release), (Mode::Enforce, Action::Set)]);
    host.engine.set_mode(Mode::Off);
    assert_eq!(modes(&mut host), [(Mode::Enforce, Action::Release)]);
    let mut host = quarrel(&hog_with("min_limited = \"20s\"", "mode = \"dry-run\""))?;
    assert!(host.run(30).iter().all(|(_, decision)| decision.mode == Mode::DryRun));
    let mut host = quarrel(&hog_with("min_limited = \"20s\"", "mode = \"off\""))?;
    assert_eq!(actions(&host.run(30)), []);
    Ok(())
}

#[test]
fn overrides_allow_more_to_those_they_name() -> Outcome {
    let text = format!("{HOG}\n[[override]]\nusers = [\"ann\"]\nallowance = 1.6\ncpu_max = 0.8\n");
    let mut host = quarrel(&text)?;
    assert_eq!(actions(&host.run(10)), []);
    host.ann(2.0);
    let decisions = host.run(20);
    assert_eq!(decisions.last().map(|(_, d)| d.order.limits.cpu_max.map(Millicores::get)), Some(Some(800)));
    assert!(
        decisions[0].1.order.cause.reason.contains("over 2.00 times that"),
        "{}",
        decisions[0].1.order.cause.reason
    );
    Ok(())
}

#[test]
fn who_might_be_exempt_by_a_group_is_not_limited_while_groups_are_unknown() -> Outcome {
    let mut host = quarrel(&hog_with("grace = \"0s\"", "grace = \"0s\"\nexempt_groups = [\"staff\"]"))?;
    host.user(20_001, "ann").person.groups = None;
    assert_eq!(actions(&host.run(10)), []);
    host.user(20_001, "ann").person.groups = Some([60].into());
    assert_eq!(actions(&host.run(6)), [(15, 20_001, Action::Set)]);
    host.user(20_001, "ann").person.groups = Some([60, 50].into());
    assert_eq!(actions(&host.run(1)), [(16, 20_001, Action::Release)]);
    Ok(())
}

#[test]
fn what_cannot_be_limited_is_named_in_the_reason() -> Outcome {
    let mut host = quarrel(HOG)?;
    host.user(20_001, "ann").outside = Cores(1.5);
    let reason = host.run(6)[0].1.order.cause.reason.clone();
    assert!(reason.ends_with("; 1.50 of these CPUs are used outside of what can be limited"), "{reason}");
    Ok(())
}

#[test]
fn hostile_names_are_harmless_in_reasons() -> Outcome {
    let mut host = quarrel(HOG)?;
    let name = format!("\x1b[2J\n{}", "x".repeat(1000));
    host.user(20_001, "ann").person.name = Some(name.into());
    let reason = host.run(6)[0].1.order.cause.reason.clone();
    assert!(!reason.contains(char::is_control) && reason.len() < 300, "{reason:?}");
    host.user(20_001, "ann").person.name = None;
    Ok(())
}

#[test]
fn what_is_not_measured_neither_fires_nor_keeps_a_limit() -> Outcome {
    let text = BUSY.replace("host_cpu_busy", "cpu_pressure");
    let mut host = Host::new(&text, 2)?;
    host.ann(2.0);
    assert_eq!(actions(&host.run(10)), []);
    host.load.cpu_pressure = Some(0.9);
    assert_eq!(actions(&host.run(5)), [(12, 20_001, Action::Set)]);
    host.load.cpu_pressure = None;
    assert_eq!(actions(&host.run(60)).iter().map(|(_, _, action)| *action).collect::<Vec<_>>(), [Action::Release]);
    Ok(())
}

#[test]
fn states_tell_what_is_made_of_everybody_and_for_how_long() -> Outcome {
    let mut host = quarrel(HOG)?;
    host.run(3);
    let kinds = |host: &Host| -> Vec<_> { host.engine.states().iter().map(|user| user.state.kind()).collect() };
    assert_eq!(kinds(&host), [StateKind::Pending, StateKind::Watched]);
    host.run(3);
    assert_eq!(kinds(&host), [StateKind::Limited, StateKind::Watched]);
    let State::Limited(ann) = host.engine.states()[0].state.clone() else { return Err("not limited".into()) };
    assert_eq!((ann.rule.as_str(), ann.step, ann.steps), ("hog", 1, 3));
    peace(&mut host);
    host.run(100);
    let ann = &host.engine.states()[0];
    assert_eq!(ann.times.get(StateKind::Limited), Duration::from_secs(20));
    assert_eq!(ann.times.get(StateKind::Pending), Duration::from_secs(4));
    assert_eq!(host.engine.times().get(StateKind::Watched), Duration::from_secs(105 + 81));
    host.users.clear();
    host.run(3600 * 6);
    assert_eq!(host.engine.states(), []);
    Ok(())
}

#[test]
fn time_that_goes_back_stands_still() -> Outcome {
    let mut host = quarrel(HOG)?;
    host.run(4);
    host.second = 0;
    assert_eq!(actions(&host.run(4)), []);
    assert_eq!(actions(&host.run(2)).len(), 1);
    Ok(())
}
