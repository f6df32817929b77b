//! Limits by way of systemd: runtime properties of `user-UID.slice`, over D-Bus.
//!
//! Never writes a cgroup: what PID 1 manages, only PID 1 changes (systemd's `CGROUP_DELEGATION`). What it says it has set is
//! read back from the kernel. Processes stay where they are; those of a user outside of his slice are not limited.

pub(super) mod bus;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use self::bus::{Bus, Setting};
use super::{
    cgroupfs::{
        files,
        host::{Host, RealHost},
    },
    disks,
    driver::{Driver, Fault, Group, Kind},
    journal::{Entry, Journal, Note},
    value::{MAX, Value},
};
use crate::{
    limits::{Limits, Property},
    units::Uid,
};

/// Where systemd keeps what `SetUnitProperties` sets until the next boot.
const DROP_INS: &str = "/run/systemd/system.control";
/// systemd answers before it has written the cgroup; it does so before it waits for anything else.
const LOOKS: usize = 50;
const PAUSE: Duration = Duration::from_millis(10);

/// The driver.
pub struct Systemd {
    bus: Box<dyn Bus>,
    /// Where cgroup v2 is mounted.
    mount: PathBuf,
    drop_ins: PathBuf,
    /// Cgroups of slices, as systemd named them.
    cgroups: BTreeMap<String, PathBuf>,
    /// Drop-ins that there would not be without us.
    made: Vec<(Uid, PathBuf)>,
}

impl Systemd {
    /// `Err` tells why users cannot be limited this way.
    pub fn open(mount: &Path) -> Result<Self, String> {
        let bus = bus::SystemBus::open()
            .map_err(|why| format!("monitor only: systemd runs on this host, but cannot be asked over D-Bus: {why}"))?;
        Self::over(Box::new(bus), mount, Path::new(DROP_INS))
    }

    fn over(bus: Box<dyn Bus>, mount: &Path, drop_ins: &Path) -> Result<Self, String> {
        let found = fs::read_to_string(mount.join("cgroup.controllers"));
        if !found.is_ok_and(|names| names.split_whitespace().any(|name| matches!(name, "cpu" | "memory" | "io"))) {
            return Err(format!(
                "monitor only: systemd runs on this host with cgroup v1, or with both versions: {} has none of the \
                 controllers cpu, memory and io; limits need cgroup v2 alone",
                mount.display()
            ));
        }
        let (mount, drop_ins) = (mount.to_owned(), drop_ins.to_owned());
        Ok(Self { bus, mount, drop_ins, cgroups: BTreeMap::new(), made: Vec::new() })
    }

    fn get(&mut self, unit: &str, name: &str) -> Result<Setting, Fault> {
        let fault = |why| Fault::Bus { what: "tell a property of", unit: unit.to_owned(), why };
        self.bus.get(unit, name).map_err(fault)
    }

    /// The cgroup of a slice that is active.
    fn find(&mut self, unit: &str) -> Result<(PathBuf, u64), Fault> {
        if let Some(found) = self.cgroups.get(unit).and_then(|path| Some((path.clone(), identity(path)?))) {
            return Ok(found);
        }
        let name = match self.get(unit, "ControlGroup")? {
            Setting::Text(path) => path,
            Setting::Number(_) | Setting::Rates(_) => String::new(),
        };
        let name = Path::new(name.trim_start_matches('/'));
        let is_inside = name.components().all(|part| matches!(part, std::path::Component::Normal(_)));
        let path = self.mount.join(name);
        match identity(&path).filter(|_| is_inside && !name.as_os_str().is_empty()) {
            Some(identity) => {
                self.cgroups.insert(unit.to_owned(), path.clone());
                Ok((path, identity))
            }
            None => Err(Fault::NotLoggedIn { unit: unit.to_owned() }),
        }
    }

    /// Journals the drop-in that systemd is about to make for us.
    fn announce(&mut self, uid: Uid, unit: &str, journal: &mut Journal) -> Result<(), Fault> {
        let mut entries = Vec::new();
        for property in Property::ALL {
            let path = self.drop_ins.join(format!("{unit}.d")).join(format!("50-{}.conf", drop_in(property)));
            if !self.made.iter().any(|(of, made)| *of == uid && *made == path) && !path.exists() {
                entries.push(Note::Made { uid: Some(uid), cgroup: path });
            }
        }
        if !entries.is_empty() {
            journal.append(&entries.iter().cloned().map(Entry::Note).collect::<Vec<_>>())?;
            for note in entries {
                self.recall(note);
            }
        }
        Ok(())
    }

    /// Waits until the kernel says what systemd was told.
    fn settle(&mut self, group: &Group, property: Property, wanted: &Value) {
        let wanted: Option<u64> = wanted.iter().filter_map(|(_, text)| text.parse().ok()).max();
        for _ in 0..LOOKS {
            let Ok(found) = self.in_force(group) else { return };
            let found = found.get(property);
            let is_there = match (wanted, property) {
                // Microseconds a second to thousandths of a CPU.
                (Some(wanted), Property::CpuMax) => found == Some(wanted / 1000),
                (Some(wanted), _) => found == Some(wanted),
                // What systemd is not told it takes for a hundred.
                (None, Property::CpuWeight | Property::IoWeight) => found.is_none_or(|weight| weight == 100),
                (None, _) => found.is_none(),
            };
            if is_there {
                return;
            }
            std::thread::sleep(PAUSE);
        }
    }
}

fn identity(path: &Path) -> Option<u64> {
    RealHost::new(path).identity(path).ok()
}

/// systemd's name for a property (`org.freedesktop.systemd1(5)`).
fn name(property: Property) -> &'static str {
    match property {
        Property::CpuWeight => "CPUWeight",
        Property::CpuMax => "CPUQuotaPerSecUSec",
        Property::MemoryHigh => "MemoryHigh",
        Property::MemoryMax => "MemoryMax",
        Property::IoWeight => "IOWeight",
        Property::IoRead => "IOReadBandwidthMax",
        Property::IoWrite => "IOWriteBandwidthMax",
    }
}

/// The name of its drop-in is that of the setting in a file.
fn drop_in(property: Property) -> &'static str {
    if property == Property::CpuMax { "CPUQuota" } else { name(property) }
}

/// `/dev/sda` for `8:0`, if there is such a device file: systemd looks disks up by it.
fn nodes() -> Vec<String> {
    disks::nodes(Path::new("/sys"), Path::new("/dev"))
}

impl Driver for Systemd {
    fn kind(&self) -> Kind {
        Kind::Systemd
    }

    fn recall(&mut self, note: Note) {
        if let Note::Made { uid: Some(uid), cgroup } = note {
            self.made.push((uid, cgroup));
        }
    }

    fn notes(&self) -> Vec<Note> {
        self.made.iter().map(|(uid, path)| Note::Made { uid: Some(*uid), cgroup: path.clone() }).collect()
    }

    fn prepare(&mut self, uid: Uid, journal: &mut Journal) -> Result<Group, Fault> {
        let unit = format!("user-{uid}.slice");
        let (_, life) = self.find(&unit)?;
        self.announce(uid, &unit, journal)?;
        Ok(Group { place: unit, life })
    }

    fn gather(&mut self, _users: &[(Uid, Group)], _journal: &mut Journal) -> Vec<(Uid, Fault)> {
        Vec::new()
    }

    fn express(&mut self, group: &Group, property: Property, amount: u64) -> Result<Value, Fault> {
        let amount = match property {
            Property::CpuMax => amount.saturating_mul(1000),
            Property::MemoryHigh | Property::MemoryMax => files::whole_pages(amount),
            _ => amount,
        };
        if !matches!(property, Property::IoRead | Property::IoWrite) {
            return Ok(Value::one(name(property), amount.to_string()));
        }
        let disks = nodes();
        if disks.is_empty() {
            return Err(Fault::Missing { group: group.place.clone(), file: "disk in /sys/block" });
        }
        Ok(disks.into_iter().map(|disk| (disk, amount.to_string())).collect())
    }

    fn read(&mut self, group: &Group, property: Property) -> Result<Value, Fault> {
        let text = |number: u64| if number == u64::MAX { MAX.to_owned() } else { number.to_string() };
        Ok(match self.get(&group.place, name(property))? {
            Setting::Number(number) => Value::one(name(property), text(number)),
            Setting::Rates(rates) => {
                let unlimited = nodes().into_iter().map(|disk| (disk, MAX.to_owned()));
                unlimited.chain(rates.into_iter().map(|(disk, rate)| (disk, text(rate)))).collect()
            }
            Setting::Text(found) => Value::one(name(property), found),
        })
    }

    fn write(&mut self, group: &Group, property: Property, parts: &Value) -> Result<(), Fault> {
        let number = |text: &str| text.parse().unwrap_or(u64::MAX);
        let setting = match property {
            Property::IoRead | Property::IoWrite => {
                Setting::Rates(parts.iter().map(|(disk, rate)| (disk.to_owned(), number(rate))).collect())
            }
            _ => Setting::Number(parts.get(name(property)).map_or(u64::MAX, number)),
        };
        let fault = |why| Fault::Bus { what: "set a property of", unit: group.place.clone(), why };
        self.bus.set(&group.place, name(property), &setting).map_err(fault)?;
        self.settle(group, property, parts);
        Ok(())
    }

    fn in_force(&mut self, group: &Group) -> Result<Limits, Fault> {
        let (path, _) = self.find(&group.place)?;
        let host = RealHost::new(&self.mount);
        files::in_force(&host, &path, &host.disks())
    }

    fn cgroup(&mut self, group: &Group) -> Result<PathBuf, Fault> {
        Ok(self.find(&group.place)?.0)
    }

    fn disband(&mut self, uid: Uid, _journal: &mut Journal) -> Result<(), Fault> {
        // The properties are as they were; without their files, what an admin configures from now on counts again.
        for (_, path) in self.made.iter().filter(|(of, _)| *of == uid) {
            match fs::remove_file(path) {
                Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Fault::Io { what: "remove", path: path.clone(), source });
                }
                _ => {}
            }
            if let Some(folder) = path.parent() {
                // Fails while there is something else in it.
                let _ = fs::remove_dir(folder);
            }
        }
        self.made.retain(|(of, _)| *of != uid);
        Ok(())
    }

    fn finish(&mut self, _journal: &mut Journal) -> Result<(), Fault> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
