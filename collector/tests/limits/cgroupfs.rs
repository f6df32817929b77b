//! Direct writes to cgroup v2, on a machine without systemd.

use std::{
    fs, io,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use collector::{
    enforce::{
        Outcome as Done,
        client::{Client, Spawn},
    },
    limits::{Cause, Limits, Millicores, Order, Weight},
    units::{Bytes, Uid},
};

use crate::{
    Outcome, Tests,
    people::{ANN, MALLORY, Person},
};

pub(crate) const TESTS: Tests = &[
    ("the_machine_has_cgroup_v2_with_cpu_memory_and_io", controllers),
    ("a_limit_is_what_the_kernel_enforces_and_clearing_leaves_no_trace", limit),
    ("no_process_of_a_fork_storm_escapes", storm),
];

const MOUNT: &str = "/sys/fs/cgroup";

/// What all other tests here stand on.
fn controllers() -> Outcome {
    let found = fs::read_to_string(Path::new(MOUNT).join("cgroup.controllers"))?;
    for controller in ["cpu", "memory", "io"] {
        if !found.split_whitespace().any(|name| name == controller) {
            return Err(format!("{controller} is missing: {MOUNT}/cgroup.controllers says {found:?}").into());
        }
    }
    Ok(())
}

/// The shipped executable.
pub(crate) fn executable() -> PathBuf {
    std::env::var_os("UIDMETER_BIN").map_or_else(|| env!("CARGO_BIN_EXE_uidmeter").into(), PathBuf::from)
}

/// A folder for a journal, empty.
pub(crate) fn folder(name: &str) -> io::Result<PathBuf> {
    let folder = PathBuf::from("/tmp").join(format!("uidmeter-{name}"));
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// Options of `enforcer` and `release`.
pub(crate) fn options(folder: &Path) -> [String; 2] {
    ["--limits.journal".to_owned(), folder.join("limits.journal").display().to_string()]
}

/// Allows what [`order`] orders, and no more.
const POLICY: &str = r#"
[[rule]]
name = "test"
[rule.when]
user_cpu = { above = 1.0 }
[[rule.step]]
cpu_weight = 20
cpu_max = 0.5
memory_high = "256MiB"
memory_max = "512MiB"
"#;

/// An enforcer whose limits live for this many seconds.
pub(crate) fn enforcer(folder: &Path, lease: u64) -> io::Result<Spawn> {
    let path = |name: &str| folder.join(name).display().to_string();
    fs::write(path("policy.toml"), POLICY)?;
    let mut arguments = vec!["enforcer".to_owned()];
    arguments.extend(options(folder));
    let others = [("audit-log", path("audit")), ("policy-file", path("policy.toml")), ("lease", format!("{lease}s"))];
    arguments.extend(others.map(|(name, value)| format!("--limits.{name}={value}")));
    Ok(Spawn {
        program: executable(),
        arguments: arguments.into_iter().map(Into::into).collect(),
        patience: Duration::from_mins(1),
        deadline: Duration::from_mins(1),
    })
}

/// Half a CPU, and a bound on memory that nobody here comes near.
pub(crate) fn limits() -> Limits {
    Limits {
        cpu_weight: Weight::new(20),
        cpu_max: Millicores::new(500),
        memory_high: Some(Bytes(256 << 20)),
        memory_max: Some(Bytes(512 << 20)),
        ..Limits::default()
    }
}

pub(crate) fn order(person: Person) -> Order {
    let cause = Cause { rule: "test".into(), reason: "a test".into() };
    Order { uid: Uid(person.uid), limits: limits(), cause }
}

/// The limited cgroup.
pub(crate) fn applied(outcome: Done) -> Result<PathBuf, libtest_mimic::Failed> {
    match outcome {
        Done::Applied { group, .. } => Ok(group),
        other => Err(format!("{other:?}").into()),
    }
}

/// The cgroups of this machine, and everything that can be set in them.
pub(crate) fn tree() -> io::Result<Vec<(PathBuf, String)>> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from(MOUNT)];
    while let Some(folder) = folders.pop() {
        // Cgroups of sessions come and go.
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let Ok(entry) = entry else { continue };
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
                continue;
            }
            let name = entry.file_name().into_string().unwrap_or_default();
            let is_setting = ["weight", "max", "burst", "high", "low", "min", "subtree_control"]
                .iter()
                .any(|end| name.ends_with(end));
            if is_setting {
                found.push((entry.path(), fs::read_to_string(entry.path()).unwrap_or_default()));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Processes of a user outside of a cgroup.
fn outside(person: Person, group: &Path) -> io::Result<Vec<i32>> {
    // Who is looked at first may end, and who ends may have left a child: only who is outside in both looks is.
    let all = person.processes()?;
    let inside = fs::read_to_string(group.join("cgroup.procs"))?;
    let inside: Vec<i32> = inside.split_whitespace().filter_map(|pid| pid.parse().ok()).collect();
    let name = group.strip_prefix(MOUNT).map_err(io::Error::other)?;
    let line = format!("0::/{}\n", name.display());
    let is_outside = |pid: &i32| {
        !inside.contains(pid) && fs::read_to_string(format!("/proc/{pid}/cgroup")).is_ok_and(|text| text != line)
    };
    Ok(all.into_iter().filter(is_outside).collect())
}

/// Four busy threads get half a CPU, and everything is as it was afterwards.
fn limit() -> Outcome {
    let before = tree()?;
    let mut load = MALLORY.runs(&["spin", "120", "4"])?;
    let mut client = Client::spawn(&enforcer(&folder("limit")?, 60)?)?;
    let group = applied(client.set(&order(MALLORY))?)?;
    let used = || -> io::Result<u64> {
        let text = fs::read_to_string(group.join("cpu.stat"))?;
        let used = text.lines().find_map(|line| line.strip_prefix("usage_usec ")).and_then(|used| used.parse().ok());
        used.ok_or_else(|| io::Error::other("cpu.stat has no usage_usec"))
    };
    thread::sleep(Duration::from_secs(1));
    let (begin, at_first) = (Instant::now(), used()?);
    thread::sleep(Duration::from_secs(6));
    let share = Duration::from_micros(used()? - at_first).as_secs_f64() / begin.elapsed().as_secs_f64();
    if !(0.475..=0.525).contains(&share) {
        return Err(format!("the user was limited to 0.5 CPUs and used {share:.3}").into());
    }
    let late = MALLORY.runs(&["wake", "60", "0"])?;
    client.renew(None)?;
    let left = outside(MALLORY, &group)?;
    if !left.is_empty() {
        return Err(format!("after a renewal processes {left:?} are outside of {}", group.display()).into());
    }
    drop(late);
    let cleared = client.clear(Uid(MALLORY.uid))?;
    if cleared != (Done::Cleared { changed: true }) {
        return Err(format!("{cleared:?}").into());
    }
    load.stop()?;
    let after = tree()?;
    if after == before { Ok(()) } else { Err(format!("before: {before:?}, after: {after:?}").into()) }
}

/// Processes that are born and die all the time.
fn storm() -> Outcome {
    let before = tree()?;
    let mut load = ANN.runs(&["storm", "120", "8"])?;
    let mut client = Client::spawn(&enforcer(&folder("storm")?, 60)?)?;
    for round in 0..5 {
        let group = applied(client.set(&order(ANN))?)?;
        for _ in 0..20 {
            let left = outside(ANN, &group)?;
            if !left.is_empty() {
                return Err(format!("round {round}: processes {left:?} are outside of {}", group.display()).into());
            }
            thread::sleep(Duration::from_millis(10));
        }
        client.clear(Uid(ANN.uid))?;
        if group.exists() {
            return Err(format!("round {round}: {} is left", group.display()).into());
        }
    }
    load.stop()?;
    let after = tree()?;
    if after == before { Ok(()) } else { Err(format!("before: {before:?}, after: {after:?}").into()) }
}
