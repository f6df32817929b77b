//! Bytes of `/proc` files → plain values. Pure. A line counts only with its end, so that a number that was cut off is
//! absent instead of too small.

use super::{CpuTime, Events, Load, Memory, Pressure, Stall};
use crate::units::{Bytes, Nanos};

/// Whole lines that are text.
fn lines(text: &[u8]) -> impl Iterator<Item = &str> {
    let whole = text.iter().rposition(|byte| *byte == b'\n').map(|end| &text[..end]);
    let lines = whole.into_iter().flat_map(|text| text.split(|byte| *byte == b'\n'));
    lines.filter_map(|line| std::str::from_utf8(line).ok())
}

/// Digits only: no sign.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// `/proc/stat`: CPU time by mode, where a `tick` is the kernel's unit, and CPUs online. The latter are known only when
/// their lines have an end.
pub(super) fn stat(text: &[u8], tick: Nanos) -> (Option<CpuTime>, Option<u64>) {
    let mut total = None;
    let mut cpus = 0;
    for line in lines(text) {
        let mut words = line.split_ascii_whitespace();
        match words.next() {
            Some("cpu") => total = cpu_time(words, tick),
            Some(word) if word.strip_prefix("cpu").and_then(number).is_some() => cpus += 1,
            _ => return (total, (cpus > 0).then_some(cpus)),
        }
    }
    (total, None)
}

fn cpu_time<'a>(words: impl Iterator<Item = &'a str>, tick: Nanos) -> Option<CpuTime> {
    let mut times = words.map(|word| number(word).and_then(|ticks| ticks.checked_mul(tick.0)).map(Nanos));
    let mut next = || times.next().flatten();
    Some(CpuTime {
        user: next()?,
        nice: next()?,
        system: next()?,
        idle: next()?,
        iowait: next()?,
        irq: next()?,
        softirq: next()?,
        steal: next()?,
    })
}

/// `/proc/meminfo`.
pub(super) fn memory(text: &[u8]) -> Memory {
    let mut memory = Memory::default();
    for line in lines(text) {
        let Some((name, value)) = line.split_once(':') else { continue };
        let place = match name {
            "MemTotal" => &mut memory.total,
            "MemAvailable" => &mut memory.available,
            "MemFree" => &mut memory.free,
            "Buffers" => &mut memory.buffers,
            "Cached" => &mut memory.cached,
            "AnonPages" => &mut memory.anon,
            "Shmem" => &mut memory.shmem,
            "SReclaimable" => &mut memory.slab_reclaimable,
            "SUnreclaim" => &mut memory.slab_unreclaimable,
            "Dirty" => &mut memory.dirty,
            "SwapTotal" => &mut memory.swap_total,
            "SwapFree" => &mut memory.swap_free,
            _ => continue,
        };
        *place = kilobytes(value);
    }
    memory
}

/// A number of units of 1024 bytes, which the kernel calls kB.
fn kilobytes(text: &str) -> Option<Bytes> {
    number(text.trim().strip_suffix(" kB")?)?.checked_mul(1024).map(Bytes)
}

/// `/proc/pressure/*`.
pub(super) fn pressure(text: &[u8]) -> Pressure {
    let mut pressure = Pressure::default();
    for line in lines(text) {
        match line.split_once(' ') {
            Some(("some", rest)) => pressure.some = stall(rest),
            Some(("full", rest)) => pressure.full = stall(rest),
            _ => {}
        }
    }
    pressure
}

fn stall(text: &str) -> Option<Stall> {
    let value = |key: &str| text.split(' ').find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
    Some(Stall {
        total: Nanos(number(value("total")?)?.checked_mul(1_000)?),
        avg10: percent(value("avg10")?)?,
        avg60: percent(value("avg60")?)?,
        avg300: percent(value("avg300")?)?,
    })
}

/// A share from 0 to 1.
fn percent(text: &str) -> Option<f64> {
    decimal(text).map(|percent| percent / 100.0).filter(|share| *share <= 1.0)
}

/// Digits with a point between them: no sign, no exponent, no words.
fn decimal(text: &str) -> Option<f64> {
    text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.').then(|| text.parse().ok())?
}

/// `/proc/loadavg`.
pub(super) fn load(text: &[u8]) -> Option<Load> {
    let mut words = lines(text).next()?.split(' ');
    let (one, five, fifteen) = (decimal(words.next()?)?, decimal(words.next()?)?, decimal(words.next()?)?);
    let (runnable, threads) = words.next()?.split_once('/')?;
    Some(Load { one, five, fifteen, runnable: number(runnable)?, threads: number(threads)? })
}

/// `/proc/vmstat`.
pub(super) fn events(text: &[u8]) -> Events {
    let mut events = Events::default();
    let mut stalls = None;
    for line in lines(text) {
        let Some((name, value)) = line.split_once(' ') else { continue };
        let value = number(value);
        if name.starts_with("allocstall_") {
            // One line a zone. The sum is known once something else follows.
            stalls = Some(stalls.unwrap_or(Some(0_u64)).zip(value).and_then(|(sum, value)| sum.checked_add(value)));
            continue;
        }
        events.direct_reclaims = stalls.take().unwrap_or(events.direct_reclaims);
        match name {
            "pgfault" => events.faults = value,
            "pgmajfault" => events.major_faults = value,
            "pswpin" => events.swapped_in = value,
            "pswpout" => events.swapped_out = value,
            "oom_kill" => events.oom_kills = value,
            _ => {}
        }
    }
    events
}
