//! The audit log: one JSON object a line for everything that was limited or given back. Append-only; whoever rotates it
//! renames it, and the next line begins a new file.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::SystemTime,
};

use serde::Serialize;

use super::event::Event;

/// A rule's reason is cut to this many bytes.
const MOST_REASON: usize = 1024;
/// A longer line has its changes left out.
const MOST_LINE: usize = 8192;

/// The log.
#[derive(Debug)]
pub struct Audit {
    path: PathBuf,
    boot: String,
    file: Option<File>,
}

#[derive(Serialize)]
struct Line<'a> {
    time: String,
    boot: &'a str,
    #[serde(flatten)]
    event: &'a Event,
    /// Why `changes` is empty although something was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    changes_left_out: Option<usize>,
}

impl Audit {
    /// Opens the file with the first line.
    pub fn new(path: &Path) -> Self {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        Self { path: path.to_owned(), boot: boot.trim().to_owned(), file: None }
    }

    /// Opens the file anew with the next line.
    pub fn reopen(&mut self) {
        self.file = None;
    }

    /// Appends one line.
    pub fn write(&mut self, mut event: Event, time: SystemTime) -> io::Result<()> {
        if let Some(cause) = &mut event.cause {
            cut(&mut cause.reason, MOST_REASON);
            cut(&mut cause.rule, MOST_REASON);
        }
        let time = humantime::format_rfc3339_millis(time).to_string();
        let mut line = Line { time, boot: &self.boot, event: &event, changes_left_out: None };
        let mut text = serde_json::to_string(&line)?;
        if text.len() > MOST_LINE {
            let short = Event { changes: Vec::new(), ..event.clone() };
            line.changes_left_out = Some(event.changes.len());
            line.event = &short;
            text = serde_json::to_string(&line)?;
        }
        text.push('\n');
        let file = self.file()?;
        let result = file.write_all(text.as_bytes());
        if result.is_err() {
            self.file = None;
        }
        result
    }

    /// The file that has the name at present.
    fn file(&mut self) -> io::Result<&mut File> {
        let named = fs::symlink_metadata(&self.path).map(|meta| (meta.dev(), meta.ino())).ok();
        let open = self.file.as_ref().and_then(|file| file.metadata().ok()).map(|meta| (meta.dev(), meta.ino()));
        if open.is_none() || open != named {
            self.file = None;
        }
        if self.file.is_none() {
            let mut options = OpenOptions::new();
            options.create(true).append(true).mode(0o640).custom_flags(libc::O_NOFOLLOW);
            self.file = Some(options.open(&self.path)?);
        }
        self.file.as_mut().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// Shortens to at most `most` bytes, between characters.
fn cut(text: &mut String, most: usize) {
    if text.len() > most {
        text.truncate(text.floor_char_boundary(most));
        text.push('…');
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "to be replaced")]
mod tests {
    use super::{Audit, MOST_LINE, SystemTime, fs};
    use crate::{
        enforce::{
            Outcome,
            event::{Change, Deed, Event},
            value::Value,
        },
        limits::{Cause, Limits, Property},
        units::Uid,
    };

    fn event(reason: String, disks: usize) -> Event {
        let value = |rate: &str| (0..disks).map(|disk| (format!("8:{disk}"), rate.to_owned())).collect::<Value>();
        Event {
            uid: Uid(20_001),
            deed: Deed::Set,
            changes: vec![Change { property: Property::IoRead, old: value("max"), new: value("1") }],
            cause: Some(Cause { rule: "hogs".into(), reason }),
            outcome: Outcome::Applied { group: "/g".into(), in_force: Limits::default(), changed: true },
        }
    }

    #[test]
    fn a_line_says_who_what_and_why_and_a_new_name_begins_a_new_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let mut audit = Audit::new(&path);
        audit.write(event("a \"reason\"\nin two lines".into(), 1), SystemTime::UNIX_EPOCH).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 1);
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["time"], "1970-01-01T00:00:00.000Z");
        assert_eq!((&line["uid"], &line["deed"]), (&20_001.into(), &"set".into()));
        assert_eq!(line["changes"][0]["new"]["8:0"], "1");
        assert_eq!(line["cause"]["reason"], "a \"reason\"\nin two lines");
        fs::rename(&path, folder.path().join("audit.log.1")).unwrap();
        audit.write(event("next".into(), 1), SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 1);
    }

    #[test]
    fn lines_are_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let mut audit = Audit::new(&path);
        audit.write(event("ä".repeat(5_000), 5_000), SystemTime::UNIX_EPOCH).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.len() <= MOST_LINE, "{}", text.len());
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["changes_left_out"], 1);
    }
}
