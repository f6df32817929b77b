//! The file as a whole: reads it, walks its four sections, and keeps every problem.

use std::path::{Path, PathBuf};

use super::{
    super::{
        bounded_file::{self, Contents, Readers, is_open_to_others},
        document::{MOST_BYTES, Problems, Section, parse_yaml},
    },
    WebConfig, WebConfigError, http, tls, users,
};

impl WebConfig {
    /// Reads and checks `path` and the files that it names.
    ///
    /// # Errors
    /// One sentence for each problem.
    pub fn load(path: &Path) -> Result<Self, WebConfigError> {
        let contents = bounded_file::read("the web configuration file", path, MOST_BYTES, Readers::Anybody)
            .map_err(|sentence| WebConfigError(vec![sentence]))?;
        Self::parse(&contents, path)
    }

    /// Checks the contents of `path` and the files that they name, relative to its folder.
    pub(in super::super) fn parse(contents: &Contents, path: &Path) -> Result<Self, WebConfigError> {
        let mut reading = Reading {
            folder: path.parent().map(Path::to_owned).unwrap_or_default(),
            problems: Problems::of(path),
            warnings: Vec::new(),
            files: vec![path.to_owned()],
            mode: contents.mode,
        };
        let mut config = Self::default();
        match parse_yaml(&contents.bytes) {
            Ok(root) => {
                if let Some(mut root) = Section::new(&root, "", &mut reading.problems) {
                    config.tls = tls::read(&mut root, &mut reading);
                    config.http = http::read(&mut root, &mut reading);
                    config.rate_limit = http::read_rate_limit(&mut root, &mut reading);
                    config.basic = users::read(&mut root, &mut reading);
                    root.finish(&mut reading.problems);
                }
            }
            Err(mistake) => reading.problems.mistake(&mistake),
        }
        if !reading.problems.is_empty() {
            return Err(WebConfigError(reading.problems.into_sentences()));
        }
        config.warnings = reading.warnings;
        config.files = reading.files;
        Ok(config)
    }

    /// For fuzzing: `bytes` as if they were the contents of `path`.
    ///
    /// # Errors
    /// One sentence for each problem.
    pub fn from_bytes(bytes: &[u8], path: &Path) -> Result<Self, WebConfigError> {
        Self::parse(&Contents { bytes: bytes.to_vec().into(), mode: 0o600 }, path)
    }
}

/// What is known while the file is read.
pub(super) struct Reading {
    folder: PathBuf,
    pub(super) problems: Problems,
    pub(super) warnings: Vec<String>,
    files: Vec<PathBuf>,
    /// Permission bits of the configuration file itself.
    mode: u32,
}

impl Reading {
    pub(super) fn warn(&mut self, line: u64, sentence: impl std::fmt::Display) {
        let place = self.problems.place(line);
        self.warnings.push(format!("{place}: {sentence}"));
    }

    /// The contents of a file that is named at `line`.
    pub(super) fn file(&mut self, what: &str, name: &str, line: u64, readers: Readers) -> Option<(PathBuf, Contents)> {
        let path = self.folder.join(name);
        self.files.push(path.clone());
        match bounded_file::read(what, &path, MOST_BYTES, readers) {
            Ok(contents) => Some((path, contents)),
            Err(sentence) => {
                self.problems.at(line, sentence);
                None
            }
        }
    }

    /// Refuses a secret inside a file that others can read.
    pub(super) fn refuse_inline_secret_for_all(&mut self, what: &str, line: u64) {
        if is_open_to_others(self.mode) {
            let mode = self.mode;
            self.problems.at(
                line,
                format!("{what} stands in a file that is open to others (mode {mode:04o}); run chmod 0600 on it"),
            );
        }
    }

    /// Whether users outside the file's group can read it.
    pub(super) const fn is_readable_by_all(&self) -> bool {
        self.mode & 0o004 != 0
    }
}
