//! What this host's kernel has been told to do, from `/proc` and `/sys`: none of it is needed, all of it matters.

use std::{fs, path::Path};

use collector::source::ebpf::{Check, Finding};

/// Looks at the host whose files are under `root`.
pub(super) fn check(root: &Path) -> Vec<Check> {
    let read = |path: &str| fs::read_to_string(root.join(path)).ok().map(|text| text.trim().to_owned());
    let is_there = |path: &str| root.join(path).exists();
    let mut checks = Vec::new();
    let mut add = |subject: &str, finding| checks.push(Check { subject: subject.into(), finding });
    add("run-queue waits", waits(is_there("proc/self/schedstat")));
    add("CPU clock", perf_events(read("proc/sys/kernel/perf_event_paranoid").as_deref()));
    add("delay accounting", delays(read("proc/sys/kernel/task_delayacct").as_deref()));
    add("pressure", pressure(read("proc/pressure/memory").as_deref()));
    add(
        "cgroups",
        cgroups(is_there("sys/fs/cgroup/cgroup.controllers"), is_there("sys/fs/cgroup/unified/cgroup.controllers")),
    );
    if let Some(jit) = read("proc/sys/net/core/bpf_jit_enable") {
        add("BPF JIT", compiler(&jit));
    }
    checks
}

fn waits(has_schedstat: bool) -> Finding {
    if has_schedstat {
        Finding::Fine("kept for every task".into())
    } else {
        Finding::Limited(
            "not kept: waits stay zero; they need CONFIG_SCHED_INFO (by CONFIG_SCHEDSTATS or CONFIG_TASK_DELAY_ACCT)"
                .into(),
        )
    }
}

fn perf_events(paranoid: Option<&str>) -> Finding {
    match paranoid {
        Some(level) => Finding::Fine(format!("perf events are there (kernel.perf_event_paranoid is {level})")),
        None => Finding::Limited(
            "no perf events: a task that never switches is seen late; use a kernel built with CONFIG_PERF_EVENTS=y"
                .into(),
        ),
    }
}

fn delays(switch: Option<&str>) -> Finding {
    match switch {
        Some("0") => Finding::Limited(
            "off: block-I/O, swap-in and reclaim delays are not kept; switch it on with sysctl kernel.task_delayacct=1, or \
             for tasks that run already with delayacct on the kernel's command line"
                .into(),
        ),
        Some(_) => Finding::Fine("on".into()),
        None => Finding::Limited(
            "this kernel has no switch for it: delays are kept only with delayacct on the kernel's command line".into(),
        ),
    }
}

fn pressure(text: Option<&str>) -> Finding {
    if text.is_some_and(|text| text.starts_with("some ")) {
        Finding::Fine("PSI is on".into())
    } else {
        Finding::Limited(
            "no PSI: pressure of the host is left out; boot with psi=1, on a kernel built with CONFIG_PSI=y".into(),
        )
    }
}

fn cgroups(unified: bool, hybrid: bool) -> Finding {
    match (unified, hybrid) {
        (true, _) => Finding::Fine("version 2".into()),
        (false, true) => Finding::Limited(
            "version 1, with version 2 beside it but without controllers: users cannot be limited; boot with \
             systemd.unified_cgroup_hierarchy=1"
                .into(),
        ),
        (false, false) => {
            Finding::Limited("version 2 is not mounted at /sys/fs/cgroup: users cannot be limited".into())
        }
    }
}

fn compiler(enabled: &str) -> Finding {
    if enabled == "0" {
        Finding::Limited("off: kernel programs are interpreted, which is slow; sysctl net.core.bpf_jit_enable=1".into())
    } else {
        Finding::Fine("on".into())
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, io, path::Path};

    use super::{Finding, check};

    fn host(files: &[(&str, &str)]) -> io::Result<Vec<(String, bool)>> {
        let root = tempfile::tempdir()?;
        for (name, text) in files {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap_or(Path::new("/")))?;
            fs::write(path, text)?;
        }
        let fine = |finding: &Finding| matches!(finding, Finding::Fine(_));
        Ok(check(root.path()).into_iter().map(|check| (check.subject, fine(&check.finding))).collect())
    }

    #[test]
    fn a_host_with_everything_is_fine() -> io::Result<()> {
        let found = host(&[
            ("proc/self/schedstat", "1 2 3\n"),
            ("proc/sys/kernel/perf_event_paranoid", "2\n"),
            ("proc/sys/kernel/task_delayacct", "1\n"),
            ("proc/pressure/memory", "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"),
            ("sys/fs/cgroup/cgroup.controllers", "cpu\n"),
            ("proc/sys/net/core/bpf_jit_enable", "1\n"),
        ])?;
        assert_eq!(found.len(), 6);
        assert!(found.iter().all(|(_, fine)| *fine), "{found:?}");
        Ok(())
    }

    #[test]
    fn what_is_off_or_absent_is_limited_and_never_in_the_way() -> io::Result<()> {
        let off = host(&[
            ("proc/sys/kernel/task_delayacct", "0\n"),
            ("proc/pressure/memory", ""),
            ("sys/fs/cgroup/unified/cgroup.controllers", ""),
            ("proc/sys/net/core/bpf_jit_enable", "0\n"),
        ])?;
        assert_eq!(off.iter().filter(|(_, fine)| *fine).count(), 0, "{off:?}");
        assert_eq!(off.len(), 6);
        // The switch of the compiler can be read by root alone: unknown is not off.
        assert_eq!(host(&[])?.len(), 5);
        Ok(())
    }
}
