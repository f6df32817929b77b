//! The loads themselves: what the process behind [`crate::user::Load`] does.

use std::{
    fs, hint,
    io::{self, Read as _, Seek as _, Write as _},
    os::unix::{fs::FileExt as _, process::CommandExt as _},
    path::Path,
    process::{Command, ExitCode},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sched::{CpuSet, sched_setaffinity},
    sys::wait::waitpid,
    unistd::{ForkResult, Pid, Uid, fork, setresuid},
};

/// `CGROUP_PROCS UID LOAD [ARGUMENT…]`.
pub(crate) fn run(arguments: &[String]) -> ExitCode {
    match begin(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "workload {arguments:?}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn begin(arguments: &[String]) -> io::Result<()> {
    let [procs, uid, load, rest @ ..] = arguments else {
        return Err(io::Error::other("too few arguments"));
    };
    let number =
        |i: usize| rest.get(i).and_then(|n| n.parse().ok()).ok_or_else(|| io::Error::other("a number is missing"));
    if procs != "-" {
        fs::write(procs, std::process::id().to_string())?;
    }
    let uid: u32 = uid.parse().map_err(io::Error::other)?;
    match load.as_str() {
        "many-users" => {
            ready_as(uid, true)?;
            many_users(u32::try_from(number(0)?).map_err(io::Error::other)?)
        }
        "change-user" => {
            ready_as(uid, true)?;
            let to = u32::try_from(number(0)?).map_err(io::Error::other)?;
            spin(Duration::from_millis(number(1)?));
            become_user(to, false)?;
            spin(Duration::from_millis(number(1)?));
            Ok(())
        }
        "spin-now" => {
            spin(Duration::from_millis(number(0)?));
            Ok(())
        }
        "fork-storm" => ready_as(uid, false).and_then(|()| fork_storm(number(0)?)),
        "threads" => ready_as(uid, false).and_then(|()| threads(number(0)?)),
        "spin" => {
            ready_as(uid, false)?;
            spin(Duration::from_millis(number(0)?));
            say("done")
        }
        "spin-on" => {
            ready_as(uid, false)?;
            let mut set = CpuSet::new();
            set.set(usize::try_from(number(0)?).map_err(io::Error::other)?)?;
            sched_setaffinity(Pid::from_raw(0), &set)?;
            spin(Duration::from_millis(number(1)?));
            say("done")
        }
        "system" => ready_as(uid, false).and_then(|()| system_calls(Duration::from_millis(number(0)?))),
        "io" => {
            ready_as(uid, false)?;
            read_and_write(Path::new(rest.get(1).map_or("/tmp", String::as_str)), number(0)?)?;
            say("done")
        }
        "read-slowly" => {
            let file = spread_out(Path::new(rest.get(1).map_or("/tmp", String::as_str)), number(0)?)?;
            ready_as(uid, false)?;
            read_slowly(&file, number(0)?)?;
            say("done")
        }
        "lifecycle" => {
            ready_as(uid, false)?;
            lifecycle(number(0)?, number(1)?)?;
            say("done")
        }
        "exec-from-thread" => {
            ready_as(uid, false)?;
            let mut child = Command::new("/proc/self/exe").args(["--workload", "-", "0", "thread-executes"]).spawn()?;
            child.wait()?;
            say("done")
        }
        "thread-executes" => {
            let thread =
                thread::spawn(|| Command::new("/proc/self/exe").args(["--workload", "-", "0", "spin-now", "1"]).exec());
            Err(thread.join().map_err(|_| io::Error::other("the thread panicked"))?)
        }
        "hold" => {
            ready_as(uid, false)?;
            hold(number(0)?, number(1)?, number(2)?)
        }
        "thrash" => {
            ready_as(uid, false)?;
            thrash(number(0)?, number(1)?)?;
            say("done")
        }
        "devour" => {
            fs::write("/proc/self/oom_score_adj", "1000")?;
            ready_as(uid, false)?;
            devour()
        }
        "faults" => ready_as(uid, false).and_then(|()| faults(number(0)?)),
        "wander" => {
            ready_as(uid, false)?;
            wander(Duration::from_millis(number(0)?))?;
            say("done")
        }
        other => Err(io::Error::other(format!("no load is called {other:?}"))),
    }
}

/// Becomes `uid` and waits for a word.
fn ready_as(uid: u32, keep_root: bool) -> io::Result<()> {
    become_user(uid, keep_root)?;
    say("ready")
}

/// Changes the real UID, by which tasks are charged; `keep_root` keeps the right to change it again.
fn become_user(uid: u32, keep_root: bool) -> io::Result<()> {
    let real = Uid::from_raw(uid);
    let other = if keep_root { Uid::from_raw(0) } else { real };
    Ok(setresuid(real, other, other)?)
}

/// Says where it stands, then waits for a word or the end of input.
fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()?;
    let mut word = [0];
    // The end of input will do for a word.
    let _ = io::stdin().lock().read(&mut word)?;
    Ok(())
}

/// Keeps a CPU busy for some time on the clock.
fn spin(time: Duration) {
    let until = Instant::now() + time;
    while Instant::now() < until {
        // Where the clock is not the processor's own, asking it is a system call.
        for _ in 0..10_000 {
            hint::spin_loop();
        }
    }
}

/// Short-lived processes, two at a time, living 5 to 20 ms; every fourth runs a program.
fn fork_storm(processes: u64) -> io::Result<()> {
    let mut living = Vec::new();
    for i in 0..processes {
        let time = Duration::from_millis(5 + i * 7 % 16);
        living.push(child(|| {
            if i % 4 == 0 {
                let time = time.as_millis().to_string();
                Command::new("/proc/self/exe").args(["--workload", "-", "0", "spin-now", &time]).status()?;
            } else {
                spin(time);
            }
            Ok(())
        })?);
        if living.len() == 2 {
            waitpid(living.remove(0), None)?;
        }
    }
    for pid in living {
        waitpid(pid, None)?;
    }
    Ok(())
}

fn threads(count: u64) -> io::Result<()> {
    let threads: Vec<_> = (0..count)
        .map(|i| {
            thread::spawn(move || {
                for _ in 0..20 {
                    spin(Duration::from_millis(1 + i % 5));
                    thread::sleep(Duration::from_micros(300));
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().map_err(|_| io::Error::other("a thread panicked"))?;
    }
    Ok(())
}

fn system_calls(time: Duration) -> io::Result<()> {
    let until = Instant::now() + time;
    let mut zeros = fs::File::open("/dev/zero")?;
    let mut buffer = vec![0; 1 << 20];
    while Instant::now() < until {
        zeros.read_exact(&mut buffer)?;
    }
    say("done")
}

/// Touches fresh memory page by page, sleeping in between.
fn faults(pages: u64) -> io::Result<()> {
    let page = 4096;
    let pages = usize::try_from(pages).map_err(io::Error::other)?;
    for _ in 0..10 {
        let mut memory = memmap2::MmapMut::map_anon(pages * page)?;
        memory.advise(memmap2::Advice::NoHugePage)?;
        for at in (0..memory.len()).step_by(page) {
            memory[at] = 1;
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// Writes a file of some pages to storage and reads it back; then writes another one and deletes it while it is still dirty.
fn read_and_write(folder: &Path, pages: u64) -> io::Result<()> {
    let path = folder.join(format!("uidmeter-test-io-{}", std::process::id()));
    let page = vec![7; 4096];
    let mut file = fs::File::options().create_new(true).read(true).write(true).open(&path)?;
    for _ in 0..pages {
        file.write_all(&page)?;
    }
    file.sync_all()?;
    nix::fcntl::posix_fadvise(&file, 0, 0, nix::fcntl::PosixFadviseAdvice::POSIX_FADV_DONTNEED)?;
    file.rewind()?;
    let mut content = Vec::new();
    file.read_to_end(&mut content)?;
    for _ in 0..pages {
        file.write_all(&page)?;
    }
    file.set_len(0)?;
    fs::remove_file(&path)
}

/// Distance of the blocks that [`read_slowly`] reads: far apart, so that none is read ahead.
const APART: u64 = 1 << 20;

/// A file without a name whose blocks are on storage and not in memory.
fn spread_out(folder: &Path, blocks: u64) -> io::Result<fs::File> {
    let path = folder.join(format!("uidmeter-test-blocks-{}", std::process::id()));
    let file = fs::File::options().create_new(true).read(true).write(true).open(&path)?;
    fs::remove_file(&path)?;
    for i in 0..blocks {
        file.write_all_at(&[7; 4096], i * APART)?;
    }
    file.sync_all()?;
    nix::fcntl::posix_fadvise(&file, 0, 0, nix::fcntl::PosixFadviseAdvice::POSIX_FADV_DONTNEED)?;
    Ok(file)
}

/// Reads each block; each is a wait for the device.
fn read_slowly(file: &fs::File, blocks: u64) -> io::Result<()> {
    let mut block = [0; 4096];
    for i in 0..blocks {
        file.read_exact_at(&mut block, i * APART)?;
    }
    Ok(())
}

/// Processes that each execute a program, and threads.
fn lifecycle(processes: u64, threads: u64) -> io::Result<()> {
    for _ in 0..processes {
        waitpid(
            child(|| Err(Command::new("/proc/self/exe").args(["--workload", "-", "0", "spin-now", "1"]).exec()))?,
            None,
        )?;
    }
    for _ in 0..threads {
        thread::spawn(|| spin(Duration::from_millis(1))).join().map_err(|_| io::Error::other("a thread panicked"))?;
    }
    Ok(())
}

/// Holds memory of each kind, in pages, with four threads that share it.
fn hold(anon: u64, file: u64, shmem: u64) -> io::Result<()> {
    let length = |pages: u64| usize::try_from(pages * 4096).map_err(io::Error::other);
    let mut private = memmap2::MmapMut::map_anon(length(anon)?)?;
    private.advise(memmap2::Advice::NoHugePage)?;
    let backing = nix::sys::memfd::memfd_create("uidmeter-test", nix::sys::memfd::MFdFlags::empty())?;
    let backing = fs::File::from(backing);
    backing.set_len(shmem * 4096)?;
    // SAFETY: nobody else knows the file, so it does not shrink.
    let mut shared_file = unsafe { memmap2::MmapMut::map_mut(&backing)? };
    let path = std::env::temp_dir().join(format!("uidmeter-test-hold-{}", std::process::id()));
    fs::write(&path, vec![1; length(file)?])?;
    // SAFETY: as above, the file is this process' own.
    let mapped = unsafe { memmap2::Mmap::map(&fs::File::open(&path)?)? };
    fs::remove_file(&path)?;
    let mut sum = 0_u64;
    for at in (0..private.len()).step_by(4096) {
        private[at] = 1;
    }
    for at in (0..shared_file.len()).step_by(4096) {
        shared_file[at] = 1;
    }
    for at in (0..mapped.len()).step_by(4096) {
        sum += u64::from(mapped[at]);
    }
    hint::black_box(sum);
    for _ in 0..3 {
        thread::spawn(|| thread::sleep(Duration::from_mins(5)));
    }
    say("done")
}

/// Reads a file again and again that is larger than the memory which the cgroup allows.
fn thrash(pages: u64, rounds: u64) -> io::Result<()> {
    let length = usize::try_from(pages * 4096).map_err(io::Error::other)?;
    let mut memory = vec![0_u8; 1 << 20];
    let path = std::env::temp_dir().join(format!("uidmeter-test-thrash-{}", std::process::id()));
    let mut file = fs::File::options().create_new(true).read(true).write(true).open(&path)?;
    fs::remove_file(&path)?;
    for _ in 0..rounds {
        file.rewind()?;
        for _ in 0..length / memory.len() {
            file.write_all(&memory)?;
        }
        file.sync_all()?;
        file.rewind()?;
        for _ in 0..length / memory.len() {
            file.read_exact(&mut memory)?;
        }
    }
    Ok(())
}

/// Takes memory until it is killed for it.
fn devour() -> io::Result<()> {
    let mut held = Vec::new();
    loop {
        let mut memory = memmap2::MmapMut::map_anon(1 << 22)?;
        memory.advise(memmap2::Advice::NoHugePage)?;
        for at in (0..memory.len()).step_by(4096) {
            memory[at] = 1;
        }
        held.push(memory);
    }
}

/// Spins and is moved between two CPUs every 3 ms.
fn wander(time: Duration) -> io::Result<()> {
    let until = Instant::now() + time;
    let cpus = thread::available_parallelism()?.get().min(2);
    let mut round = 0;
    while Instant::now() < until {
        let mut set = CpuSet::new();
        set.set(round % cpus)?;
        sched_setaffinity(Pid::from_raw(0), &set)?;
        spin(Duration::from_millis(3));
        round += 1;
    }
    Ok(())
}

/// Many users, each with one process that hardly lives.
fn many_users(users: u32) -> io::Result<()> {
    let first = nix::unistd::getuid().as_raw() + 1;
    for uid in first..first + users {
        let pid = child(|| {
            become_user(uid, false)?;
            spin(Duration::from_micros(100));
            Ok(())
        })?;
        waitpid(pid, None)?;
    }
    Ok(())
}

/// Forks; the child does `work` and ends.
fn child(work: impl FnOnce() -> io::Result<()>) -> io::Result<Pid> {
    // SAFETY: this process has one thread, so the child may do anything.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => {
            let code = i32::from(work().is_err());
            // SAFETY: ends the process, without the parent's exit handlers.
            unsafe { libc::_exit(code) }
        }
    }
}
