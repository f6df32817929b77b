//! Configuration text → a tree in which every value knows its line, and a walk through it that collects all problems.
//!
//! Both notations lead to the same tree, so that the rules for unknown, repeated and mistyped keys exist once. Bounded
//! in size and depth before anything is built. Pure: reads no file.

mod toml;
mod walk;
mod yaml;

use zeroize::Zeroizing;

pub(super) use self::{
    toml::parse as parse_toml,
    walk::{Problems, Section, bounded, nearest, text as text_of, texts as texts_of},
    yaml::parse as parse_yaml,
};

/// No real configuration comes near it: certificates inline are some 10 KiB.
pub(super) const MOST_BYTES: usize = 1024 * 1024;
/// The schemas need four levels.
const MOST_DEPTH: usize = 16;

/// A value and where it stands.
pub(super) struct Node {
    /// From 1 on; 0 if unknown.
    pub(super) line: u64,
    pub(super) value: Value,
}

/// What both notations can say.
pub(super) enum Value {
    Null,
    Bool(bool),
    Integer(i64),
    /// Its text, since no schema here has fractions.
    Float(String),
    Text(Zeroizing<String>),
    List(Vec<Node>),
    /// In the order of the file; keys may be repeated.
    Table(Vec<Entry>),
}

pub(super) struct Entry {
    pub(super) key: String,
    pub(super) line: u64,
    pub(super) node: Node,
}

impl Value {
    /// For messages: never the value itself, which may be a secret.
    const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "true or false",
            Self::Integer(_) | Self::Float(_) => "a number",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Table(_) => "a section",
        }
    }
}

/// The text of `bytes`, without a byte order mark.
fn text(bytes: &[u8]) -> Result<&str, Mistake> {
    if bytes.len() > MOST_BYTES {
        let sentence = format!("has {} bytes, and no configuration needs more than {MOST_BYTES}", bytes.len());
        return Err(Mistake { line: 0, sentence });
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let line = 1 + String::from_utf8_lossy(&bytes[..error.valid_up_to()]).matches('\n').count();
        Mistake { line: line as u64, sentence: "is not UTF-8; save it in that encoding".to_owned() }
    })?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// Why text is no tree.
pub(super) struct Mistake {
    /// From 1 on; 0 if unknown.
    pub(super) line: u64,
    /// Continues a sentence that begins with the file's name.
    pub(super) sentence: String,
}
