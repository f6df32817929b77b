//! What a setting's value can be: reads one from text, checks it, puts it into a [`Config`], writes it back.
//!
//! Pure. Every value that is written can be read again and is then the same.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{Config, Label, ListenAddress};
use crate::units::Bytes;

/// What a value can be, with the place in [`Config`] where it belongs.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// A span of time.
    Time {
        /// The shortest.
        least: Duration,
        /// The longest.
        most: Duration,
        /// Where it belongs.
        at: fn(&mut Config) -> &mut Duration,
    },
    /// A span of time, or the word `never`.
    TimeOrNever {
        /// The shortest.
        least: Duration,
        /// The longest.
        most: Duration,
        /// Where it belongs.
        at: fn(&mut Config) -> &mut Option<Duration>,
    },
    /// A whole number.
    Number {
        /// The least.
        least: u32,
        /// The greatest.
        most: u32,
        /// Where it belongs.
        at: fn(&mut Config) -> &mut u32,
    },
    /// An amount of memory.
    Size {
        /// The least.
        least: Bytes,
        /// The greatest.
        most: Bytes,
        /// Where it belongs.
        at: fn(&mut Config) -> &mut Bytes,
    },
    /// On or off.
    Switch {
        /// Where it belongs.
        at: fn(&mut Config) -> &mut bool,
    },
    /// A file's path.
    File {
        /// Where it belongs.
        at: fn(&mut Config) -> &mut PathBuf,
    },
    /// A file's path, or nothing.
    OptionalFile {
        /// Where it belongs.
        at: fn(&mut Config) -> &mut Option<PathBuf>,
    },
    /// One of a few words.
    Choice {
        /// The words.
        words: &'static [&'static str],
        /// Index of the one that is chosen.
        get: fn(&Config) -> usize,
        /// Chooses the one at an index.
        set: fn(&mut Config, usize),
    },
    /// The name of a user, or nothing.
    OptionalUser {
        /// Where it belongs.
        at: fn(&mut Config) -> &mut Option<String>,
    },
    /// A URL that is sent to, or nothing.
    OptionalUrl {
        /// Where it belongs.
        at: fn(&mut Config) -> &mut Option<String>,
    },
    /// Path of a URL.
    UrlPath {
        /// Where it belongs.
        at: fn(&mut Config) -> &mut String,
    },
    /// Addresses to listen on: one or more values.
    Addresses {
        /// Where they belong.
        at: fn(&mut Config) -> &mut Vec<ListenAddress>,
    },
    /// A line of text, or nothing.
    OptionalText {
        /// Where it belongs.
        at: fn(&mut Config) -> &mut Option<String>,
    },
    /// Labels: any number of values, none of them empty but for one that stands for no labels at all.
    Labels {
        /// Where they belong.
        at: fn(&mut Config) -> &mut Vec<Label>,
    },
}

/// More addresses than this are a mistake.
const MOST_ADDRESSES: usize = 64;
/// More labels than this are a mistake: Prometheus' own limit for a target's labels is usually set lower.
const MOST_LABELS: usize = 32;
/// Longer texts are a mistake.
const MOST_TEXT: usize = 1024;
/// No path of the system is longer (`PATH_MAX`).
const MOST_BYTES: usize = 4096;

impl Kind {
    /// Checks the values and puts them into `config`, which stays as it was if one of them cannot be used: that one is
    /// returned.
    pub(super) fn set<T: AsRef<OsStr>>(self, values: &[T], config: &mut Config) -> Result<(), String> {
        if let Self::Addresses { at } = self {
            if values.is_empty() || values.len() > MOST_ADDRESSES {
                return Err(format!("a list of {}", values.len()));
            }
            let read = |value: &T| {
                let text = value.as_ref().to_string_lossy();
                text.parse().map_err(|()| quoted(&text))
            };
            *at(config) = values.iter().map(read).collect::<Result<_, _>>()?;
            return Ok(());
        }
        if let Self::Labels { at } = self {
            *at(config) = labels(values)?;
            return Ok(());
        }
        let [value] = values else { return Err(format!("a list of {}", values.len())) };
        let value = value.as_ref();
        let found = |text: &str| if text.parse::<i128>().is_ok() { text.to_owned() } else { quoted(text) };
        self.set_one(value, config).ok_or_else(|| found(&value.to_string_lossy()))
    }

    fn set_one(self, value: &OsStr, config: &mut Config) -> Option<()> {
        // What is not UTF-8 is no value of any kind but a path: the replacement character fits nowhere else.
        let text = &*value.to_string_lossy();
        let time = |least, most| humantime::parse_duration(text).ok().filter(|time| (least..=most).contains(time));
        match self {
            Self::Time { least, most, at } => *at(config) = time(least, most)?,
            Self::TimeOrNever { at, .. } if text == NEVER => *at(config) = None,
            Self::TimeOrNever { least, most, at } => *at(config) = Some(time(least, most)?),
            Self::Number { least, most, at } => {
                *at(config) = text.parse().ok().filter(|number| (least..=most).contains(number))?;
            }
            Self::Size { least, most, at } => {
                let size = Bytes(text.parse::<bytesize::ByteSize>().ok()?.as_u64());
                *at(config) = Some(size).filter(|size| (least..=most).contains(size))?;
            }
            Self::Switch { at } => *at(config) = text.parse().ok()?,
            Self::File { at } => *at(config) = path(value)?,
            Self::OptionalFile { at } => *at(config) = if value.is_empty() { None } else { Some(path(value)?) },
            Self::Choice { words, set, .. } => set(config, words.iter().position(|word| *word == text)?),
            Self::OptionalUser { at } => *at(config) = if text.is_empty() { None } else { Some(user(text)?) },
            Self::OptionalUrl { at } => *at(config) = if text.is_empty() { None } else { Some(url(text)?) },
            Self::UrlPath { at } => *at(config) = url_path(text)?,
            Self::OptionalText { at } => *at(config) = if value.is_empty() { None } else { Some(line_of_text(value)?) },
            Self::Addresses { .. } | Self::Labels { .. } => return None,
        }
        Some(())
    }

    /// The values in `config`, as [`Kind::set`] reads them: one, but for lists.
    pub fn values(self, config: &Config) -> Vec<String> {
        // The table has one accessor a setting, and that one is for writing.
        let config = &mut config.clone();
        let shown = |path: &Path| path.to_string_lossy().into_owned();
        vec![match self {
            Self::Time { at, .. } => time(*at(config)),
            Self::TimeOrNever { at, .. } => at(config).map_or_else(|| NEVER.into(), time),
            Self::Number { at, .. } => at(config).to_string(),
            Self::Size { at, .. } => size(*at(config)),
            Self::Switch { at } => at(config).to_string(),
            Self::File { at } => shown(at(config)),
            Self::OptionalFile { at } => at(config).as_deref().map(shown).unwrap_or_default(),
            Self::Choice { words, get, .. } => words.get(get(config)).copied().unwrap_or_default().into(),
            Self::OptionalUser { at } | Self::OptionalUrl { at } | Self::OptionalText { at } => {
                at(config).clone().unwrap_or_default()
            }
            Self::UrlPath { at } => at(config).clone(),
            Self::Addresses { at } => return at(config).iter().map(ToString::to_string).collect(),
            Self::Labels { at } => return at(config).iter().map(ToString::to_string).collect(),
        }]
    }

    /// Gives the value in `to` that which it has in `from`; tells whether they differed.
    pub(crate) fn copy(self, from: &Config, to: &mut Config) -> bool {
        fn one<T: PartialEq>(at: fn(&mut Config) -> &mut T, mut from: Config, to: &mut Config) -> bool {
            let differ = at(&mut from) != at(to);
            std::mem::swap(at(&mut from), at(to));
            differ
        }
        let from = from.clone();
        match self {
            Self::Time { at, .. } => one(at, from, to),
            Self::TimeOrNever { at, .. } => one(at, from, to),
            Self::Number { at, .. } => one(at, from, to),
            Self::Size { at, .. } => one(at, from, to),
            Self::Switch { at } => one(at, from, to),
            Self::File { at } => one(at, from, to),
            Self::OptionalFile { at } => one(at, from, to),
            Self::Choice { get, set, .. } => {
                let differ = get(&from) != get(to);
                set(to, get(&from));
                differ
            }
            Self::OptionalUser { at } | Self::OptionalUrl { at } | Self::OptionalText { at } => one(at, from, to),
            Self::UrlPath { at } => one(at, from, to),
            Self::Addresses { at } => one(at, from, to),
            Self::Labels { at } => one(at, from, to),
        }
    }

    /// What is allowed, to follow "must be".
    pub fn allowed(self) -> String {
        match self {
            Self::Time { least, most, .. } => format!("a time from {} to {}", time(least), time(most)),
            Self::TimeOrNever { least, most, .. } => {
                format!("a time from {} to {}, or \"{NEVER}\"", time(least), time(most))
            }
            Self::Number { least, most, .. } => format!("a whole number from {least} to {most}"),
            Self::Size { least, most, .. } => format!("a size from {} to {}", size(least), size(most)),
            Self::Switch { .. } => "true or false".into(),
            Self::File { .. } | Self::OptionalFile { .. } => "the path of a file".into(),
            Self::Choice { words, .. } => one_of(words),
            Self::OptionalUser { .. } => "the name of a user".into(),
            Self::OptionalUrl { .. } => "a URL that begins with https:// or http://".into(),
            Self::UrlPath { .. } => {
                "a path of letters, digits and any of / - . _ ~ that begins with a slash and is not used otherwise"
                    .into()
            }
            Self::Addresses { .. } => "ADDRESS:PORT, NAME:PORT or unix:/PATH, once or more".into(),
            Self::OptionalText { .. } => format!("a line of at most {MOST_TEXT} bytes"),
            Self::Labels { .. } => format!(
                "NAME=VALUE, at most {MOST_LABELS} of them, with names of letters, digits and _ that do not begin with a digit \
                 or __ and differ from each other, and values that are not empty"
            ),
        }
    }

    /// Stands for the value in help.
    pub(super) fn placeholder(self) -> &'static str {
        match self {
            Self::Time { .. } => "TIME",
            Self::TimeOrNever { .. } => "TIME|never",
            Self::Number { .. } => "NUMBER",
            Self::Size { .. } => "SIZE",
            Self::Switch { .. } => "true|false",
            Self::File { .. } | Self::OptionalFile { .. } => "FILE",
            Self::Choice { .. } => "WORD",
            Self::OptionalUser { .. } => "USER",
            Self::OptionalUrl { .. } => "URL",
            Self::UrlPath { .. } => "PATH",
            Self::Addresses { .. } => "ADDRESS:PORT",
            Self::OptionalText { .. } => "TEXT",
            Self::Labels { .. } => "NAME=VALUE",
        }
    }
}

const NEVER: &str = "never";

/// A value as problems show it: in quotes, harmless to a terminal, and not too long.
pub(crate) fn quoted(text: &str) -> String {
    const SHOWN: usize = 100;
    let mut start: String = text.chars().take(SHOWN).collect();
    if start.len() < text.len() {
        start.push('…');
    }
    format!("{start:?}")
}

fn path(value: &OsStr) -> Option<PathBuf> {
    let bytes = value.as_encoded_bytes();
    (!bytes.is_empty() && bytes.len() < MOST_BYTES && !bytes.contains(&0)).then(|| value.into())
}

/// Text of which nothing has to be escaped anywhere.
fn line_of_text(value: &OsStr) -> Option<String> {
    let text = value.to_str()?;
    (text.len() <= MOST_TEXT && !text.chars().any(char::is_control)).then(|| text.into())
}

/// What cannot be used is returned.
fn labels<T: AsRef<OsStr>>(values: &[T]) -> Result<Vec<Label>, String> {
    if let [only] = values
        && only.as_ref().is_empty()
    {
        return Ok(Vec::new());
    }
    if values.len() > MOST_LABELS {
        return Err(format!("a list of {}", values.len()));
    }
    let mut labels: Vec<Label> = Vec::with_capacity(values.len());
    for value in values {
        let label = line_of_text(value.as_ref()).and_then(|text| text.parse::<Label>().ok());
        match label.filter(|label| labels.iter().all(|other| other.name != label.name)) {
            Some(label) => labels.push(label),
            None => return Err(quoted(&value.as_ref().to_string_lossy())),
        }
    }
    Ok(labels)
}

/// `"a", "b" or "c"`.
fn one_of(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}

/// As far as one can tell without asking the system (`useradd(8)`, and what directories add).
fn user(text: &str) -> Option<String> {
    let fine = |c: char| !c.is_control() && !c.is_whitespace() && !":/,".contains(c);
    (text.len() < 256 && text.chars().all(fine) && !text.starts_with('-')).then(|| text.into())
}

fn url(text: &str) -> Option<String> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"))?;
    let fine = |c: char| c.is_ascii_graphic();
    (text.len() < MOST_BYTES && !rest.is_empty() && !rest.starts_with('/') && text.chars().all(fine))
        .then(|| text.into())
}

/// The landing page has `/`, health has `/-/…`. No dot segments: clients resolve them before they ask.
fn url_path(text: &str) -> Option<String> {
    let fine = |c: char| c.is_ascii_alphanumeric() || "/-._~".contains(c);
    let rest = text.strip_prefix('/')?;
    let reserved = rest == "-" || rest.starts_with("-/");
    let segments_fine = rest.split('/').all(|segment| !["", ".", ".."].contains(&segment));
    (text.len() < MOST_BYTES && text.chars().all(fine) && segments_fine && !reserved).then(|| text.into())
}

/// In the greatest unit that needs no fraction, so that nothing is lost.
pub(crate) fn time(time: Duration) -> String {
    const UNITS: [(&str, u128); 6] = [
        ("d", 86_400_000_000_000),
        ("h", 3_600_000_000_000),
        ("m", 60_000_000_000),
        ("s", 1_000_000_000),
        ("ms", 1_000_000),
        ("us", 1_000),
    ];
    in_units(time.as_nanos(), &UNITS, "ns")
}

/// The same for memory.
pub(crate) fn size(size: Bytes) -> String {
    in_units(size.0.into(), &[("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)], "B")
}

fn in_units(amount: u128, units: &[(&str, u128)], smallest: &str) -> String {
    let fitting = units.iter().find(|(_, unit)| amount > 0 && amount.is_multiple_of(*unit));
    fitting.map_or_else(|| format!("{amount}{smallest}"), |(name, unit)| format!("{}{name}", amount / unit))
}
