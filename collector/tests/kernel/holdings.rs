//! What users hold, against `/proc/PID/status`.

use std::{fs, io, thread, time::Duration};

use collector::{
    snapshot::{Holdings, Owner},
    source::{Source as _, Subject, ebpf::EbpfSource},
    units::{Bytes, Uid},
};

use crate::{
    Outcome,
    exact::eprintln_figures,
    oracle::Cgroup,
    user::{Load, load, read},
};

/// Of one process, as the kernel tells.
fn status(pid: u32) -> io::Result<Holdings> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let number = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key));
        line.and_then(|value| value.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0)
    };
    Ok(Holdings {
        anon: Bytes(number("RssAnon:") * 1024),
        file: Bytes(number("RssFile:") * 1024),
        shmem: Bytes(number("RssShmem:") * 1024),
        swap: Bytes(number("VmSwap:") * 1024),
        processes: 1,
        threads: number("Threads:"),
    })
}

fn held(source: &mut EbpfSource, uid: u32) -> Option<Holdings> {
    source.maintain(Duration::ZERO);
    read(source).census.holdings(Owner::User(Uid(uid))).copied()
}

/// Two processes of one user, each with four threads. The kernel keeps back up to 32 pages a CPU and kind in counters of each CPU
/// (`percpu_counter_batch`, `lib/percpu_counter.c)`: where their place is not known, or `/proc` leaves them out itself, as it did before
/// Linux 6.16, both sides may differ by that much; and pages of the program itself come and go.
pub(crate) fn resident() -> Outcome {
    let uid = 21_500;
    let mut source = load()?;
    if !source.kept().has(Subject::Memory) {
        return Err("resident memory is not known, which every supported kernel should tell".into());
    }
    let cgroup = Cgroup::new()?;
    let mut loads = Vec::new();
    for sizes in [["2000", "1000", "3000"], ["5000", "700", "600"]] {
        let mut load = Load::prepare(uid, &cgroup, &[&["hold"], sizes.as_slice()].concat())?;
        load.go()?;
        load.await_line("done")?;
        loads.push(load);
    }
    let ours = held(&mut source, uid).ok_or("the user holds nothing")?;
    let kernel = status(loads[0].pid())? + status(loads[1].pid())?;
    let cpus = u64::try_from(thread::available_parallelism()?.get()).unwrap_or(1);
    let tolerance = 2 * (32 * cpus + 16) * 4096;
    for (what, ours, kernel, least) in [
        ("anonymous bytes", ours.anon, kernel.anon, 7_000),
        // Where files live in memory, as on a test machine, theirs is shared memory.
        ("file bytes", ours.file, kernel.file, 0),
        ("shared bytes", ours.shmem, kernel.shmem, 3_600),
        ("bytes of either", Bytes(ours.file.0 + ours.shmem.0), Bytes(kernel.file.0 + kernel.shmem.0), 5_300),
        ("swapped bytes", ours.swap, kernel.swap, 0),
    ] {
        eprintln_figures(what, ours.0, kernel.0);
        if ours.0.abs_diff(kernel.0) > tolerance || kernel.0 < least * 4096 {
            return Err(format!("{what}: {} held, the kernel says {}", ours.0, kernel.0).into());
        }
    }
    if (ours.processes, ours.threads) != (2, kernel.threads) || kernel.threads != 8 {
        return Err(format!("{ours:?}, the kernel says {kernel:?}").into());
    }
    for load in loads {
        load.end()?;
    }
    if let Some(left) = held(&mut source, uid) {
        return Err(format!("all processes have ended, and the user holds {left:?}").into());
    }
    Ok(())
}
