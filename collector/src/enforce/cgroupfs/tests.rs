//! The driver and the keeper over a kernel in memory.

use std::{
    cell::{Cell, RefCell},
    path::{Path, PathBuf},
    rc::Rc,
    time::{Duration, Instant},
};

use super::{
    Cgroupfs,
    fake::{FakeStore, Kernel, Life, ROOT, State},
};
use crate::{
    enforce::{Outcome, driver::Kind, event::Deed, journal::Journal, keeper::Keeper},
    limits::{Cause, Limits, Millicores, Order, Weight},
    units::{Bytes, Uid},
};

const UID: Uid = Uid(20_001);
/// What a test returns.
pub(in crate::enforce) type Done = Result<(), Box<dyn std::error::Error>>;

pub(in crate::enforce) const LEASE: Duration = Duration::from_secs(10);

/// A host with two users' processes in two groups, and whatever outlives an enforcer.
pub(in crate::enforce) struct Host {
    kernel: Kernel,
    journal: Rc<RefCell<Vec<u8>>>,
    room: Rc<Cell<usize>>,
    pub(in crate::enforce) now: Instant,
}

impl Host {
    pub(in crate::enforce) fn new() -> std::io::Result<Self> {
        let kernel = Kernel::new();
        let service = kernel.group("service")?;
        let logins = kernel.group("logins")?;
        kernel.start(1, 0, 0, Path::new(ROOT));
        kernel.start(11, 20_001, 1, &service);
        kernel.start(12, 20_001, 1, &logins);
        kernel.start(13, 20_001, 12, Path::new(ROOT));
        kernel.start(21, 20_002, 1, &logins);
        Ok(Self { kernel, journal: Rc::default(), room: Rc::new(Cell::new(usize::MAX)), now: Instant::now() })
    }

    fn root(root: &str) -> Kind {
        Kind::Cgroupfs { root: root.into() }
    }

    /// An enforcer that dies after so many steps.
    pub(in crate::enforce) fn enforcer(&self, steps: usize) -> Result<(Keeper, Life), String> {
        self.enforcer_below(steps, ROOT)
    }

    fn enforcer_below(&self, steps: usize, root: &str) -> Result<(Keeper, Life), String> {
        let kernel = self.kernel.living(steps);
        let life = kernel.life.clone();
        let store = FakeStore { room: Rc::clone(&self.room), ..FakeStore::new(&self.journal, &life) };
        let bytes = self.journal.borrow().clone();
        let (journal, legacy) = Journal::over(Box::new(store), "journal".into(), "boot", Self::root(root), &bytes);
        let driver = Cgroupfs::open(kernel, Path::new(root))?;
        Ok((Keeper::new(Box::new(driver), journal, legacy, LEASE, self.now), life))
    }

    /// What `uidmeter release` does; tells how many steps it took.
    fn release(&self) -> Result<usize, String> {
        let (mut keeper, life) = self.enforcer(usize::MAX)?;
        keeper.tick(self.now);
        assert_eq!(keeper.owed().count(), 0, "{:?}", keeper.events());
        Ok(usize::MAX - life.left())
    }

    pub(in crate::enforce) fn state(&self) -> State {
        self.kernel.state.borrow().clone()
    }

    fn file(&self, path: &str) -> String {
        let path = Path::new(ROOT).join(path);
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        self.state().groups[path.parent().unwrap_or(&path)].files[name].clone()
    }
}

pub(in crate::enforce) fn limits() -> Limits {
    Limits {
        cpu_weight: Weight::new(20),
        cpu_max: Millicores::new(1_500),
        memory_high: Some(Bytes(1 << 30)),
        memory_max: Some(Bytes(2 << 30)),
        io_weight: Weight::new(10),
        io_read: Some(Bytes(1 << 20)),
        io_write: Some(Bytes(2 << 20)),
    }
}

pub(in crate::enforce) fn order(uid: Uid, limits: Limits) -> Order {
    Order { uid, limits, cause: Cause { rule: "hogs".into(), reason: "16 cores of 2".into() } }
}

fn applied(outcome: &Outcome) -> (PathBuf, Limits, bool) {
    match outcome {
        Outcome::Applied { group, in_force, changed } => (group.clone(), *in_force, *changed),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_ordered_is_what_the_kernel_says_and_clearing_leaves_no_trace() -> Done {
    let host = Host::new()?;
    let before = host.state();
    let (mut keeper, _) = host.enforcer(usize::MAX)?;
    let outcome = keeper.set(&order(UID, limits()), host.now);
    assert_eq!(applied(&outcome), ("/cg/uidmeter-20001".into(), limits(), true));
    assert_eq!(host.file("uidmeter-20001/cpu.max"), "150000 100000");
    assert_eq!(host.file("uidmeter-20001/io.max"), "8:0 rbps=1048576 wbps=2097152\n8:16 rbps=1048576 wbps=2097152");
    for (pid, place) in [(11, "/cg/uidmeter-20001"), (13, "/cg/uidmeter-20001"), (1, "/cg"), (21, "/cg/logins")] {
        assert_eq!(host.kernel.place_of(pid), Path::new(place), "process {pid}");
    }
    assert_eq!(keeper.clear(UID, None), Outcome::Cleared { changed: true });
    assert_eq!(host.state(), before);
    assert!(host.journal.borrow().is_empty());
    assert_eq!(keeper.clear(UID, None), Outcome::Cleared { changed: false });
    Ok(())
}

#[test]
fn writes_happen_only_on_change() -> Done {
    let host = Host::new()?;
    let (mut keeper, life) = host.enforcer(usize::MAX)?;
    keeper.set(&order(UID, limits()), host.now);
    let after = life.left();
    let outcome = keeper.set(&order(UID, limits()), host.now);
    assert!(!applied(&outcome).2);
    assert!(keeper.renew(None, host.now).is_empty());
    assert_eq!(life.left(), after, "the same again takes no step");
    let less = Limits { cpu_max: Millicores::new(1_000), ..limits() };
    keeper.set(&order(UID, less), host.now);
    assert_eq!(after - life.left(), 2, "one record, one write");
    Ok(())
}

#[test]
fn death_at_any_step_leaves_nothing_that_the_next_start_does_not_undo() -> Done {
    let gentle = Limits { cpu_weight: Weight::new(50), cpu_max: Millicores::new(3_000), ..Limits::default() };
    let mut deaths = 0;
    for steps in 0..400 {
        let host = Host::new()?;
        let before = host.state();
        let (mut keeper, life) = host.enforcer(steps)?;
        keeper.set(&order(UID, gentle), host.now);
        keeper.set(&order(UID, limits()), host.now);
        keeper.set(&order(Uid(20_002), limits()), host.now);
        keeper.set(&order(UID, gentle), host.now);
        keeper.clear(UID, None);
        keeper.clear(Uid(20_002), None);
        let survived = life.left() > 0;
        drop(keeper);
        host.release()?;
        assert_eq!(host.state(), before, "died after {steps} steps");
        assert_eq!(host.release()?, 0, "twice changes nothing more, after {steps} steps");
        if survived {
            break;
        }
        deaths += 1;
    }
    assert!((50..400).contains(&deaths), "{deaths}");
    Ok(())
}

#[test]
fn death_while_undoing_is_undone_by_the_next() -> Done {
    let host = Host::new()?;
    let before = host.state();
    for steps in 0..100 {
        let host = Host::new()?;
        host.enforcer(usize::MAX)?.0.set(&order(UID, limits()), host.now);
        host.enforcer(steps)?.0.tick(host.now);
        host.release()?;
        assert_eq!(
            host.state().processes.values().map(|(_, place)| place.clone()).collect::<Vec<_>>(),
            before.processes.values().map(|(_, place)| place.clone()).collect::<Vec<_>>()
        );
        assert_eq!(host.state().groups, before.groups, "died after {steps} steps of undoing");
    }
    Ok(())
}

#[test]
fn a_journal_cut_at_any_byte_leaves_nothing_limited() -> Done {
    let host = Host::new()?;
    host.enforcer(usize::MAX)?.0.set(&order(UID, limits()), host.now);
    let whole = host.journal.borrow().len();
    // The disk is full at this byte: what does not fit is not done.
    for cut in 0..=whole {
        let host = Host::new()?;
        let before = host.state();
        host.room.set(cut);
        let (mut keeper, _) = host.enforcer(usize::MAX)?;
        let outcome = keeper.set(&order(UID, limits()), host.now);
        if cut < whole {
            assert!(
                matches!(&outcome, Outcome::Failed { why } if why.contains("nothing is limited")),
                "{cut}: {outcome:?}"
            );
            assert_eq!(
                host.state().groups.get(Path::new("/cg/uidmeter-20001")),
                None,
                "never a half state, at byte {cut}"
            );
        }
        drop(keeper);
        host.room.set(usize::MAX);
        host.release()?;
        assert_eq!(host.state(), before, "cut at byte {cut}");
    }
    Ok(())
}

#[test]
fn what_somebody_else_has_set_stays() -> Done {
    let host = Host::new()?;
    let (mut keeper, _) = host.enforcer(usize::MAX)?;
    keeper.set(&order(UID, limits()), host.now);
    host.kernel.admin(Path::new("/cg/uidmeter-20001/cpu.weight"), "77")?;
    let lost = keeper.renew(None, host.now);
    assert!(matches!(&lost[..], [(UID, Outcome::Abandoned { why })] if why.contains("cpu.weight=77")), "{lost:?}");
    let again = keeper.set(&order(UID, limits()), host.now);
    assert!(matches!(again, Outcome::Abandoned { .. }), "not fought: {again:?}");
    assert!(keeper.events().iter().any(|event| event.deed == Deed::Abandon));
    keeper.clear(UID, None);
    assert!(applied(&keeper.set(&order(UID, limits()), host.now)).2, "cleared, he can be limited again");
    Ok(())
}

#[test]
fn an_admins_own_group_keeps_its_values_after_a_crash() -> Done {
    let host = Host::new()?;
    host.kernel.admin(&Path::new(ROOT).join("cgroup.subtree_control"), "+cpu")?;
    host.kernel.admin(&Path::new(ROOT).join("cgroup.subtree_control"), "+memory")?;
    host.kernel.admin(&Path::new(ROOT).join("cgroup.subtree_control"), "+io")?;
    let own = host.kernel.group("uidmeter-20001")?;
    host.kernel.admin(&own.join("cpu.max"), "500000 200000")?;
    host.kernel.admin(&own.join("cpu.max.burst"), "200000")?;
    host.kernel.admin(&own.join("memory.high"), "4096")?;
    let before = host.state();
    let (mut keeper, _) = host.enforcer(usize::MAX)?;
    let outcome = keeper.set(&order(UID, limits()), host.now);
    assert_eq!(applied(&outcome).1.memory_high, Some(Bytes(4096)), "a stricter value stays");
    assert_eq!(host.file("uidmeter-20001/cpu.max.burst"), "0");
    drop(keeper);
    host.release()?;
    assert_eq!(host.state(), before);
    Ok(())
}

#[test]
fn a_lease_that_nobody_renews_ends() -> Done {
    let host = Host::new()?;
    let before = host.state();
    let (mut keeper, _) = host.enforcer(usize::MAX)?;
    keeper.set(&order(UID, limits()), host.now);
    keeper.set(&order(Uid(20_002), limits()), host.now);
    let later = host.now + Duration::from_millis(9_999);
    assert!(keeper.renew(Some(&[UID]), later).is_empty());
    assert_eq!(keeper.next_due(), Some(host.now + LEASE));
    keeper.tick(host.now + LEASE);
    assert_eq!(keeper.limited().map(|(uid, _)| uid).collect::<Vec<_>>(), [UID]);
    keeper.tick(later + LEASE);
    assert_eq!(host.state(), before);
    let lost = keeper.renew(Some(&[UID]), later + LEASE);
    assert!(matches!(&lost[..], [(UID, Outcome::Failed { why })] if why.contains("lease ended")), "{lost:?}");
    Ok(())
}

#[test]
fn what_cannot_be_given_back_is_tried_again() -> Done {
    let host = Host::new()?;
    let before = host.state();
    let (mut keeper, _) = host.enforcer(usize::MAX)?;
    keeper.set(&order(UID, limits()), host.now);
    host.kernel.refuses.borrow_mut().insert("memory.max".into(), libc::EIO);
    assert!(matches!(keeper.clear(UID, None), Outcome::Failed { .. }));
    assert_eq!(host.file("uidmeter-20001/cpu.max"), "max 100000", "the others are given back");
    assert_eq!(keeper.owed().collect::<Vec<_>>(), [UID]);
    keeper.events();
    for second in 0..5 {
        keeper.tick(host.now + LEASE + Duration::from_secs(second));
    }
    assert!(keeper.events().is_empty(), "told once");
    host.kernel.refuses.borrow_mut().clear();
    keeper.tick(host.now + LEASE * 2);
    assert_eq!(host.state(), before);
    Ok(())
}

#[test]
fn a_write_that_fails_leaves_what_was_before_and_says_why() -> Done {
    for (file, number, says) in [
        ("memory.max", libc::EBUSY, "EBUSY"),
        ("memory.max", libc::EINVAL, "EINVAL"),
        ("cpu.max", libc::EPERM, "must be root"),
        ("io.max", libc::ENODEV, "no such device"),
        ("memory.high", libc::EIO, "Input/output error"),
    ] {
        let host = Host::new()?;
        let before = host.state();
        let (mut keeper, _) = host.enforcer(usize::MAX)?;
        host.kernel.refuses.borrow_mut().insert(file.into(), number);
        let outcome = keeper.set(&order(UID, limits()), host.now);
        assert!(matches!(&outcome, Outcome::Failed { why } if why.contains(says)), "{outcome:?}");
        assert_eq!(host.state(), before, "{file}");
        // A tighter order that fails leaves the one that is in force.
        host.kernel.refuses.borrow_mut().clear();
        let first = Limits { cpu_weight: Weight::new(50), ..Limits::default() };
        keeper.set(&order(UID, first), host.now);
        host.kernel.refuses.borrow_mut().insert(file.into(), number);
        keeper.set(&order(UID, limits()), host.now);
        host.kernel.refuses.borrow_mut().clear();
        assert_eq!(host.file("uidmeter-20001/cpu.weight"), "50");
        assert_eq!(host.file("uidmeter-20001/memory.high"), "max");
        assert!(keeper.renew(None, host.now).is_empty());
        keeper.clear(UID, None);
        assert_eq!(host.state(), before, "{file}");
    }
    Ok(())
}

#[test]
fn a_write_that_does_nothing_is_no_success() -> Done {
    let host = Host::new()?;
    let before = host.state();
    let (mut keeper, _) = host.enforcer(usize::MAX)?;
    host.kernel.swallows.borrow_mut().insert("memory.high".into());
    let outcome = keeper.set(&order(UID, limits()), host.now);
    assert!(matches!(&outcome, Outcome::Failed { why } if why.contains("memory.high")), "{outcome:?}");
    assert_eq!(host.state(), before);
    // What only seems to be given back is not forgotten.
    host.kernel.swallows.borrow_mut().clear();
    keeper.set(&order(UID, limits()), host.now);
    host.kernel.swallows.borrow_mut().insert("memory.high".into());
    assert!(matches!(keeper.clear(UID, None), Outcome::Failed { .. }));
    assert_eq!(keeper.owed().collect::<Vec<_>>(), [UID]);
    host.kernel.swallows.borrow_mut().clear();
    keeper.tick(host.now + LEASE);
    assert_eq!(host.state(), before);
    Ok(())
}

#[test]
fn a_burst_is_lowered_before_its_quota_and_raised_after_it() -> Done {
    let host = Host::new()?;
    let own = host.kernel.group("uidmeter-20001")?;
    host.kernel.admin(&Path::new(ROOT).join("cgroup.subtree_control"), "+cpu")?;
    host.kernel.admin(&own.join("cpu.max"), "300000 100000")?;
    host.kernel.admin(&own.join("cpu.max.burst"), "250000")?;
    let before = host.state();
    let (mut keeper, _) = host.enforcer(usize::MAX)?;
    let limit = Limits { cpu_max: Millicores::new(1_500), ..Limits::default() };
    applied(&keeper.set(&order(UID, limit), host.now));
    assert_eq!(host.file("uidmeter-20001/cpu.max"), "150000 100000");
    assert_eq!(host.file("uidmeter-20001/cpu.max.burst"), "0");
    assert_eq!(keeper.clear(UID, None), Outcome::Cleared { changed: true });
    assert_eq!(host.state(), before);
    Ok(())
}

#[test]
fn a_group_that_vanishes_is_made_anew_or_forgotten() -> Done {
    let host = Host::new()?;
    let before = host.state();
    let (mut keeper, _) = host.enforcer(usize::MAX)?;
    keeper.set(&order(UID, limits()), host.now);
    for pid in [11, 12, 13] {
        host.kernel.admin(Path::new("/cg/logins/cgroup.procs"), &pid.to_string())?;
    }
    host.kernel.state.borrow_mut().groups.remove(Path::new("/cg/uidmeter-20001"));
    assert!(keeper.renew(None, host.now).is_empty());
    assert_eq!(host.file("uidmeter-20001/cpu.max"), "150000 100000", "limited again");
    assert_eq!(host.kernel.place_of(11), Path::new("/cg/uidmeter-20001"));
    for pid in [11, 12, 13] {
        host.kernel.admin(Path::new("/cg/logins/cgroup.procs"), &pid.to_string())?;
    }
    host.kernel.state.borrow_mut().groups.remove(Path::new("/cg/uidmeter-20001"));
    assert!(matches!(keeper.clear(UID, None), Outcome::Cleared { .. }));
    assert_eq!(host.state().groups, before.groups);
    Ok(())
}

#[test]
fn a_fork_storm_ends_up_inside_and_later_logins_follow() -> Done {
    let host = Host::new()?;
    host.kernel.storm.set(30);
    let (mut keeper, _) = host.enforcer(usize::MAX)?;
    let outcome = keeper.set(&order(UID, limits()), host.now);
    applied(&outcome);
    let outside = |host: &Host| {
        let state = host.state();
        let outside = |(process, place): &&(_, PathBuf)| {
            let process: &super::host::Process = process;
            process.uid == UID && place != Path::new("/cg/uidmeter-20001")
        };
        state.processes.values().filter(outside).count()
    };
    assert_eq!(outside(&host), 0);
    host.kernel.start(90, 20_001, 1, Path::new("/cg/logins"));
    assert_eq!(outside(&host), 1);
    assert!(keeper.renew(None, host.now).is_empty());
    assert_eq!(outside(&host), 0);
    // Who never stops forking outside is told, not hidden.
    host.kernel.storm.set(100_000);
    host.kernel.start(91, 20_001, 1, Path::new("/cg/logins"));
    let lost = keeper.renew(None, host.now);
    assert!(matches!(&lost[..], [(UID, Outcome::Failed { why })] if why.contains("still outside")), "{lost:?}");
    host.kernel.storm.set(0);
    keeper.clear(UID, None);
    assert_eq!(host.kernel.place_of(90), Path::new("/cg/logins"));
    assert_eq!(host.kernel.place_of(91), Path::new("/cg/logins"));
    Ok(())
}

#[test]
fn a_process_that_becomes_another_users_goes_back() -> Done {
    let host = Host::new()?;
    let (mut keeper, _) = host.enforcer(usize::MAX)?;
    keeper.set(&order(UID, limits()), host.now);
    // A child of a login that was moved, and which became root.
    host.kernel.start(95, 0, 12, Path::new("/cg/uidmeter-20001"));
    keeper.renew(None, host.now);
    assert_eq!(host.kernel.place_of(95), Path::new("/cg/logins"));
    Ok(())
}

#[test]
fn a_delegated_root_is_emptied_while_it_has_groups_and_filled_again() -> Done {
    let host = Host::new()?;
    let root = host.kernel.group("delegated")?;
    for name in ["+cpu", "+memory", "+io"] {
        host.kernel.admin(&Path::new(ROOT).join("cgroup.subtree_control"), name)?;
    }
    host.kernel.start(50, 0, 1, &root);
    host.kernel.start(51, 20_001, 1, &root);
    let before = host.state();
    let (mut keeper, _) = host.enforcer_below(usize::MAX, "/cg/delegated")?;
    let outcome = keeper.set(&order(UID, limits()), host.now);
    assert_eq!(applied(&outcome).0, Path::new("/cg/delegated/uidmeter-20001"));
    assert_eq!(host.kernel.place_of(50), Path::new("/cg/delegated/uidmeter-rest"));
    assert_eq!(host.kernel.place_of(51), Path::new("/cg/delegated/uidmeter-20001"));
    assert_eq!(host.kernel.place_of(11), Path::new("/cg/service"), "what is outside of the root is not ours");
    keeper.clear(UID, None);
    assert_eq!(host.state(), before);
    Ok(())
}

#[test]
fn a_controller_that_others_have_come_to_use_stays() -> Done {
    let host = Host::new()?;
    let (mut keeper, _) = host.enforcer(usize::MAX)?;
    keeper.set(&order(UID, limits()), host.now);
    host.kernel.admin(Path::new("/cg/service/memory.high"), "123")?;
    keeper.clear(UID, None);
    assert_eq!(host.file("service/memory.high"), "123");
    assert_eq!(host.file("cgroup.subtree_control"), "memory");
    Ok(())
}

#[test]
fn cgroup_v1_is_monitor_only_and_said_so() -> Done {
    let host = Host::new()?;
    let open = |root: &str| Cgroupfs::open(host.kernel.clone(), Path::new(root)).err().unwrap_or_default();
    assert!(open("/sys/fs/cgroup").contains("no cgroup of version 2"));
    if let Some(root) = host.kernel.state.borrow_mut().groups.get_mut(Path::new(ROOT)) {
        root.files.insert("cgroup.controllers".into(), "pids".into());
    }
    let why = open(ROOT);
    assert!(why.starts_with("monitor only") && why.contains("\"pids\""), "{why}");
    Ok(())
}

/// What may happen to an enforcer.
#[derive(Clone, Debug)]
enum Happening {
    Set(u32, Limits),
    Renew,
    Clear(u32),
    /// Time passes.
    Seconds(u64),
    /// It dies after so many more steps, and another one is started.
    Death(usize),
    /// Whoever writes a file fails from now on, or does not any more.
    Refusal(Option<&'static str>),
}

fn happening() -> impl proptest::strategy::Strategy<Value = Happening> {
    use proptest::prelude::*;
    let user = 20_001_u32..=20_002;
    let limits = (proptest::option::of(1_u16..200), proptest::option::of(10_u32..4_000), any::<bool>(), any::<bool>());
    let limits = limits.prop_map(|(weight, cores, memory, io)| Limits {
        cpu_weight: weight.and_then(Weight::new),
        cpu_max: cores.and_then(Millicores::new),
        memory_high: memory.then_some(Bytes(1 << 30)),
        io_write: io.then_some(Bytes(1 << 20)),
        ..Limits::default()
    });
    let file = proptest::sample::select(vec![
        None,
        Some("cpu.max"),
        Some("memory.high"),
        Some("cgroup.procs"),
        Some("io.max"),
    ]);
    prop_oneof![
        4 => (user.clone(), limits).prop_map(|(user, limits)| Happening::Set(user, limits)),
        1 => Just(Happening::Renew),
        2 => user.prop_map(Happening::Clear),
        1 => (1_u64..15).prop_map(Happening::Seconds),
        2 => (0_usize..40).prop_map(Happening::Death),
        1 => file.prop_map(Happening::Refusal),
    ]
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { cases: 200, failure_persistence: None, ..Default::default() })]

    #[test]
    fn whatever_happens_the_end_is_as_the_beginning(happenings in proptest::collection::vec(happening(), 1..25)) {
        if let Err(error) = live_through(&happenings) {
            return Err(proptest::test_runner::TestCaseError::fail(error.to_string()));
        }
    }
}

fn live_through(happenings: &[Happening]) -> Done {
    let mut host = Host::new()?;
    let before = host.state();
    let (mut keeper, mut life) = host.enforcer(usize::MAX)?;
    for happening in happenings {
        match happening {
            Happening::Set(uid, limits) => {
                if let Outcome::Applied { in_force, .. } = keeper.set(&order(Uid(*uid), *limits), host.now) {
                    let holds =
                        limits.iter().all(|(property, amount)| in_force.get(property).is_some_and(|is| is <= amount));
                    if !holds {
                        return Err(format!("{limits} was told as applied, and {in_force} is").into());
                    }
                }
            }
            Happening::Renew => drop(keeper.renew(None, host.now)),
            Happening::Clear(uid) => drop(keeper.clear(Uid(*uid), None)),
            Happening::Seconds(seconds) => {
                host.now += Duration::from_secs(*seconds);
                keeper.tick(host.now);
            }
            Happening::Death(steps) if life.left() > 1_000 => {
                drop(keeper);
                (keeper, life) = host.enforcer(*steps)?;
            }
            Happening::Death(_) => {
                drop(keeper);
                (keeper, life) = host.enforcer(usize::MAX)?;
            }
            Happening::Refusal(file) => {
                let mut refuses = host.kernel.refuses.borrow_mut();
                refuses.clear();
                refuses.extend(file.map(|file| (file.to_owned(), libc::EIO)));
            }
        }
    }
    drop(keeper);
    host.kernel.refuses.borrow_mut().clear();
    host.release()?;
    if host.state() == before { Ok(()) } else { Err(format!("{:?} is left of {before:?}", host.state()).into()) }
}
