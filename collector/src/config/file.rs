//! The TOML file: which settings it gives, line by line, and what in it is no setting. Whether values can be used is for
//! [`super::kind`] to say.

use std::{
    fs::OpenOptions,
    io::{self, Read as _},
    ops::Range,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    Kind, Problem,
    kind::quoted,
    settings::{SECTIONS, SETTINGS, Setting, find},
};

/// A file that is longer is something else.
const MOST_BYTES: u64 = 1 << 20;
/// Names are taken for misspelt from this similarity on, of 1.
const SIMILAR: f64 = 0.8;

/// What a file gives.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// In the order of the file.
    pub(super) given: Vec<Given>,
    /// With the line of each.
    pub(super) problems: Vec<(usize, Problem)>,
}

/// A setting that stands in the file.
#[derive(Debug)]
pub(super) struct Given {
    /// Index of the setting in [`SETTINGS`].
    pub(super) setting: usize,
    /// Counted from 1.
    pub(super) line: usize,
    /// Its values as text, or what stands there instead of such values.
    pub(super) values: Result<Vec<String>, String>,
}

/// Why a file is of no use.
#[derive(Debug)]
pub(crate) enum Unreadable {
    /// It cannot be read.
    Read(io::Error),
    /// It cannot be text for people; says what it is instead.
    Not(String),
}

/// The file's text.
pub(super) fn read(path: &Path) -> Result<String, Problem> {
    text_of(path).map_err(|why| match why {
        Unreadable::Read(source) => Problem::Read { path: path.into(), source },
        Unreadable::Not(what) => Problem::NotConfiguration { path: path.into(), what },
    })
}

/// The text of a file that people write. Never waits: what is not a regular file is refused.
pub(crate) fn text_of(path: &Path) -> Result<String, Unreadable> {
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(Unreadable::Read)?;
    if !file.metadata().map_err(Unreadable::Read)?.is_file() {
        return Err(Unreadable::Not("is no regular file".into()));
    }
    let mut bytes = Vec::new();
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(Unreadable::Read)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(Unreadable::Not(format!("is longer than {MOST_BYTES} bytes, which no configuration is")));
    }
    String::from_utf8(bytes).map_err(|error| {
        let readable = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = readable.split(|byte| *byte == b'\n').count();
        Unreadable::Not(format!("is not text in UTF-8: see line {line}"))
    })
}

/// Finds the settings in `text`, which was read from `path`.
pub(super) fn parse(path: &Path, text: &str) -> Contents {
    let lines = Lines::of(text);
    let mut contents = Contents::default();
    let (root, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let line = lines.at(error.span());
        let why = error.message().replace(char::is_control, " ");
        contents.problems.push((line, Problem::Syntax { path: path.into(), line, why }));
    }
    let unparsed: Vec<usize> = contents.problems.iter().map(|(line, _)| *line).collect();
    let mut reader = Reader { path, lines, unparsed, contents };
    for (key, value) in root.get_ref() {
        reader.section(key, value);
    }
    let mut contents = reader.contents;
    contents.given.sort_by_key(|given| given.line);
    contents.problems.sort_by_key(|(line, _)| *line);
    contents
}

struct Reader<'a> {
    path: &'a Path,
    lines: Lines,
    /// Lines of which the parser could make nothing: what it recovered from them is guesswork.
    unparsed: Vec<usize>,
    contents: Contents,
}

type Key<'a> = Spanned<toml::de::DeString<'a>>;
type Value<'a> = Spanned<DeValue<'a>>;

impl Reader<'_> {
    fn section(&mut self, key: &Key<'_>, value: &Value<'_>) {
        let Some(line) = self.line_of(key) else { return };
        let name = &**key.get_ref();
        match value.get_ref() {
            DeValue::Table(settings) if SECTIONS.iter().any(|section| section.name == name) => {
                for (key, value) in settings {
                    self.setting(name, key, value);
                }
            }
            DeValue::Table(_) => self.unknown(line, "section", quotable(name), nearest_section(name)),
            other if SECTIONS.iter().any(|section| section.name == name) => {
                let at = format!("{}:{line}: {name}", self.path.display());
                let allowed = format!("a section: write [{name}], and its settings in the lines below");
                self.problem(line, Problem::Value { at, found: shown(other), allowed });
            }
            _ => self.unknown(line, "setting", quotable(name), nearest_setting("", name)),
        }
    }

    fn setting(&mut self, section: &str, key: &Key<'_>, value: &Value<'_>) {
        let Some(line) = self.line_of(key) else { return };
        let name = &**key.get_ref();
        match find(section, name) {
            Some(setting) => {
                let values = values(SETTINGS[setting].kind, value.get_ref());
                self.contents.given.push(Given { setting, line, values });
            }
            None => {
                self.unknown(line, "setting", format!("{section}.{}", quotable(name)), nearest_setting(section, name));
            }
        }
    }

    fn unknown(&mut self, line: usize, what: &'static str, name: String, nearest: Option<String>) {
        let advice = match nearest {
            Some(nearest) => format!("did you mean {nearest}?"),
            None => "uidmeter check-config --effective shows all there are".into(),
        };
        self.problem(line, Problem::Unknown { path: self.path.into(), line, what, name, advice });
    }

    fn problem(&mut self, line: usize, problem: Problem) {
        self.contents.problems.push((line, problem));
    }

    /// `None` for what the parser only guessed.
    fn line_of(&self, key: &Key<'_>) -> Option<usize> {
        Some(self.lines.at(Some(key.span()))).filter(|line| !self.unparsed.contains(line))
    }
}

/// The value as text, if it has the type that `kind` asks for; else what it is.
fn values(kind: Kind, value: &DeValue<'_>) -> Result<Vec<String>, String> {
    let one = |value: &DeValue<'_>| match (kind, value) {
        (Kind::Number { .. }, DeValue::Integer(number)) => {
            i128::from_str_radix(number.as_str(), number.radix()).map(|n| n.to_string()).map_err(|_| shown(value))
        }
        (Kind::Switch { .. }, DeValue::Boolean(switch)) => Ok(switch.to_string()),
        (Kind::Number { .. } | Kind::Switch { .. }, _) => Err(shown(value)),
        (_, DeValue::String(text)) => Ok(text.to_string()),
        _ => Err(shown(value)),
    };
    match (kind, value) {
        (Kind::Addresses { .. } | Kind::Labels { .. }, DeValue::Array(values)) => {
            values.iter().map(|value| one(value.get_ref())).collect()
        }
        _ => one(value).map(|value| vec![value]),
    }
}

/// A value of any type, for people.
pub(crate) fn shown(value: &DeValue<'_>) -> String {
    let plain = |text: String| quoted(&text).trim_matches('"').to_owned();
    match value {
        DeValue::String(text) => quoted(text),
        DeValue::Integer(number) => plain(number.to_string()),
        DeValue::Float(number) => plain(number.to_string()),
        DeValue::Boolean(switch) => switch.to_string(),
        DeValue::Datetime(time) => time.to_string(),
        DeValue::Array(values) => format!("a list of {}", values.len()),
        DeValue::Table(_) => "a section".into(),
    }
}

/// A name as it stands in the file, unless it would look odd.
pub(crate) fn quotable(name: &str) -> String {
    let bare = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if bare && !name.is_empty() && name.len() < 100 { name.into() } else { quoted(name) }
}

/// The section whose name is most like `name`.
fn nearest_section(name: &str) -> Option<String> {
    nearest(name, SECTIONS.iter().map(|section| (section.name, section.name))).map(|name| format!("[{name}]"))
}

/// The setting whose name is most like `key`; those of the same section come before others.
fn nearest_setting(section: &str, key: &str) -> Option<String> {
    let near = |same: bool| {
        let settings = SETTINGS.iter().filter(|setting| (setting.section == section) == same);
        nearest(key, settings.map(|setting| (setting.key, setting)))
    };
    near(true).or_else(|| near(false)).map(Setting::name)
}

/// The item whose name is most like `name`, if one is.
pub(crate) fn nearest<T>(name: &str, candidates: impl Iterator<Item = (&'static str, T)>) -> Option<T> {
    // Comparing takes time with the square of the length.
    let name: String = name.chars().take(64).collect();
    candidates
        .map(|(candidate, item)| (strsim::jaro_winkler(&name, candidate), item))
        .filter(|(similarity, _)| *similarity >= SIMILAR)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, item)| item)
}

/// Where lines start.
pub(crate) struct Lines(Vec<usize>);

impl Lines {
    /// Of `text`.
    pub(crate) fn of(text: &str) -> Self {
        Self(text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at).collect())
    }

    /// The line in which `span` begins, counted from 1.
    pub(crate) fn at(&self, span: Option<Range<usize>>) -> usize {
        span.map_or(1, |span| self.0.partition_point(|end| *end < span.start) + 1)
    }
}
