//! Bytes and delays against `/proc/PID/io` and `/proc/PID/stat`, which show the same books of one process.

use std::{fs, io, path::Path};

use collector::source::{Source as _, Subject};

use crate::{
    Outcome,
    exact::{eprintln_figures, healthy},
    oracle::Cgroup,
    user::{Load, counters, load},
};

/// `rchar`, `wchar`, `read_bytes`, `write_bytes` and `cancelled_write_bytes` of `proc_pid_io(5)`.
fn proc_io(pid: u32) -> io::Result<[u64; 5]> {
    let text = fs::read_to_string(format!("/proc/{pid}/io"))?;
    let value = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key));
        line.and_then(|value| value.trim().parse().ok()).ok_or_else(|| io::Error::other(format!("no {key}")))
    };
    Ok([
        value("rchar:")?,
        value("wchar:")?,
        value("read_bytes:")?,
        value("write_bytes:")?,
        value("cancelled_write_bytes:")?,
    ])
}

/// Exactly equal: both sides read the same words while the process sleeps.
pub(crate) fn bytes() -> Outcome {
    let uid = 21_100;
    let mut source = load()?;
    if !source.kept().has(Subject::Io) {
        return Err("this kernel has no I/O accounting, which every supported one should have".into());
    }
    let cgroup = Cgroup::new()?;
    let mut running = Load::prepare(uid, &cgroup, &["io", "2000", writable_storage()])?;
    cgroup.settled_cpu_ns()?;
    let base_kernel = proc_io(running.pid())?;
    let base = counters(&mut source, uid).io;
    running.go()?;
    running.await_line("done")?;
    cgroup.settled_cpu_ns()?;
    let kernel = proc_io(running.pid())?;
    let now = counters(&mut source, uid).io;
    let ours = [
        now.read_chars.0 - base.read_chars.0,
        now.written_chars.0 - base.written_chars.0,
        now.read_bytes.0 - base.read_bytes.0,
        now.written_bytes.0 - base.written_bytes.0,
        now.cancelled_bytes.0 - base.cancelled_bytes.0,
    ];
    let kernel: Vec<u64> = kernel.into_iter().zip(base_kernel).map(|(now, base)| now - base).collect();
    for (what, (ours, kernel)) in ["chars read", "chars written", "bytes read", "bytes written", "bytes cancelled"]
        .iter()
        .zip(ours.into_iter().zip(&kernel))
    {
        eprintln_figures(what, ours, *kernel);
    }
    if ours != *kernel || ours[0] < 8_000_000 || ours[1] < 16_000_000 {
        return Err(format!("charged {ours:?}, the kernel says {kernel:?}").into());
    }
    // Where there is a disk, it takes part.
    if writable_storage() != "/tmp" && (ours[2] == 0 || ours[3] == 0 || ours[4] == 0) {
        return Err(format!("nothing reached storage: {ours:?}").into());
    }
    running.end()?;
    healthy(&mut source)
}

/// A folder on a disk if there is one; a test machine has nothing but memory.
fn writable_storage() -> &'static str {
    if Path::new("/var/tmp").is_dir() { "/var/tmp" } else { "/tmp" }
}

/// Switches delay accounting on, and back to what it was.
struct DelayAccounting(String);

const SWITCH: &str = "/proc/sys/kernel/task_delayacct";

impl DelayAccounting {
    fn on() -> io::Result<Self> {
        let before = fs::read_to_string(SWITCH)?;
        fs::write(SWITCH, "1")?;
        Ok(Self(before.trim().to_owned()))
    }
}

impl Drop for DelayAccounting {
    fn drop(&mut self) {
        let _ = fs::write(SWITCH, &self.0);
    }
}

/// Field 42 of `proc_pid_stat(5)`, in nanoseconds: it counts in hundredths of a second.
fn proc_delay(pid: u32) -> Result<u64, libtest_mimic::Failed> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    // Field 3 is the first after the name.
    let ticks: u64 = fields.get(42 - 3).and_then(|field| field.parse().ok()).ok_or("no field 42")?;
    Ok(ticks * 10_000_000)
}

/// Waits for a disk. Where there is no disk: no wait.
pub(crate) fn delay() -> Outcome {
    let uid = 21_200;
    let mut source = load()?;
    let before = DelayAccounting::on()?;
    if !source.kept().has(Subject::Delays) {
        return Err("delay accounting is on, and the source does not know".into());
    }
    let cgroup = Cgroup::new()?;
    let mut running = Load::prepare(uid, &cgroup, &["read-slowly", "400", writable_storage()])?;
    cgroup.settled_cpu_ns()?;
    // The file was made as root.
    let base = proc_delay(running.pid())?;
    running.go()?;
    running.await_line("done")?;
    cgroup.settled_cpu_ns()?;
    let kernel = proc_delay(running.pid())? - base;
    let delays = counters(&mut source, uid).delays;
    let ours = delays.block_io.0 + delays.swap_in.0;
    eprintln_figures("block I/O delay ns", ours, kernel);
    if ours.abs_diff(kernel) > 10_000_000 {
        return Err(format!("charged {ours} ns, the kernel says {kernel} ns").into());
    }
    if writable_storage() != "/tmp" && ours < 400_000 {
        return Err(format!("400 reads of a disk took {ours} ns").into());
    }
    running.end()?;
    drop(before);
    if fs::read_to_string(SWITCH)?.trim() == "0" && source.kept().has(Subject::Delays) {
        return Err("delay accounting is off again, and the source does not know".into());
    }
    Ok(())
}
