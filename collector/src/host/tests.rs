//! Fixed texts, any bytes, and this very host.

use std::{error::Error, fs, path::Path};

use proptest::prelude::{any, prop, proptest};

use super::{Bytes, CpuTime, Host, HostReader, Memory, Nanos, parse};

type Outcome = Result<(), Box<dyn Error>>;

const STAT: &str =
    "cpu  10 20 30 400 5 6 7 8 9 1\ncpu0 5 10 15 200 2 3 3 4 0 0\ncpu1 5 10 15 200 3 3 4 4 0 0\nintr 1 2\nctxt 3\n";
const MEMINFO: &str = "MemTotal:       24681604 kB\nMemFree:        23000000 kB\nMemAvailable:   24000000 kB\nBuffers: 1 kB\n\
                       Cached:   2 kB\nSwapCached: 9 kB\nAnonPages: 3 kB\nShmem: 4 kB\nSReclaimable: 5 kB\nSUnreclaim: 6 kB\n\
                       Dirty: 7 kB\nSwapTotal: 0 kB\nHugePages_Total:       0\n";
const PSI: &str =
    "some avg10=1.50 avg60=0.25 avg300=100.00 total=1234567\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=7\n";
const LOADAVG: &str = "0.36 1.50 20.00 3/401 12345\n";
const VMSTAT: &str = "pgfault 100\npgmajfault 7\nallocstall_dma 1\nallocstall_normal 2\nallocstall_movable 3\npswpin 4\npswpout 5\noom_kill 6\n";
const TICK: Nanos = Nanos(10_000_000);

/// A host of which everything is known.
pub(crate) fn example() -> Host {
    let pressure = || parse::pressure(PSI.as_bytes());
    let (cpu, cpus) = parse::stat(STAT.as_bytes(), TICK);
    Host {
        cpu,
        cpus,
        memory: Memory { swap_free: Some(Bytes(0)), ..parse::memory(MEMINFO.as_bytes()) },
        cpu_pressure: pressure(),
        memory_pressure: pressure(),
        io_pressure: pressure(),
        load: parse::load(LOADAVG.as_bytes()),
        events: parse::events(VMSTAT.as_bytes()),
    }
}

fn host(root: &Path) -> Host {
    HostReader::at(root, 100).read()
}

#[test]
fn each_file_is_read_as_the_kernel_writes_it() -> Outcome {
    let root = tempfile::tempdir()?;
    fs::create_dir(root.path().join("pressure"))?;
    for (name, text) in
        [("stat", STAT), ("meminfo", MEMINFO), ("pressure/cpu", PSI), ("loadavg", LOADAVG), ("vmstat", VMSTAT)]
    {
        fs::write(root.path().join(name), text)?;
    }
    let host = host(root.path());
    let cpu = host.cpu.ok_or("no CPU time")?;
    assert_eq!((cpu.user, cpu.idle, cpu.steal), (Nanos(100_000_000), Nanos(4_000_000_000), Nanos(80_000_000)));
    assert_eq!((cpu.nice, cpu.system, cpu.iowait), (Nanos(200_000_000), Nanos(300_000_000), Nanos(50_000_000)));
    assert_eq!((cpu.irq, cpu.softirq, host.cpus), (Nanos(60_000_000), Nanos(70_000_000), Some(2)));
    let memory = host.memory;
    let kb = |kb: u64| Some(Bytes(kb * 1024));
    assert_eq!((memory.total, memory.free, memory.available), (kb(24_681_604), kb(23_000_000), kb(24_000_000)));
    assert_eq!((memory.buffers, memory.cached, memory.anon, memory.shmem), (kb(1), kb(2), kb(3), kb(4)));
    assert_eq!((memory.slab_reclaimable, memory.slab_unreclaimable, memory.dirty), (kb(5), kb(6), kb(7)));
    assert_eq!((memory.swap_total, memory.swap_free), (kb(0), None));
    let some = host.cpu_pressure.some.ok_or("no pressure")?;
    assert_eq!((some.total, some.avg10, some.avg60, some.avg300), (Nanos(1_234_567_000), 0.015, 0.0025, 1.0));
    assert_eq!(host.cpu_pressure.full.map(|full| full.total), Some(Nanos(7_000)));
    assert_eq!((host.memory_pressure.some, host.io_pressure.some), (None, None));
    let load = host.load.ok_or("no load")?;
    assert_eq!((load.one, load.five, load.fifteen, load.runnable, load.threads), (0.36, 1.5, 20.0, 3, 401));
    let events = host.events;
    assert_eq!((events.faults, events.major_faults, events.direct_reclaims), (Some(100), Some(7), Some(6)));
    assert_eq!((events.swapped_in, events.swapped_out, events.oom_kills), (Some(4), Some(5), Some(6)));
    Ok(())
}

#[test]
fn without_files_everything_is_absent() {
    assert_eq!(host(Path::new("/nowhere")), Host::default());
}

#[test]
fn a_kernel_without_pressure_has_absent_pressure_and_not_zero() {
    assert_eq!(parse::pressure(b"").some, None);
    assert_eq!(
        parse::pressure(b"some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n").some.map(|stall| stall.total),
        Some(Nanos(0))
    );
}

#[test]
fn what_says_something_else_is_absent() {
    for text in ["cpu  1 2 3\n", "cpu  1 2 3 4 5 6 7 -8\n", "cpu  1 2 3 4 5 6 7 18446744073709551615\n", "cpu  x\n"] {
        assert_eq!(parse::stat(text.as_bytes(), TICK).0, None, "{text}");
    }
    for text in [
        "MemTotal: -1 kB\n",
        "MemTotal: 1\n",
        "MemTotal: 18446744073709551615 kB\n",
        "MemTotal kB\n",
        "MemTotal: +1 kB\n",
    ] {
        assert_eq!(parse::memory(text.as_bytes()).total, None, "{text}");
    }
    for text in
        ["some avg10=NaN avg60=0 avg300=0 total=0\n", "some avg10=101 avg60=0 avg300=0 total=0\n", "some total=1\n"]
    {
        assert_eq!(parse::pressure(text.as_bytes()).some, None, "{text}");
    }
    for text in ["", "\n", "1 2 3\n", "inf 1 1 1/1 1\n", "1e3 1 1 1/1 1\n", "-1 1 1 1/1 1\n", "1 1 1 1 1\n"] {
        assert_eq!(parse::load(text.as_bytes()), None, "{text}");
    }
    assert_eq!(parse::events(b"allocstall_a 1\nallocstall_b x\nallocstall_c 1\nx 1\n").direct_reclaims, None);
}

#[test]
fn idle_time_that_steps_back_stands_still() -> Outcome {
    let root = tempfile::tempdir()?;
    let stat = root.path().join("stat");
    fs::write(&stat, STAT)?;
    let mut reader = HostReader::at(root.path(), 100);
    let before = reader.read().cpu.ok_or("no CPU time")?;
    fs::write(&stat, STAT.replace(" 400 ", " 399 ").replace("cpu  10 ", "cpu  11 "))?;
    let after = reader.read().cpu.ok_or("no CPU time")?;
    assert_eq!((after.idle, after.user), (before.idle, Nanos(110_000_000)));
    fs::write(&stat, "damaged")?;
    assert_eq!(reader.read().cpu, None);
    fs::write(&stat, STAT)?;
    assert_eq!(reader.read().cpu, Some(CpuTime { user: Nanos(110_000_000), ..before }));
    Ok(())
}

#[test]
fn a_long_file_is_read_to_its_end_and_an_endless_one_is_cut() -> Outcome {
    let root = tempfile::tempdir()?;
    let many: Vec<_> = (0..9_000).map(|cpu| format!("cpu{cpu} 1 2 3 4 5 6 7 8 9 10")).collect();
    fs::write(root.path().join("stat"), format!("cpu  1 2 3 4 5 6 7 8 9 10\n{}\nintr 0\n", many.join("\n")))?;
    assert_eq!(host(root.path()).cpus, Some(9_000));
    fs::remove_file(root.path().join("stat"))?;
    std::os::unix::fs::symlink("/dev/zero", root.path().join("stat"))?;
    assert_eq!(host(root.path()).cpus, None);
    Ok(())
}

/// Absent, or the same as in the whole.
fn part_of<T: Copy + PartialEq>(part: Option<T>, whole: Option<T>) -> bool {
    part.is_none() || part == whole
}

proptest! {
    #[test]
    fn a_file_that_is_cut_off_has_less_but_nothing_wrong(end in 0..400_usize) {
        let cut = |text: &'static str| &text.as_bytes()[..end.min(text.len())];
        let (part, whole) = (parse::stat(cut(STAT), TICK), parse::stat(STAT.as_bytes(), TICK));
        assert!(part_of(part.0, whole.0) && part_of(part.1, whole.1));
        let (part, whole) = (parse::memory(cut(MEMINFO)), parse::memory(MEMINFO.as_bytes()));
        assert!(part_of(part.total, whole.total) && part_of(part.available, whole.available));
        assert!(part_of(part.swap_total, whole.swap_total) && part_of(part.dirty, whole.dirty));
        let (part, whole) = (parse::pressure(cut(PSI)), parse::pressure(PSI.as_bytes()));
        assert!(part_of(part.some, whole.some) && part_of(part.full, whole.full));
        assert!(part_of(parse::load(cut(LOADAVG)), parse::load(LOADAVG.as_bytes())));
        let (part, whole) = (parse::events(cut(VMSTAT)), parse::events(VMSTAT.as_bytes()));
        assert!(part_of(part.direct_reclaims, whole.direct_reclaims));
        assert!(part_of(part.faults, whole.faults) && part_of(part.oom_kills, whole.oom_kills));
    }

    #[test]
    fn no_bytes_make_it_fall(bytes in prop::collection::vec(any::<u8>(), 0..400), tick in any::<u64>()) {
        parse::stat(&bytes, Nanos(tick));
        parse::memory(&bytes);
        parse::pressure(&bytes);
        parse::load(&bytes);
        parse::events(&bytes);
    }

    #[test]
    fn no_mangled_text_makes_it_fall(at in 0..400_usize, byte in any::<u8>(), tick in any::<u64>()) {
        let mangled = |text: &str| {
            let mut bytes = text.as_bytes().to_vec();
            let at = at % bytes.len();
            bytes[at] = byte;
            bytes
        };
        parse::stat(&mangled(STAT), Nanos(tick));
        parse::memory(&mangled(MEMINFO));
        let pressure = parse::pressure(&mangled(PSI));
        assert!(pressure.some.is_none_or(|stall| (0.0..=1.0).contains(&stall.avg10)));
        let load = parse::load(&mangled(LOADAVG));
        assert!(load.is_none_or(|load| load.one.is_finite() && load.one >= 0.0));
        parse::events(&mangled(VMSTAT));
    }
}

#[test]
fn this_host_says_the_same_through_its_system_calls() -> Outcome {
    let mut reader = HostReader::open();
    let host = reader.read();
    let system = nix::sys::sysinfo::sysinfo()?;
    // Pages that the kernel counts once more or less between the two calls.
    let slack = 64 << 20;
    assert_eq!(host.memory.total, Some(Bytes(system.ram_total())));
    let free = host.memory.free.ok_or("no free memory")?.0;
    assert!(free.abs_diff(system.ram_unused()) < slack, "{free} {}", system.ram_unused());
    assert_eq!(host.memory.swap_total, Some(Bytes(system.swap_total())));
    let online = nix::unistd::sysconf(nix::unistd::SysconfVar::_NPROCESSORS_ONLN)?;
    assert_eq!(host.cpus, online.and_then(|online| online.try_into().ok()));
    let load = host.load.ok_or("no load")?;
    let (one, five, fifteen) = system.load_average();
    // Printed with two decimals, and brought up to date every five seconds.
    for (ours, theirs) in [(load.one, one), (load.five, five), (load.fifteen, fifteen)] {
        assert!((ours - theirs).abs() < 0.011 + theirs * 0.1, "{ours} {theirs}");
    }
    // `fs/proc/uptime.c` adds up the same idle times, without iowait.
    let uptime = fs::read_to_string("/proc/uptime")?;
    let idle: f64 = uptime.split_whitespace().nth(1).ok_or("no idle time")?.parse()?;
    let cpu = host.cpu.ok_or("no CPU time")?;
    let cpus = online.unwrap_or(1);
    #[expect(clippy::cast_precision_loss, reason = "a handful")]
    let slack = 1.0 * cpus as f64;
    assert!((cpu.idle.as_secs_f64() - idle).abs() < slack, "{:?} {idle}", cpu.idle);
    Ok(())
}

#[test]
fn counters_of_this_host_never_fall() -> Outcome {
    let mut reader = HostReader::open();
    let mut before = reader.read();
    for _ in 0..50 {
        let now = reader.read();
        let (cpu, earlier) = (now.cpu.ok_or("no CPU time")?, before.cpu.ok_or("no CPU time")?);
        assert_eq!(cpu.no_less_than(earlier), cpu);
        assert!(now.events.faults >= before.events.faults && now.events.oom_kills >= before.events.oom_kills);
        before = now;
    }
    Ok(())
}
