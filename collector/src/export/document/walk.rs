//! Through the tree by the names of a schema. Whoever asks for a key makes it known; what nobody has asked for is
//! reported with the nearest known name.

use std::path::{Path, PathBuf};

use super::{super::bounded_file::shown, Entry, Mistake, Node, Value};

/// Everything that is wrong with one file, sentence by sentence.
pub(in super::super) struct Problems {
    file: PathBuf,
    sentences: Vec<String>,
}

impl Problems {
    pub(in super::super) fn of(file: &Path) -> Self {
        Self { file: file.to_owned(), sentences: Vec::new() }
    }

    /// `what` is a sentence that stands for itself after `file:line:`.
    pub(in super::super) fn at(&mut self, line: u64, what: impl std::fmt::Display) {
        let place = self.place(line);
        self.sentences.push(format!("{place}: {what}"));
    }

    /// The text is no tree at all.
    pub(in super::super) fn mistake(&mut self, mistake: &Mistake) {
        let place = self.place(mistake.line);
        self.sentences.push(format!("{place} {}", mistake.sentence));
    }

    /// `file:line`, or the file if the line is unknown.
    pub(in super::super) fn place(&self, line: u64) -> String {
        let file = shown(&self.file);
        if line == 0 { file } else { format!("{file}:{line}") }
    }

    pub(in super::super) fn is_empty(&self) -> bool {
        self.sentences.is_empty()
    }

    pub(in super::super) fn into_sentences(self) -> Vec<String> {
        self.sentences
    }
}

/// A table whose keys a schema names.
pub(in super::super) struct Section<'a> {
    /// For messages; empty for the whole file.
    name: String,
    pub(in super::super) line: u64,
    entries: &'a [Entry],
    known: Vec<&'static str>,
}

impl<'a> Section<'a> {
    /// The section that `node` is; nothing is an empty one.
    pub(in super::super) fn new(node: &'a Node, name: impl Into<String>, problems: &mut Problems) -> Option<Self> {
        let name = name.into();
        let entries: &[Entry] = match &node.value {
            Value::Table(entries) => entries,
            Value::Null => &[],
            other => {
                let what = if name.is_empty() { "the file" } else { &name };
                problems.at(node.line, format!("{what} must be a section of keys and values, and is {}", other.kind()));
                return None;
            }
        };
        for (at, entry) in entries.iter().enumerate() {
            if entries[..at].iter().any(|other| other.key == entry.key) {
                problems.at(entry.line, format!("{:?} stands here a second time", entry.key));
            }
        }
        Some(Self { name, line: node.line, entries, known: Vec::new() })
    }

    /// `section.key`, for messages.
    pub(in super::super) fn path(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) }
    }

    /// The value of `key`, unless it is absent or nothing.
    pub(in super::super) fn get(&mut self, key: &'static str) -> Option<&'a Node> {
        self.known.push(key);
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        (!matches!(entry.node.value, Value::Null)).then_some(&entry.node)
    }

    /// Whether `key` is written down, even with nothing as its value.
    pub(in super::super) fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|entry| entry.key == key)
    }

    /// The section below `key`.
    pub(in super::super) fn section(&mut self, key: &'static str, problems: &mut Problems) -> Option<Section<'a>> {
        let path = self.path(key);
        self.get(key).and_then(|node| Section::new(node, path, problems))
    }

    /// Keys of the administrator's choice.
    pub(in super::super) fn entries(&self) -> &'a [Entry] {
        self.entries
    }

    /// Text and its line. A number counts as its digits.
    pub(in super::super) fn text(&mut self, key: &'static str, problems: &mut Problems) -> Option<(String, u64)> {
        let node = self.get(key)?;
        let text = text(node);
        if text.is_none() {
            problems.at(node.line, format!("{} must be text, and is {}", self.path(key), node.value.kind()));
        }
        Some((text?, node.line))
    }

    pub(in super::super) fn bool(&mut self, key: &'static str, problems: &mut Problems) -> Option<bool> {
        let node = self.get(key)?;
        match &node.value {
            Value::Bool(value) => return Some(*value),
            Value::Text(text) => match text.to_ascii_lowercase().as_str() {
                "y" | "yes" | "on" => return Some(true),
                "n" | "no" | "off" => return Some(false),
                _ => {}
            },
            _ => {}
        }
        problems.at(node.line, format!("{} must be true or false, and is {}", self.path(key), node.value.kind()));
        None
    }

    /// A whole number within `range`.
    pub(in super::super) fn integer(
        &mut self,
        key: &'static str,
        range: std::ops::RangeInclusive<i64>,
        problems: &mut Problems,
    ) -> Option<i64> {
        let node = self.get(key)?;
        match node.value {
            Value::Integer(value) if range.contains(&value) => Some(value),
            Value::Integer(value) => {
                let (least, most) = range.into_inner();
                problems.at(node.line, format!("{} {value} is not between {least} and {most}", self.path(key)));
                None
            }
            ref other => {
                problems.at(node.line, format!("{} must be a whole number, and is {}", self.path(key), other.kind()));
                None
            }
        }
    }

    /// Every text of a list, with its line.
    pub(in super::super) fn texts(&mut self, key: &'static str, problems: &mut Problems) -> Option<Vec<(String, u64)>> {
        let node = self.get(key)?;
        let path = self.path(key);
        texts(node, &path, problems)
    }

    /// Reports every key that the schema does not have.
    pub(in super::super) fn finish(self, problems: &mut Problems) {
        for entry in self.entries.iter().filter(|entry| !self.known.contains(&entry.key.as_str())) {
            let section = if self.name.is_empty() { String::new() } else { format!(" in {}", self.name) };
            let hint = nearest(&entry.key, &self.known).map(|name| format!("; did you mean {name}?"));
            problems
                .at(entry.line, format!("unknown key {:?}{section}{}", bounded(&entry.key), hint.unwrap_or_default()));
        }
    }
}

/// The texts of the list `node`, which is called `path` in messages.
pub(in super::super) fn texts(node: &Node, path: &str, problems: &mut Problems) -> Option<Vec<(String, u64)>> {
    let Value::List(nodes) = &node.value else {
        problems.at(node.line, format!("{path} must be a list of texts, and is {}", node.value.kind()));
        return None;
    };
    let mut found = Vec::new();
    for node in nodes {
        match text(node) {
            Some(text) => found.push((text, node.line)),
            None => problems.at(node.line, format!("{path} must be a list of texts, and has {}", node.value.kind())),
        }
    }
    Some(found)
}

/// What a scalar says as text: notations guess types, and `0` may be meant as text.
pub(in super::super) fn text(node: &Node) -> Option<String> {
    match &node.value {
        Value::Text(text) => Some(text.to_string()),
        Value::Integer(value) => Some(value.to_string()),
        Value::Float(value) => Some(value.clone()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Null | Value::List(_) | Value::Table(_) => None,
    }
}

/// The known name that `name` most likely was meant to be.
pub(in super::super) fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    // The comparison is quadratic, and no known name is that long.
    let name: String = name.chars().take(64).collect::<String>().to_ascii_lowercase();
    known
        .iter()
        .map(|known| (strsim::damerau_levenshtein(&name, &known.to_ascii_lowercase()), *known))
        .min()
        .filter(|(distance, known)| *distance <= 1 + known.len() / 4)
        .map(|(_, known)| known)
}

/// For messages: the beginning of a text of any length.
pub(in super::super) fn bounded(text: &str) -> String {
    if text.chars().count() <= 64 { text.to_owned() } else { text.chars().take(64).chain(['…']).collect() }
}
