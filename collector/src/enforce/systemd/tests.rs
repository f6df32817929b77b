//! The driver and the keeper over a systemd in memory, whose cgroups are files in a folder.

use std::{cell::RefCell, collections::BTreeMap, fs, io, path::Path, rc::Rc, time::Instant};

use super::{Bus, Setting, Systemd};
use crate::{
    enforce::{
        Outcome,
        cgroupfs::{
            fake::{FakeStore, Life},
            tests::{Done, LEASE, order},
        },
        driver::Kind,
        journal::Journal,
        keeper::Keeper,
    },
    limits::{Limits, Millicores, Weight},
    units::{Bytes, Uid},
};

const UID: Uid = Uid(20_001);
const UNIT: &str = "user-20001.slice";

/// What PID 1 knows.
#[derive(Clone)]
struct Fake {
    properties: Rc<RefCell<BTreeMap<String, Setting>>>,
    cgroup: std::path::PathBuf,
    drop_ins: std::path::PathBuf,
    /// Says that it has done it, and has not.
    swallows: Rc<RefCell<bool>>,
    sets: Rc<RefCell<usize>>,
    life: Life,
}

impl Fake {
    /// What `systemctl set-property` does.
    fn admin(&self, name: &str, number: u64) -> io::Result<()> {
        self.properties.borrow_mut().insert(name.to_owned(), Setting::Number(number));
        let text = if number == u64::MAX { "max".to_owned() } else { number.to_string() };
        let (file, text) = match name {
            "CPUQuotaPerSecUSec" if number == u64::MAX => ("cpu.max", "max 100000".to_owned()),
            "CPUQuotaPerSecUSec" => ("cpu.max", format!("{} 100000", number / 10)),
            "CPUWeight" => ("cpu.weight", if number == u64::MAX { "100".to_owned() } else { text }),
            _ => ("memory.high", text),
        };
        fs::write(self.cgroup.join(file), text)
    }

    fn settings(&self) -> BTreeMap<String, Setting> {
        self.properties.borrow().clone()
    }
}

impl Bus for Fake {
    fn get(&mut self, _unit: &str, name: &str) -> Result<Setting, String> {
        self.properties.borrow().get(name).cloned().ok_or_else(|| format!("unknown property {name}"))
    }

    fn set(&mut self, unit: &str, name: &str, setting: &Setting) -> Result<(), String> {
        self.life.step().map_err(|error| error.to_string())?;
        *self.sets.borrow_mut() += 1;
        let folder = self.drop_ins.join(format!("{unit}.d"));
        let file = if name == "CPUQuotaPerSecUSec" { "CPUQuota" } else { name };
        let made = fs::create_dir_all(&folder).and_then(|()| fs::write(folder.join(format!("50-{file}.conf")), "x"));
        made.map_err(|error| error.to_string())?;
        match setting {
            Setting::Number(_) if *self.swallows.borrow() => Ok(()),
            Setting::Number(number) => self.admin(name, *number).map_err(|error| error.to_string()),
            other => Err(format!("{other:?}")),
        }
    }
}

struct Host {
    folder: tempfile::TempDir,
    fake: Fake,
    journal: Rc<RefCell<Vec<u8>>>,
    now: Instant,
}

impl Host {
    fn new() -> io::Result<Self> {
        let folder = tempfile::tempdir()?;
        let cgroup = folder.path().join("cg/user.slice").join(UNIT);
        fs::create_dir_all(&cgroup)?;
        fs::write(folder.path().join("cg/cgroup.controllers"), "cpu io memory\n")?;
        let drop_ins = folder.path().join("drop-ins");
        let properties = [("ControlGroup".to_owned(), Setting::Text(format!("/user.slice/{UNIT}")))].into();
        let fake = Fake {
            properties: Rc::new(RefCell::new(properties)),
            cgroup,
            drop_ins,
            swallows: Rc::default(),
            sets: Rc::default(),
            life: Life::of(usize::MAX),
        };
        for name in ["CPUWeight", "CPUQuotaPerSecUSec", "MemoryHigh"] {
            fake.admin(name, u64::MAX)?;
        }
        Ok(Self { folder, fake, journal: Rc::default(), now: Instant::now() })
    }

    fn enforcer(&self, steps: usize) -> Result<(Keeper, Life), String> {
        let life = Life::of(steps);
        let fake = Fake { life: life.clone(), ..self.fake.clone() };
        let store = FakeStore::new(&self.journal, &life);
        let bytes = self.journal.borrow().clone();
        let (journal, legacy) = Journal::over(Box::new(store), "journal".into(), "boot", Kind::Systemd, &bytes);
        let driver =
            Systemd::over(Box::new(fake), &self.folder.path().join("cg"), &self.folder.path().join("drop-ins"))?;
        Ok((Keeper::new(Box::new(driver), journal, legacy, LEASE, self.now), life))
    }

    /// The slice is made anew: another folder under the same name.
    fn log_in_again(&self) -> io::Result<()> {
        let new = self.folder.path().join("new");
        fs::create_dir(&new)?;
        if self.fake.cgroup.exists() {
            fs::rename(&self.fake.cgroup, self.folder.path().join("old"))?;
        }
        fs::rename(&new, &self.fake.cgroup)
    }

    fn drop_ins(&self) -> usize {
        fs::read_dir(self.folder.path().join("drop-ins").join(format!("{UNIT}.d"))).map_or(0, Iterator::count)
    }
}

fn limits() -> Limits {
    Limits {
        cpu_weight: Weight::new(20),
        cpu_max: Millicores::new(1_500),
        memory_high: Some(Bytes(1 << 30)),
        ..Limits::default()
    }
}

#[test]
fn what_is_ordered_is_what_the_kernel_says_and_clearing_leaves_no_trace() -> Done {
    let host = Host::new()?;
    let before = host.fake.settings();
    let (mut keeper, _) = host.enforcer(usize::MAX)?;
    let outcome = keeper.set(&order(UID, limits()), host.now);
    let group = host.fake.cgroup.clone();
    assert_eq!(outcome, Outcome::Applied { group, in_force: Limits { io_weight: None, ..limits() }, changed: true });
    assert_eq!(host.drop_ins(), 3);
    let sets = *host.fake.sets.borrow();
    assert!(keeper.renew(None, host.now).is_empty());
    keeper.set(&order(UID, limits()), host.now);
    assert_eq!(*host.fake.sets.borrow(), sets, "nothing is set twice");
    assert_eq!(keeper.clear(UID, None), Outcome::Cleared { changed: true });
    assert_eq!((host.fake.settings(), host.drop_ins()), (before, 0));
    Ok(())
}

#[test]
fn death_at_any_step_leaves_nothing_that_the_next_start_does_not_undo() -> Done {
    for steps in 0..100 {
        let host = Host::new()?;
        let before = host.fake.settings();
        let (mut keeper, life) = host.enforcer(steps)?;
        keeper.set(&order(UID, limits()), host.now);
        keeper.set(&order(UID, Limits { cpu_weight: Weight::new(50), ..Limits::default() }), host.now);
        keeper.clear(UID, None);
        let survived = life.left() > 0;
        drop(keeper);
        for _ in 0..2 {
            host.enforcer(usize::MAX)?.0.tick(host.now);
            assert_eq!((host.fake.settings(), host.drop_ins()), (before.clone(), 0), "died after {steps} steps");
        }
        if survived {
            assert!(steps > 8, "{steps}");
            return Ok(());
        }
    }
    Err("it never survived".into())
}

#[test]
fn what_systemd_only_says_it_has_done_is_a_failure() -> Done {
    let host = Host::new()?;
    let before = host.fake.settings();
    *host.fake.swallows.borrow_mut() = true;
    let (mut keeper, _) = host.enforcer(usize::MAX)?;
    let outcome = keeper.set(&order(UID, limits()), host.now);
    assert!(
        matches!(&outcome, Outcome::Failed { why } if why.contains("cpu_weight") && why.contains("was set to")),
        "{outcome:?}"
    );
    assert_eq!((host.fake.settings(), host.drop_ins()), (before, 0));
    Ok(())
}

#[test]
fn a_revert_by_an_admin_is_respected() -> Done {
    let host = Host::new()?;
    let (mut keeper, _) = host.enforcer(usize::MAX)?;
    keeper.set(&order(UID, limits()), host.now);
    // What `systemctl revert` does to one of them, and a wish of the admin's own to another.
    host.fake.admin("CPUQuotaPerSecUSec", u64::MAX)?;
    host.fake.admin("CPUWeight", 77)?;
    let lost = keeper.renew(None, host.now);
    assert!(matches!(&lost[..], [(UID, Outcome::Abandoned { .. })]), "{lost:?}");
    assert_eq!(host.fake.settings()["CPUWeight"], Setting::Number(77));
    assert_eq!(host.fake.settings()["MemoryHigh"], Setting::Number(u64::MAX), "ours goes with it");
    let sets = *host.fake.sets.borrow();
    keeper.set(&order(UID, limits()), host.now);
    assert_eq!(*host.fake.sets.borrow(), sets, "not fought");
    Ok(())
}

#[test]
fn a_user_who_logs_out_and_in_is_limited_again() -> Done {
    let host = Host::new()?;
    let (mut keeper, _) = host.enforcer(usize::MAX)?;
    keeper.set(&order(UID, limits()), host.now);
    fs::rename(&host.fake.cgroup, host.folder.path().join("gone"))?;
    let lost = keeper.renew(None, host.now);
    assert!(matches!(&lost[..], [(UID, Outcome::Failed { why })] if why.contains("not logged in")), "{lost:?}");
    // The slice is made anew, without anything of ours.
    host.log_in_again()?;
    for name in ["CPUWeight", "CPUQuotaPerSecUSec", "MemoryHigh"] {
        host.fake.admin(name, u64::MAX)?;
    }
    assert!(keeper.renew(None, host.now).is_empty());
    assert_eq!(host.fake.settings()["CPUQuotaPerSecUSec"], Setting::Number(1_500_000));
    // He logs out, and is released meanwhile: nothing waits for him when he comes back.
    host.log_in_again()?;
    keeper.clear(UID, None);
    assert_eq!(host.fake.settings()["CPUQuotaPerSecUSec"], Setting::Number(u64::MAX));
    assert_eq!(host.drop_ins(), 0);
    Ok(())
}

#[test]
fn a_host_with_cgroup_v1_is_monitor_only() -> Done {
    let host = Host::new()?;
    fs::write(host.folder.path().join("cg/cgroup.controllers"), "\n")?;
    let why = host.enforcer(1).err().ok_or("it opened")?;
    assert!(why.starts_with("monitor only: systemd runs on this host with cgroup v1"), "{why}");
    let nothing = Systemd::over(Box::new(host.fake.clone()), Path::new("/nonexistent"), Path::new("/nonexistent"));
    assert!(nothing.is_err());
    Ok(())
}
