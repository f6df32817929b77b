//! Which files of a cgroup stand for a property, and what their text means.

use std::path::{Path, PathBuf};

use super::{
    super::value::{BURST, MAX},
    Fault, Group, Host, Property, Value,
};
use crate::{
    limits::{Limits, Millicores, Weight},
    units::Bytes,
};

/// `cpu.max` is written for each tenth of a second, the kernel's own choice.
const PERIOD_US: u64 = 100_000;
const CPU_WEIGHT: &str = "cpu.weight";
const CPU_MAX: &str = "cpu.max";
const IO_WEIGHT: &str = "io.weight";
const IO_MAX: &str = "io.max";

fn file(property: Property) -> &'static str {
    match property {
        Property::CpuWeight => CPU_WEIGHT,
        Property::CpuMax => CPU_MAX,
        Property::MemoryHigh => "memory.high",
        Property::MemoryMax => "memory.max",
        Property::IoWeight => IO_WEIGHT,
        Property::IoRead | Property::IoWrite => IO_MAX,
    }
}

/// The key of a line in `io.max`.
fn key(property: Property) -> &'static str {
    if property == Property::IoWrite { "wbps" } else { "rbps" }
}

/// What to write, rounded down as the kernel would.
pub(super) fn express(group: &Group, property: Property, amount: u64, disks: &[String]) -> Result<Value, Fault> {
    let file = file(property);
    Ok(match property {
        Property::CpuMax => {
            let quota = amount.saturating_mul(PERIOD_US / 1000);
            Value::one(CPU_MAX, format!("{quota} {PERIOD_US}")).and(BURST, "0")
        }
        Property::MemoryHigh | Property::MemoryMax => Value::one(file, whole_pages(amount).to_string()),
        Property::CpuWeight | Property::IoWeight => Value::one(file, amount.to_string()),
        Property::IoRead | Property::IoWrite => {
            if disks.is_empty() {
                return Err(Fault::Missing { group: group.place.clone(), file: "disk in /sys/block" });
            }
            disks.iter().map(|disk| (disk.clone(), amount.to_string())).collect()
        }
    })
}

/// Rounded down, as `page_counter_memparse` does.
pub(in crate::enforce) fn whole_pages(bytes: u64) -> u64 {
    let size = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok().flatten();
    let size = size.and_then(|size| u64::try_from(size).ok()).filter(|size| *size > 0).unwrap_or(4096);
    bytes - bytes % size
}

/// The value at present, of all disks that are there or have a limit.
pub(super) fn read(host: &impl Host, group: &Group, property: Property, disks: &[String]) -> Result<Value, Fault> {
    let folder = Path::new(&group.place);
    let name = file(property);
    let text = text(host, folder, name)?;
    Ok(match property {
        Property::CpuMax => {
            let value = Value::one(name, text.trim());
            // Linux before 5.14 has no burst.
            match host.read(&folder.join(BURST)) {
                Ok(burst) => value.and(BURST, burst.trim()),
                Err(_) => value,
            }
        }
        Property::IoWeight => Value::one(name, default_weight(&text)),
        Property::IoRead | Property::IoWrite => {
            let found = rates(&text, key(property));
            let unlimited = disks.iter().map(|disk| (disk.clone(), MAX.to_owned()));
            unlimited.chain(found).collect()
        }
        _ => Value::one(name, text.trim()),
    })
}

/// A file's text; the group is gone, or the file alone is missing.
fn text(host: &impl Host, folder: &Path, name: &'static str) -> Result<String, Fault> {
    let path = folder.join(name);
    host.read(&path).map_err(|error| match Fault::of_read(&path, error) {
        Fault::Vanished { group } if host.identity(folder).is_ok() => Fault::Missing { group, file: name },
        fault => fault,
    })
}

/// The lines of `io.max` (`8:0 rbps=1 wbps=max riops=max wiops=max`) by disk.
fn rates<'a>(text: &'a str, key: &'a str) -> impl Iterator<Item = (String, String)> + use<'a> {
    text.lines().filter_map(move |line| {
        let (disk, rest) = line.split_once(' ')?;
        let rate = rest.split_ascii_whitespace().find_map(|word| word.strip_prefix(key)?.strip_prefix('='))?;
        Some((disk.to_owned(), rate.to_owned()))
    })
}

/// `io.weight` says `default 100`, and more lines for single disks.
fn default_weight(text: &str) -> &str {
    text.lines().find_map(|line| line.strip_prefix("default ")).unwrap_or(text).trim()
}

/// The writes for these parts, in an order that the kernel accepts: a burst may not be above its quota
/// (`tg_set_cfs_bandwidth`), so one that is to be lowered comes first, and one that is to be raised last.
pub(super) fn steps(host: &impl Host, group: &Group, property: Property, parts: &Value) -> Vec<(PathBuf, String)> {
    let folder = Path::new(&group.place);
    match property {
        Property::IoRead | Property::IoWrite => {
            let line = |(disk, rate)| (folder.join(IO_MAX), format!("{disk} {}={rate}", key(property)));
            parts.iter().map(line).collect()
        }
        Property::CpuMax => {
            let step = |name: &str| parts.get(name).map(|text| (folder.join(name), text.to_owned()));
            let number = |text: &str| text.trim().parse().unwrap_or(0_u64);
            let burst = host.read(&folder.join(BURST)).map_or(0, |text| number(&text));
            let lowers = parts.get(BURST).is_some_and(|wanted| number(wanted) < burst);
            let order = if lowers { [BURST, CPU_MAX] } else { [CPU_MAX, BURST] };
            order.into_iter().filter_map(step).collect()
        }
        _ => parts.iter().map(|(name, text)| (folder.join(name), text.to_owned())).collect(),
    }
}

/// What the kernel enforces in a cgroup. A file that is not there limits nothing.
pub(in crate::enforce) fn in_force(host: &impl Host, folder: &Path, disks: &[String]) -> Result<Limits, Fault> {
    host.identity(folder).map_err(|error| Fault::of_read(folder, error))?;
    let text = |name: &str| host.read(&folder.join(name)).unwrap_or_default();
    let weight = |text: &str| text.trim().parse().ok().and_then(Weight::new);
    let bytes = |name: &str| text(name).trim().parse().ok().map(Bytes);
    let io_max = text(IO_MAX);
    // The loosest: a disk without a limit means that there is none.
    let rate = |key: &str| {
        let rates: Vec<(String, String)> = rates(&io_max, key).collect();
        let of = |disk: &String| rates.iter().find(|(found, _)| found == disk)?.1.parse::<u64>().ok();
        disks.iter().map(of).collect::<Option<Vec<u64>>>()?.into_iter().max().map(Bytes)
    };
    Ok(Limits {
        cpu_weight: weight(&text(CPU_WEIGHT)),
        cpu_max: millicores(&text(CPU_MAX)),
        memory_high: bytes("memory.high"),
        memory_max: bytes("memory.max"),
        io_weight: weight(default_weight(&text(IO_WEIGHT))),
        io_read: rate("rbps"),
        io_write: rate("wbps"),
    })
}

/// `150000 100000` is 1,500.
fn millicores(text: &str) -> Option<Millicores> {
    let (quota, period) = text.trim().split_once(' ')?;
    let (quota, period): (u64, u64) = (quota.parse().ok()?, period.parse().ok()?);
    Millicores::new(u32::try_from(quota.checked_mul(1000)?.checked_div(period)?).ok()?)
}

/// Whether somebody has set anything in `child` that would be lost without the controller.
pub(super) fn is_used(host: &impl Host, child: &Path, controller: &str) -> bool {
    let defaults: &[(&str, &[&str])] = match controller {
        "cpu" => &[(CPU_WEIGHT, &["100"]), (CPU_MAX, &["max 100000"]), ("cpu.idle", &["0"])],
        "memory" => &[
            ("memory.min", &["0"]),
            ("memory.low", &["0"]),
            ("memory.high", &[MAX]),
            ("memory.max", &[MAX]),
            ("memory.swap.max", &[MAX]),
        ],
        _ => &[(IO_WEIGHT, &["default 100"]), (IO_MAX, &[""]), ("io.latency", &[""])],
    };
    let is_passed_on =
        host.read(&child.join(super::SUBTREE)).is_ok_and(|text| text.split_whitespace().any(|name| name == controller));
    is_passed_on
        || defaults
            .iter()
            .any(|(name, usual)| host.read(&child.join(name)).is_ok_and(|text| !usual.contains(&text.trim())))
}
