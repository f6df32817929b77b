//! Writes the "newc" archive that the kernel unpacks as its first file system. Pure: bytes in, bytes out.
//! Everything belongs to root, whoever packs it.

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Directory,
    File,
    Link,
    CharacterDevice { major: u32, minor: u32 },
}

/// An archive under construction.
#[derive(Debug, Default)]
pub(super) struct Archive {
    bytes: Vec<u8>,
    entries: u32,
    directories: Vec<String>,
}

impl Archive {
    /// A directory with all that lie above it; once each.
    pub(super) fn directory(&mut self, path: &str) {
        self.directory_with(path, 0o755);
    }

    /// A directory with permissions of its own.
    pub(super) fn directory_with(&mut self, path: &str, permissions: u32) {
        let path = path.trim_matches('/');
        if path.is_empty() || self.directories.iter().any(|known| known == path) {
            return;
        }
        self.parents(path);
        self.entry(path, Kind::Directory, permissions, &[]);
        self.directories.push(path.to_owned());
    }

    /// A regular file; its directories come by themselves.
    pub(super) fn file(&mut self, path: &str, permissions: u32, content: &[u8]) {
        self.parents(path);
        self.entry(path, Kind::File, permissions, content);
    }

    /// A symbolic link.
    pub(super) fn link(&mut self, path: &str, goal: &str) {
        self.parents(path);
        self.entry(path, Kind::Link, 0o777, goal.as_bytes());
    }

    /// A device node, which only the archive lets an ordinary user make.
    pub(super) fn device(&mut self, path: &str, major: u32, minor: u32) {
        self.parents(path);
        self.entry(path, Kind::CharacterDevice { major, minor }, 0o600, &[]);
    }

    /// The finished archive.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", Kind::File, 0, &[]);
        self.bytes
    }

    fn parents(&mut self, path: &str) {
        if let Some((folder, _)) = path.trim_matches('/').rsplit_once('/') {
            self.directory(folder);
        }
    }

    fn entry(&mut self, path: &str, kind: Kind, permissions: u32, content: &[u8]) {
        let path = path.trim_matches('/');
        self.entries += 1;
        let (format, major, minor) = match kind {
            Kind::Directory => (0o040_000, 0, 0),
            Kind::File => (0o100_000, 0, 0),
            Kind::Link => (0o120_000, 0, 0),
            Kind::CharacterDevice { major, minor } => (0o020_000, major, minor),
        };
        let fields: [usize; 13] = [
            self.entries as usize, // inode
            (format | permissions) as usize,
            0, // owner
            0, // group
            1, // links
            0, // time: the same content gives the same archive
            content.len(),
            0,
            0,
            major as usize,
            minor as usize,
            path.len() + 1,
            0, // no checksum in this format
        ];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes.extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(path.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(content);
        self.pad();
    }

    /// Header with name, and content, each end on a multiple of four.
    fn pad(&mut self) {
        let whole = self.bytes.len().next_multiple_of(4);
        self.bytes.resize(whole, 0);
    }
}

/// Reads an archive back: (path, mode, content).
#[cfg(test)]
pub(super) fn entries(bytes: &[u8]) -> Vec<(String, usize, Vec<u8>)> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let header = &bytes[at..at + 110];
        assert_eq!(&header[..6], b"070701");
        let field = |index: usize| {
            let text = String::from_utf8_lossy(&header[6 + 8 * index..14 + 8 * index]);
            usize::from_str_radix(&text, 16).unwrap_or(usize::MAX)
        };
        let (mode, size, name) = (field(1), field(6), field(11));
        let path = String::from_utf8_lossy(&bytes[at + 110..at + 109 + name]).into_owned();
        let content = (at + 110 + name).next_multiple_of(4);
        found.push((path, mode, bytes[content..content + size].to_vec()));
        at = (content + size).next_multiple_of(4);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_come_once_and_before_what_they_hold() {
        let mut archive = Archive::default();
        archive.file("/etc/a/passwd", 0o644, b"root");
        archive.file("/etc/a/group", 0o644, b"x");
        let paths: Vec<String> = entries(&archive.finish()).into_iter().map(|entry| entry.0).collect();
        assert_eq!(paths, ["etc", "etc/a", "etc/a/passwd", "etc/a/group", "TRAILER!!!"]);
    }

    #[test]
    fn kinds_permissions_and_contents_survive() {
        let mut archive = Archive::default();
        archive.file("init", 0o755, b"hello");
        archive.link("sh", "busybox");
        archive.device("console", 5, 1);
        let bytes = archive.finish();
        assert_eq!(bytes.len() % 4, 0);
        let entries = entries(&bytes);
        assert_eq!(entries[0], ("init".to_owned(), 0o100_755, b"hello".to_vec()));
        assert_eq!(entries[1], ("sh".to_owned(), 0o120_777, b"busybox".to_vec()));
        assert_eq!((entries[2].0.as_str(), entries[2].1), ("console", 0o020_600));
    }
}
