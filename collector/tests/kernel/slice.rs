//! Work in a user's own slice and elsewhere, in cgroups made for the test.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use collector::source::{Source as _, Subject};

use crate::{
    Outcome,
    exact::eprintln_figures,
    oracle::mounted,
    user::{Load, counters, load},
};

/// Folders of the unified hierarchy, removed again if they were made here.
struct Groups(Vec<PathBuf>);

impl Groups {
    fn make(paths: &[PathBuf]) -> io::Result<Self> {
        let mut made = Self(Vec::new());
        for path in paths {
            if !path.is_dir() {
                fs::create_dir(path)?;
                made.0.push(path.clone());
            }
        }
        Ok(made)
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(2);
        while let Some(path) = self.0.pop() {
            while fs::remove_dir(&path).is_err() && Instant::now() < deadline {
                thread::sleep(Duration::from_millis(10));
            }
        }
    }
}

/// The unified hierarchy, mounted for the test if it is not there.
fn unified() -> io::Result<PathBuf> {
    if let Some(root) = mounted("cgroup2", None)? {
        return Ok(root);
    }
    let own = PathBuf::from("/tmp/uidmeter-test-cgroup2");
    fs::create_dir_all(&own)?;
    let output = Command::new("mount").args(["-t", "cgroup2", "cgroup2"]).arg(&own).output()?;
    if output.status.success() {
        Ok(own)
    } else {
        Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()))
    }
}

/// The user's own slice and a scope in it count as inside; another user's slice, a service, and a slice of that name in the wrong
/// place do not.
pub(crate) fn outside() -> Outcome {
    let uid = 21_600;
    let mut source = load()?;
    if !source.kept().has(Subject::Outside) {
        return Err("slices are not known, which every kernel from 6.1 on should tell".into());
    }
    let root = unified()?;
    let users = root.join("user.slice");
    let own = users.join(format!("user-{uid}.slice"));
    let scope = own.join("session-1.scope");
    let other = users.join(format!("user-{uid}0.slice"));
    let service = root.join("uidmeter-test.service");
    let wrong = service.join(format!("user-{uid}.slice"));
    let groups = Groups::make(&[users, own.clone(), scope.clone(), other.clone(), service.clone(), wrong.clone()])?;
    for (group, inside) in
        [(&own, true), (&scope, true), (&other, false), (&service, false), (&wrong, false), (&root, false)]
    {
        let before = counters(&mut source, uid);
        run_in(group, uid)?;
        let now = counters(&mut source, uid);
        let (cpu, outside) = (now.cpu.0 - before.cpu.0, now.outside.0 - before.outside.0);
        eprintln_figures(&format!("outside ns in {}", group.display()), outside, cpu);
        let expected = if inside { 0 } else { cpu };
        if outside != expected || cpu < 5_000_000 {
            return Err(format!("{}: {outside} of {cpu} ns were outside", group.display()).into());
        }
    }
    // One process that is moved while it lives: what comes after counts where it is then.
    let before = counters(&mut source, uid);
    let mut moved = Load::prepare_in(uid, &own.join("cgroup.procs"), &["spin", "100"])?;
    fs::write(service.join("cgroup.procs"), moved.pid().to_string())?;
    moved.go()?;
    moved.await_line("done")?;
    moved.end()?;
    let now = counters(&mut source, uid);
    let (cpu, outside) = (now.cpu.0 - before.cpu.0, now.outside.0 - before.outside.0);
    if outside < cpu / 2 || outside >= cpu {
        return Err(format!("a process that was moved: {outside} of {cpu} ns were outside").into());
    }
    drop(groups);
    Ok(())
}

fn run_in(group: &Path, uid: u32) -> Outcome {
    let mut load = Load::prepare_in(uid, &group.join("cgroup.procs"), &["spin", "30"])?;
    load.go()?;
    load.await_line("done")?;
    load.end()?;
    thread::sleep(Duration::from_millis(30));
    Ok(())
}
