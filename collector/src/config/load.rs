//! Defaults, then the file, then the flags: puts them on top of each other and collects what is wrong with any of them.

use std::{
    ffi::{OsStr, OsString},
    fmt, io,
    path::{Path, PathBuf},
};

use super::{
    Config, ConfigError, Observe, ObserveFlags, Problem, RunFlags, file,
    flags::Given,
    rules,
    settings::{SETTINGS, Setting},
};

/// Where the file is looked for unless one is named. It need not exist.
pub const DEFAULT_FILE: &str = "/etc/uidmeter/uidmeter.toml";
/// More problems than this are told only by their number.
const SHOWN: usize = 50;

/// A configuration, and where each part of it comes from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// Checked.
    pub config: Config,
    /// The file that was read; `None` if there was none.
    pub file: Option<PathBuf>,
    /// Where each setting's value comes from, in the order of [`SETTINGS`].
    pub origins: Vec<Origin>,
    flags: RunFlags,
    usual: PathBuf,
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody has said anything.
    Default,
    /// The file, with the number of its line.
    File {
        /// Which.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
    },
    /// The command line.
    Flag,
}

impl Origin {
    /// `setting` as it was spelled there, with the place.
    pub(super) fn name(&self, setting: &Setting) -> String {
        match self {
            Self::Default => setting.name(),
            Self::File { path, line } => format!("{}:{line}: {}", path.display(), setting.name()),
            Self::Flag => format!("--{}", setting.flag),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { line, .. } => write!(f, "line {line}"),
            Self::Flag => f.write_str("flag"),
        }
    }
}

impl Loaded {
    /// Reads the file that `flags` name, or the usual one if it exists, and puts the flags on top.
    ///
    /// # Errors
    /// Everything that is wrong with either.
    pub fn new(flags: &RunFlags) -> Result<Self, ConfigError> {
        Self::with_default_file(flags, Path::new(DEFAULT_FILE))
    }

    /// The flags with which another process of this program reads the same.
    pub fn arguments(&self) -> Vec<OsString> {
        self.flags.arguments()
    }

    /// Like [`Loaded::new`], with another usual file.
    pub(super) fn with_default_file(flags: &RunFlags, usual: &Path) -> Result<Self, ConfigError> {
        let mut stack = Stack::new();
        let path = flags.file.as_deref().unwrap_or(usual);
        let file = match file::read(path) {
            Ok(text) => {
                stack.file(path, &text);
                Some(path.to_owned())
            }
            Err(Problem::Read { source, .. }) if flags.file.is_none() && source.kind() == io::ErrorKind::NotFound => {
                None
            }
            Err(problem) => {
                stack.problems.push(problem);
                None
            }
        };
        stack.flags(&flags.given);
        rules::check(&stack.config, &stack.origins, &mut stack.problems);
        let (config, origins) = stack.done()?;
        Ok(Self { config, file, origins, flags: flags.clone(), usual: usual.into() })
    }

    /// Reads the file again and puts the same flags on top.
    ///
    /// # Errors
    /// Everything that is wrong by now.
    pub fn again(&self) -> Result<Self, ConfigError> {
        Self::with_default_file(&self.flags, &self.usual)
    }
}

impl Observe {
    /// From flags alone, without a file.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn new(flags: &ObserveFlags) -> Result<Self, ConfigError> {
        let mut stack = Stack::new();
        stack.flags(&flags.given);
        stack.done().map(|(config, _)| config.observe)
    }
}

struct Stack {
    config: Config,
    origins: Vec<Origin>,
    problems: Vec<Problem>,
}

impl Stack {
    fn new() -> Self {
        Self { config: Config::default(), origins: vec![Origin::Default; SETTINGS.len()], problems: Vec::new() }
    }

    fn file(&mut self, path: &Path, text: &str) {
        let contents = file::parse(path, text);
        let mut problems = contents.problems;
        for given in contents.given {
            let origin = Origin::File { path: path.into(), line: given.line };
            let set = given.values.and_then(|values| self.set(given.setting, &values, &origin));
            if let Err(found) = set {
                problems.push((given.line, unusable(&SETTINGS[given.setting], &origin, found)));
            }
        }
        problems.sort_by_key(|(line, _)| *line);
        self.problems.extend(problems.into_iter().map(|(_, problem)| problem));
    }

    fn flags(&mut self, given: &Given) {
        for (setting, values) in given {
            if let Err(found) = self.set(*setting, values, &Origin::Flag) {
                self.problems.push(unusable(&SETTINGS[*setting], &Origin::Flag, found));
            }
        }
    }

    fn set<T: AsRef<OsStr>>(&mut self, setting: usize, values: &[T], origin: &Origin) -> Result<(), String> {
        SETTINGS[setting].kind.set(values, &mut self.config)?;
        self.origins[setting] = origin.clone();
        Ok(())
    }

    fn done(mut self) -> Result<(Config, Vec<Origin>), ConfigError> {
        if self.problems.is_empty() {
            return Ok((self.config, self.origins));
        }
        if self.problems.len() > SHOWN {
            let more = self.problems.split_off(SHOWN).len();
            self.problems.push(Problem::More(more));
        }
        Err(ConfigError(self.problems))
    }
}

fn unusable(setting: &Setting, origin: &Origin, found: String) -> Problem {
    Problem::Value { at: origin.name(setting), found, allowed: setting.kind.allowed() }
}
