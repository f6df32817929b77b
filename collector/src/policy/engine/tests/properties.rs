//! What holds whatever is measured.

use std::{collections::BTreeMap, sync::Arc};

use proptest::prelude::{Just, Strategy, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};
use proptest::test_runner::TestCaseError;

use super::{
    super::{
        super::tests::{HOG, person, policy},
        Action, Decision, Engine,
    },
    hog_with,
};
use crate::{
    config::Mode,
    limits::Limits,
    policy::{Clock, HostLoad, Observation, Policy, UserLoad},
    units::{Bytes, Cores, Nanos, Uid, UnixTime},
};

/// Root, a service, two people of whom one is exempt, one of a directory, one of systemd's, nobody, and no user.
const UIDS: [u32; 8] = [0, 999, 20_001, 20_002, 4_294_900_000, 61_184, 65_534, u32::MAX];
const EXEMPT: u32 = 20_002;

const MEMORY: &str = r#"
time_zone = "UTC"
[users]
grace = "3s"
exempt_users = ["bob"]
[floors]
memory = "300MiB"
memory_margin = "10MiB"
[[rule]]
name = "everything"
min_limited = "9s"
step_after = "3s"
relax_after = "7s"
[rule.when]
user_memory = { above = "40%", for = "2s", release_below = "30%", release_for = "4s" }
user_write_rate = { above = "10MiB/s", for = "2s", release_below = "5MiB/s", release_for = "4s" }
[[rule.step]]
memory_high = "20%"
io_weight = 50
[[rule.step]]
memory_high = "10%"
memory_max = "30%"
io_read = "5MiB/s"
io_write = "5MiB/s"
"#;

/// Policies of one rule, so that its durations can be told from outside.
fn texts() -> Vec<String> {
    let exempt = "grace = \"2s\"\nexempt_users = [\"bob\"]";
    let busy = "host_cpu_busy = { above = \"60%\", for = \"3s\", release_below = \"40%\", release_for = \"6s\" }";
    let hog = hog_with("grace = \"0s\"", exempt);
    let own = "user_cpu_fair_shares = {";
    let harmless = hog.replace("victim_wait_p99 = { above = \"10ms\", for = \"5s\", release_below = \"5ms\" }", busy);
    let available = format!("memory_available = {{ below = \"30%\", for = \"2s\", release_above = \"50%\" }}\n{own}");
    vec![hog.clone(), harmless, hog.replace(own, &available), MEMORY.into()]
}

fn amount() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => Just(0.0),
        6 => 0.0..3.0,
        2 => Just(100.0),
        1 => prop_oneof![Just(f64::NAN), Just(f64::INFINITY), Just(-1.0), Just(f64::MAX), Just(f64::MIN_POSITIVE)],
    ]
}

fn bytes() -> impl Strategy<Value = Bytes> {
    prop_oneof![Just(Bytes(0)), (0_u64..16 << 30).prop_map(Bytes), Just(Bytes(u64::MAX)), Just(Bytes(12 << 30))]
}

fn user() -> impl Strategy<Value = UserLoad> {
    let wait =
        prop_oneof![Just(None), (0_u64..100_000_000).prop_map(|ns| Some(Nanos(ns))), Just(Some(Nanos(u64::MAX)))];
    (prop::sample::select(&UIDS[..]), [amount(), amount(), amount()], wait, bytes(), bytes()).prop_map(
        |(uid, [cpu, outside, waiting], wait_p99, memory, write_rate)| UserLoad {
            person: person(uid, "somebody", &[]),
            cpu: Cores(cpu),
            outside: Cores(outside),
            waiting: Cores(waiting),
            wait_p99,
            memory,
            write_rate,
        },
    )
}

/// Milliseconds until then, for how many times it is repeated, and what.
fn step() -> impl Strategy<Value = (u64, usize, Observation)> {
    let cpus = prop_oneof![8 => Just(2_u32), 1 => Just(0), 1 => Just(128), 1 => Just(u32::MAX)];
    let total = prop_oneof![8 => Just(Bytes(16 << 30)), 1 => Just(Bytes(0)), 1 => Just(Bytes(u64::MAX))];
    let host = (cpus, amount(), prop::option::of(amount()), total, bytes()).prop_map(
        |(cpus, busy, pressure, memory_total, memory_available)| HostLoad {
            cpus,
            busy: Cores(busy),
            cpu_pressure: pressure,
            memory_pressure: pressure,
            io_pressure: pressure,
            memory_total,
            memory_available,
        },
    );
    let gap = prop_oneof![9 => 100_u64..2000, 1 => 0_u64..100_000, 1 => Just(u64::MAX / 4_000_000)];
    (gap, 1_usize..9, host, prop::collection::vec(user(), 0..7))
        .prop_map(|(gap, times, host, users)| (gap, times, Observation { host, users }))
}

fn course() -> impl Strategy<Value = Vec<(u64, usize, Observation)>> {
    prop::collection::vec(step(), 1..25)
}

/// An engine and its clock.
struct Run {
    engine: Engine,
    now: Nanos,
}

impl Run {
    fn new(policy: &Arc<Policy>) -> Self {
        let mut engine = Engine::new(Arc::clone(policy));
        engine.set_mode(Mode::Enforce);
        Self { engine, now: Nanos(0) }
    }

    fn evaluate(&mut self, milliseconds: u64, observation: &Observation) -> Vec<Decision> {
        self.now = Nanos(self.now.0.saturating_add(milliseconds.saturating_mul(1_000_000)));
        let clock = Clock { monotonic: self.now, wall: UnixTime(self.now) };
        self.engine.evaluate(observation, &clock).decisions
    }
}

/// What is in force, since when, and when it last changed or ended.
#[derive(Default)]
struct Known {
    limits: Limits,
    set: Nanos,
    changed: Nanos,
    released: Option<Nanos>,
}

/// Decisions agree with one another, with the floors, with the durations of the only rule, and with what is permitted.
fn check(
    policy: &Policy,
    observation: &Observation,
    decision: &Decision,
    now: Nanos,
    known: &mut BTreeMap<Uid, Known>,
) -> Result<(), TestCaseError> {
    let Decision { order, action, .. } = decision;
    let (limits, uid, rule) = (order.limits, order.uid, &policy.rules()[0]);
    prop_assert!(![0, 999, 61_184, 65_534, u32::MAX, EXEMPT].contains(&uid.0), "{decision:?}");
    prop_assert!(!order.cause.reason.is_empty() && !order.cause.reason.contains(char::is_control));
    prop_assert_eq!(policy.permits(order, &person(uid.0, "somebody", &[])), Ok(()));
    for weight in [limits.cpu_weight, limits.io_weight].into_iter().flatten() {
        prop_assert!((5..=100).contains(&weight.get()), "{decision:?}");
    }
    prop_assert!(limits.cpu_max.is_none_or(|max| max >= policy.floors.cpu_max), "{decision:?}");
    let before = known.entry(uid).or_default();
    let used = observation.users.iter().find(|user| user.person.uid == uid).map_or(Bytes(0), |user| user.memory);
    let least = Bytes(used.0.saturating_add(policy.floors.memory_margin.0)).max(policy.floors.memory);
    for (was, is) in [(before.limits.memory_high, limits.memory_high), (before.limits.memory_max, limits.memory_max)] {
        prop_assert!(is == was || is.is_none_or(|bytes| bytes >= least), "{decision:?} under {least:?}");
    }
    if let Some(max) = limits.memory_max {
        prop_assert!(limits.memory_high.is_some_and(|high| high <= max), "{decision:?}");
    }
    let since = |moment: Nanos| std::time::Duration::from_nanos(now.0 - moment.0);
    prop_assert_eq!(*action == Action::Set, before.limits.is_none());
    prop_assert_eq!(*action == Action::Release, limits.is_none());
    match action {
        Action::Set => {
            let hold = rule.when.iter().map(|condition| condition.hold).max().unwrap_or_default();
            let own = rule.when.last().map(|condition| condition.hold).unwrap_or_default();
            prop_assert!(since(Nanos(0)) >= hold, "{decision:?}");
            prop_assert!(before.released.is_none_or(|released| since(released) >= own), "{decision:?}");
            before.set = now;
        }
        Action::Release => {
            prop_assert!(since(before.set) >= rule.min_limited, "{decision:?} after {:?}", since(before.set));
            before.released = Some(now);
        }
        Action::Tighten => prop_assert!(since(before.changed) >= rule.step_after, "{decision:?}"),
        Action::Relax => {
            // A step on may have to leave more memory, where more has come to be in use.
            let step_on = limits.memory_high > before.limits.memory_high;
            let least = if step_on { rule.step_after } else { rule.relax_after };
            prop_assert!(since(before.changed) >= least, "{decision:?}");
        }
    }
    (before.limits, before.changed) = (limits, now);
    Ok(())
}

proptest! {
    #[test]
    fn decisions_keep_to_people_floors_and_durations(course in course(), which in 0..texts().len()) {
        let policy = Arc::new(policy(&texts()[which]).map_err(TestCaseError::fail)?);
        let (mut run, mut known) = (Run::new(&policy), BTreeMap::new());
        for (gap, times, observation) in &course {
            for _ in 0..*times {
                for decision in run.evaluate(*gap, observation) {
                    check(&policy, observation, &decision, run.now, &mut known)?;
                }
            }
        }
    }

    #[test]
    fn on_a_quiet_host_everything_is_released_in_bounded_time(course in course(), which in 0..texts().len()) {
        let policy = Arc::new(policy(&texts()[which]).map_err(TestCaseError::fail)?);
        let mut run = Run::new(&policy);
        for (gap, times, observation) in course.iter().map(|(gap, times, observation)| (gap % 100_000, times, observation)) {
            for _ in 0..*times {
                run.evaluate(gap, observation);
            }
        }
        let host = HostLoad { cpus: 2, memory_total: Bytes(1), memory_available: Bytes(1), ..HostLoad::default() };
        let quiet = Observation { host, users: Vec::new() };
        // The longest that a limit can last once nobody gives cause: five offences at most prolong it, each by once.
        let bound = 6 * policy.rules()[0].min_limited.as_secs() + 20;
        for _ in 0..bound {
            run.evaluate(1000, &quiet);
        }
        let left: Vec<_> = run.engine.states().into_iter().filter(|user| !user.wanted.is_none()).collect();
        prop_assert!(left.is_empty(), "{left:?}");
    }

    #[test]
    fn equal_input_gives_equal_output_in_whatever_order_users_stand(course in course(), which in 0..texts().len()) {
        let policy = Arc::new(policy(&texts()[which]).map_err(TestCaseError::fail)?);
        let (mut one, mut other) = (Run::new(&policy), Run::new(&policy));
        for (gap, times, observation) in &course {
            let mut observation = observation.clone();
            observation.users.sort_by_key(|user| user.person.uid);
            observation.users.dedup_by_key(|user| user.person.uid);
            let mut reversed = observation.clone();
            reversed.users.reverse();
            for _ in 0..*times {
                let (first, second) = (one.evaluate(*gap, &observation), other.evaluate(*gap, &reversed));
                prop_assert_eq!(first, second);
            }
        }
        prop_assert_eq!(one.engine.states(), other.engine.states());
    }

    #[test]
    fn whatever_administrators_and_reloads_do_nobody_is_limited_who_cannot_be(
        course in course(), acts in prop::collection::vec((0..6_u8, prop::sample::select(&UIDS[..])), 25), seed in any::<u8>(),
    ) {
        let texts = texts();
        let policies: Vec<_> = texts.iter().filter_map(|text| policy(text).ok()).map(Arc::new).collect();
        prop_assert_eq!(policies.len(), texts.len());
        let mut run = Run::new(&policies[usize::from(seed) % policies.len()]);
        for ((gap, times, observation), (act, uid)) in course.iter().zip(acts) {
            match act {
                0 => run.engine.hold(Uid(uid)),
                1 => run.engine.release(Uid(uid), std::time::Duration::from_secs(3)),
                2 => run.engine.set_mode(Mode::ALL[usize::from(seed) % 3]),
                3 => run.engine.set_mode(Mode::Enforce),
                4 => run.engine.set_policy(Arc::clone(&policies[uid as usize % policies.len()])),
                _ => {}
            }
            for _ in 0..*times {
                for decision in run.evaluate(*gap, observation) {
                    let uid = decision.order.uid.0;
                    prop_assert!([20_001, 4_294_900_000].contains(&uid), "{:?}", decision);
                }
            }
        }
        // Nobody stays limited once limits are off, held or not.
        run.engine.set_mode(Mode::Off);
        run.evaluate(1, &Observation::default());
        let states = run.engine.states();
        prop_assert!(states.iter().all(|user| user.would_be.is_none()), "{:?}", states);
    }

    #[test]
    fn no_file_makes_the_parser_fall(text in "[a-z_.\\[\\]=\"#\n ,{}0-9%-]{0,200}") {
        let _ = policy(&text).map_err(|said| assert!(!said.is_empty()));
    }

    #[test]
    fn no_mangled_policy_makes_the_parser_fall(
        at in 0..HOG.len(), cut in 0_usize..40, insert in "[\\[\\]='\"#\n,{}a-z0-9_.%-]{0,8}",
    ) {
        let mut text: Vec<u8> = HOG.into();
        let end = (at + cut).min(text.len());
        text.splice(at..end, insert.bytes());
        if let Err(said) = policy(&String::from_utf8_lossy(&text)) {
            assert!(said.lines().all(|line| line.starts_with("FILE:") || line.starts_with("and ")), "{said}");
        }
    }
}
