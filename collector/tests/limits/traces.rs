//! What can be seen of limits from outside: values in cgroups, groups, enabled controllers, what systemd has written down.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use crate::people::{Person, has_systemd};

/// Where cgroup v2 is.
pub(crate) const ROOT: &str = "/sys/fs/cgroup";

/// What limits are written to, and what stands there where nobody has limited anything.
const FILES: [(&str, &str); 7] = [
    ("cpu.weight", "100"),
    ("cpu.max", "max 100000"),
    ("cpu.max.burst", "0"),
    ("memory.high", "max"),
    ("memory.max", "max"),
    ("io.weight", "default 100"),
    ("io.max", ""),
];

/// The group in which `person` is limited.
pub(crate) fn group_of(person: Person) -> PathBuf {
    let name = if has_systemd() { "user.slice/user-UID.slice" } else { "uidmeter-UID" };
    Path::new(ROOT).join(name.replace("UID", &person.uid.to_string()))
}

/// Values of a group that are not what the kernel begins with. A group or file that is not there limits nothing.
pub(crate) fn limits_of(group: &Path) -> io::Result<BTreeMap<&'static str, String>> {
    let mut found = BTreeMap::new();
    for (file, usual) in FILES {
        let Some(text) = read(&group.join(file))? else { continue };
        if text.trim() != usual {
            found.insert(file, text.trim().to_owned());
        }
    }
    Ok(found)
}

/// A file's text; `None` if it is gone, which may happen between opening and reading as well.
pub(crate) fn read(path: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENODEV)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Everything in the machine that a limit may have left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Traces(BTreeMap<String, String>);

impl Traces {
    pub(crate) fn now() -> io::Result<Self> {
        let mut traces = Self::default();
        traces.groups(Path::new(ROOT))?;
        for folder in ["/run/systemd/system.control", "/etc/systemd/system.control"] {
            traces.files(Path::new(folder))?;
        }
        Ok(traces)
    }

    /// Values of `group` and all below it. Sessions come and go, and with them systemd enables what they need; without it,
    /// nobody but the daemon makes groups.
    fn groups(&mut self, group: &Path) -> io::Result<()> {
        for (file, value) in limits_of(group)? {
            self.0.insert(group.join(file).display().to_string(), value);
        }
        if !has_systemd() {
            let enabled = read(&group.join("cgroup.subtree_control"))?.unwrap_or_default();
            self.0.insert(format!("controllers below {}", group.display()), enabled.trim().to_owned());
        }
        let Ok(entries) = fs::read_dir(group) else { return Ok(()) };
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_dir()) {
            self.groups(&path)?;
        }
        Ok(())
    }

    /// All files below a folder, which need not be there.
    fn files(&mut self, folder: &Path) -> io::Result<()> {
        let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            if path.is_dir() {
                self.files(&path)?;
            } else if let Some(text) = read(&path)? {
                self.0.insert(path.display().to_string(), text);
            }
        }
        Ok(())
    }

    /// What is different in `other`, for people.
    pub(crate) fn difference(&self, other: &Self) -> String {
        let gone = self.0.iter().filter(|(name, value)| other.0.get(*name) != Some(value));
        let new = other.0.iter().filter(|(name, value)| self.0.get(*name) != Some(value));
        let gone = gone.map(|(name, value)| format!("{name} was {value:?}"));
        let new = new.map(|(name, value)| format!("{name} is {value:?}"));
        gone.chain(new).collect::<Vec<_>>().join(", ")
    }
}
