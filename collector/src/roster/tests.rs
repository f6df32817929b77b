use std::collections::BTreeMap;

use proptest::{
    prelude::{Just, ProptestConfig, Strategy, prop_assert, prop_assert_eq, prop_oneof, proptest},
    test_runner::TestCaseError,
};

use super::{Counters, Duration, Nanos, Owner, Roster, Row, Rules, Snapshot, Uid, UnixTime};
use crate::snapshot::{Census, Holdings};

const SECOND: u64 = 1_000_000_000;
const ALL: Rules = Rules { most: 100, top: 0, forget_after: None };

/// A host on which every user only uses CPU.
#[derive(Default)]
struct Host {
    now: Nanos,
    users: BTreeMap<Uid, u64>,
    with_tasks: Vec<Uid>,
    /// What users did whom the source has dropped.
    dropped: u64,
    forgotten: Vec<Uid>,
}

impl Host {
    fn work(&mut self, uid: u32, cpu: u64) {
        *self.users.entry(Uid(uid)).or_default() += cpu;
    }

    fn snapshot(&self) -> Snapshot {
        let counters = |cpu| Counters { cpu: Nanos(cpu), ..Counters::default() };
        let row = |(uid, cpu): (&Uid, &u64)| Row { owner: Owner::User(*uid), counters: counters(*cpu) };
        let census = self.with_tasks.iter().map(|uid| (Owner::User(*uid), Holdings::default())).collect();
        Snapshot {
            taken: self.now,
            rows: self.users.iter().map(row).collect(),
            census: Census { taken: self.now, rows: census }.into(),
            ..Snapshot::default()
        }
    }

    /// One round as the sampler has it, a second after the last.
    fn round(&mut self, roster: &mut Roster, rules: Rules) {
        self.now.0 += SECOND;
        let snapshot = self.snapshot();
        roster.update(&snapshot, rules, UnixTime(Nanos(0)));
        for uid in roster.forgettable(rules) {
            assert!(!self.with_tasks.contains(&uid), "{uid} has a task");
            self.dropped += self.users.remove(&uid).unwrap_or_default();
            roster.forget(uid, &snapshot);
            self.forgotten.push(uid);
        }
    }

    fn total(&self) -> u64 {
        self.users.values().sum::<u64>() + self.dropped
    }

    fn shown(&self, roster: &Roster) -> Vec<(Owner, u64)> {
        let snapshot = self.snapshot();
        let rows = roster.shown(&snapshot).rows.unwrap_or(snapshot.rows);
        rows.into_iter().map(|row| (row.owner, row.counters.cpu.0)).collect()
    }
}

#[test]
fn without_rules_everybody_is_shown_as_he_is() {
    let (mut host, mut roster) = (Host::default(), Roster::default());
    host.work(1, 10);
    host.work(2, 20);
    host.round(&mut roster, ALL);
    assert!(roster.shown(&host.snapshot()).rows.is_none());
    assert_eq!(host.shown(&roster), [(Owner::User(Uid(1)), 10), (Owner::User(Uid(2)), 20)]);
}

#[test]
fn the_busiest_are_shown_and_the_others_together() {
    let (mut host, mut roster) = (Host::default(), Roster::default());
    let rules = Rules { top: 1, ..ALL };
    host.round(&mut roster, rules);
    for _ in 0..3 {
        host.work(1, SECOND / 10);
        host.work(2, SECOND / 2);
        host.work(3, SECOND / 20);
        host.round(&mut roster, rules);
    }
    let owners: Vec<_> = host.shown(&roster).into_iter().map(|(owner, _)| owner).collect();
    assert_eq!(owners, [Owner::User(Uid(2)), Owner::Other]);
}

#[test]
fn who_is_gone_for_too_long_is_forgotten_and_only_the_total_remembers() {
    let (mut host, mut roster) = (Host::default(), Roster::default());
    let rules = Rules { forget_after: Some(Duration::from_secs(3)), ..ALL };
    host.work(1, 10);
    host.work(2, 20);
    host.with_tasks = vec![Uid(2)];
    for _ in 0..4 {
        host.round(&mut roster, rules);
        assert_eq!(host.shown(&roster).len(), 2);
    }
    host.round(&mut roster, rules);
    assert_eq!(host.shown(&roster), [(Owner::User(Uid(2)), 20)]);
    assert_eq!(roster.shown(&host.snapshot()).cpu, Nanos(30));
    host.work(1, 5);
    host.round(&mut roster, rules);
    assert_eq!(host.shown(&roster), [(Owner::User(Uid(1)), 5), (Owner::User(Uid(2)), 20)]);
    assert_eq!(roster.shown(&host.snapshot()).cpu, Nanos(35));
}

#[test]
fn when_there_are_too_many_the_longest_gone_is_forgotten_first() {
    let (mut host, mut roster) = (Host::default(), Roster::default());
    let rules = Rules { most: 2, ..ALL };
    for uid in 1..=4 {
        host.work(uid, u64::from(uid));
        host.round(&mut roster, rules);
    }
    assert_eq!(host.shown(&roster), [(Owner::User(Uid(3)), 3), (Owner::User(Uid(4)), 4)]);
}

#[test]
fn a_little_more_use_does_not_take_a_place() {
    let (mut host, mut roster) = (Host::default(), Roster::default());
    let rules = Rules { top: 1, ..ALL };
    for round in 0..60 {
        host.work(1, SECOND / 2);
        // As busy on average, one second a little more, the next a little less.
        host.work(2, if round % 2 == 0 { SECOND * 55 / 100 } else { SECOND * 45 / 100 });
        host.round(&mut roster, rules);
        if round > 0 {
            assert_eq!(host.shown(&roster)[0].0, Owner::User(Uid(1)), "round {round}");
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Work(u32, u64),
    Tasks(Vec<u32>),
    Rules(Rules),
    Round,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let rules = (1usize..8, 0usize..5, proptest::option::of(1u64..6)).prop_map(|(most, top, forget)| {
        Step::Rules(Rules { most, top, forget_after: forget.map(Duration::from_secs) })
    });
    let step = prop_oneof![
        6 => (0u32..8, 0..SECOND).prop_map(|(uid, cpu)| Step::Work(uid, cpu)),
        1 => proptest::collection::vec(0u32..8, 0..4).prop_map(Step::Tasks),
        1 => rules,
        4 => Just(Step::Round),
    ];
    proptest::collection::vec(step, 0..120)
}

/// What has been on the page.
#[derive(Default)]
struct Seen {
    /// The last value of each series that is there, or can come back.
    last: BTreeMap<Owner, u64>,
    /// What series counted that ended for good.
    ended: u64,
}

impl Seen {
    fn check(&mut self, host: &mut Host, roster: &Roster) -> Result<(), TestCaseError> {
        for uid in host.forgotten.drain(..) {
            self.ended += self.last.remove(&Owner::User(uid)).unwrap_or_default();
        }
        let shown = host.shown(roster);
        prop_assert!(shown.is_sorted_by_key(|(owner, _)| *owner));
        for (owner, cpu) in shown {
            let before = self.last.insert(owner, cpu).unwrap_or_default();
            prop_assert!(cpu >= before, "{:?} went from {} to {}", owner, before, cpu);
        }
        prop_assert_eq!(self.last.values().sum::<u64>() + self.ended, host.total());
        prop_assert_eq!(roster.shown(&host.snapshot()).cpu.0, host.total());
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn no_series_ever_goes_down_and_everything_done_is_in_one(steps in steps()) {
        let (mut host, mut roster, mut rules) = (Host::default(), Roster::default(), ALL);
        let mut seen = Seen::default();
        // As the sampler does: before anything is shown, the roster knows the rules.
        host.round(&mut roster, rules);
        for step in steps {
            match step {
                Step::Work(uid, cpu) => host.work(uid, cpu),
                Step::Tasks(uids) => {
                    host.with_tasks = uids.into_iter().map(Uid).collect();
                    host.with_tasks.sort_unstable();
                    host.with_tasks.dedup();
                    for uid in host.with_tasks.clone() {
                        host.work(uid.0, 0);
                    }
                }
                Step::Rules(new) => rules = new,
                Step::Round => host.round(&mut roster, rules),
            }
            seen.check(&mut host, &roster)?;
        }
    }
}
