//! Reads tables key by key: what no table of [`super::super::keys`] has is told with the nearest name that one has, and
//! what cannot be used with what could.

use std::{cell::RefCell, collections::BTreeMap, path::PathBuf, time::Duration};

use toml::{
    Spanned,
    de::{DeString, DeTable, DeValue},
};

use super::super::{
    keys::Key,
    people::UidRange,
    rule::Amount,
    schedule::Span,
    value::{Kind, Value},
};
use crate::{
    config::{Lines, Mode, Problem, nearest, quotable, shown},
    limits::{Millicores, Weight},
    units::Bytes,
};

/// The file, and what is wrong with it.
pub(super) struct Reader {
    where_: String,
    lines: Lines,
    /// Lines of which the parser could make nothing: what it recovered from them is guesswork.
    unparsed: Vec<usize>,
    problems: RefCell<Vec<(usize, Problem)>>,
}

impl Reader {
    pub(super) fn new(where_: &str, text: &str) -> Self {
        let (lines, problems) = (Lines::of(text), RefCell::default());
        Self { where_: where_.into(), lines, unparsed: Vec::new(), problems }
    }

    /// Takes what the parser of the format found.
    pub(super) fn syntax(&mut self, error: &toml::de::Error) {
        let line = self.lines.at(error.span());
        let why = error.message().replace(char::is_control, " ");
        let problem = Problem::Syntax { path: self.path(), line, why };
        self.unparsed.push(line);
        self.problems.get_mut().push((line, problem));
    }

    fn path(&self) -> PathBuf {
        PathBuf::from(&self.where_)
    }

    /// All problems, in the order of the file.
    pub(super) fn problems(self) -> Vec<Problem> {
        let mut problems = self.problems.into_inner();
        problems.sort_by_key(|(line, _)| *line);
        problems.into_iter().map(|(_, problem)| problem).collect()
    }

    pub(super) fn found_none(&self) -> bool {
        self.problems.borrow().is_empty()
    }

    /// A finding: `what`, in line `line`, is `found`, but must be `allowed`.
    pub(super) fn wrong(&self, line: usize, what: &str, found: impl Into<String>, allowed: impl Into<String>) {
        let at = format!("{}:{line}: {what}", self.where_);
        self.problems.borrow_mut().push((line, Problem::Value { at, found: found.into(), allowed: allowed.into() }));
    }

    /// Reads what `table`, called `name` in findings, has of `keys`.
    pub(super) fn group<'v>(&self, name: &str, line: usize, keys: &[Key], table: &'v DeTable<'_>) -> Group<'v> {
        let mut group = Group { name: name.into(), line, defaults: keys.to_vec(), given: BTreeMap::new() };
        for (key, raw) in table {
            let Some(line) = self.line_of(key) else { continue };
            let Some(known) = keys.iter().find(|known| known.name == &**key.get_ref()) else {
                self.unknown(line, name, key.get_ref(), keys);
                continue;
            };
            let value = known.kind.read(raw.get_ref());
            let fits = match (known.kind, raw.get_ref()) {
                (Kind::Table, DeValue::Table(_)) => true,
                (Kind::Tables, DeValue::Array(items)) => {
                    items.iter().all(|item| matches!(item.get_ref(), DeValue::Table(_)))
                }
                _ => value.is_some(),
            };
            if !fits {
                self.wrong(line, &group.path(known.name), shown(raw.get_ref()), known.kind.allowed());
            }
            group.given.insert(known.name, Given { line, value, raw: raw.get_ref() });
        }
        group
    }

    /// `None` for what the parser only guessed.
    fn line_of(&self, key: &Spanned<DeString<'_>>) -> Option<usize> {
        Some(self.lines.at(Some(key.span()))).filter(|line| !self.unparsed.contains(line))
    }

    /// The line in which a table stands.
    pub(super) fn line_at(&self, value: &Spanned<DeValue<'_>>) -> usize {
        self.lines.at(Some(value.span()))
    }

    fn unknown(&self, line: usize, group: &str, found: &str, keys: &[Key]) {
        let name = joined(group, &quotable(found));
        let advice = if let Some(near) = nearest(found, keys.iter().map(|key| (key.name, key.name))) {
            format!("did you mean {near}?")
        } else {
            let all: Vec<_> = keys.iter().map(|key| key.name).collect();
            format!("there are {}", all.join(", "))
        };
        let problem = Problem::Unknown { path: self.path(), line, what: "setting", name, advice };
        self.problems.borrow_mut().push((line, problem));
    }
}

fn joined(group: &str, key: &str) -> String {
    if group.is_empty() { key.into() } else { format!("{group}.{key}") }
}

/// A key that stands in the file.
struct Given<'v> {
    line: usize,
    /// `None` if it cannot be used, which has been told.
    value: Option<Value>,
    raw: &'v DeValue<'v>,
}

/// What one table gives.
pub(super) struct Group<'v> {
    /// In findings.
    pub(super) name: String,
    /// Where it begins.
    pub(super) line: usize,
    defaults: Vec<Key>,
    given: BTreeMap<&'static str, Given<'v>>,
}

/// A getter for one type of value: `None` without value and default, or if the value cannot be used.
macro_rules! getter {
    ($name:ident, $variant:ident, $type:ty) => {
        pub(super) fn $name(&self, key: &str) -> Option<$type> {
            match self.value(key)? {
                Value::$variant(value) => Some(value),
                _ => None,
            }
        }
    };
}

impl<'v> Group<'v> {
    /// A key's name in findings.
    pub(super) fn path(&self, key: &str) -> String {
        joined(&self.name, key)
    }

    /// Whether the key stands in the file, usable or not.
    pub(super) fn has(&self, key: &str) -> bool {
        self.given.contains_key(key)
    }

    /// Where the key stands, or else the table.
    pub(super) fn line_of(&self, key: &str) -> usize {
        self.given.get(key).map_or(self.line, |given| given.line)
    }

    /// What stands there, for people.
    pub(super) fn shown(&self, key: &str) -> String {
        self.given.get(key).map_or_else(|| "missing".into(), |given| shown(given.raw))
    }

    /// The value, else the default.
    fn value(&self, key: &str) -> Option<Value> {
        if let Some(Given { value: Some(value), .. }) = self.given.get(key) {
            return Some(value.clone());
        }
        let key = self.defaults.iter().find(|known| known.name == key)?;
        let default = DeValue::parse(key.default).ok()?;
        key.kind.read(default.get_ref())
    }

    getter!(time, Time, Duration);
    getter!(number, Number, f64);
    getter!(amount, Amount, Amount);
    getter!(weight, Weight, Weight);
    getter!(cores, Cores, Millicores);
    getter!(bytes, Bytes, Bytes);
    getter!(zone, Zone, jiff::tz::TimeZone);
    getter!(mode, Mode, Mode);
    getter!(text, Text, String);
    getter!(texts, Texts, Vec<String>);
    getter!(uids, Uids, Vec<UidRange>);
    getter!(spans, Spans, Vec<Span>);

    /// A table inside this one.
    pub(super) fn table(&self, key: &str) -> Option<(usize, &'v DeTable<'v>)> {
        let given = self.given.get(key)?;
        match given.raw {
            DeValue::Table(table) => Some((given.line, table)),
            _ => None,
        }
    }

    /// A list of tables inside this one.
    pub(super) fn tables(&self, key: &str) -> impl Iterator<Item = (&'v Spanned<DeValue<'v>>, &'v DeTable<'v>)> {
        let items = match self.given.get(key).map(|given| given.raw) {
            Some(DeValue::Array(items)) => &items[..],
            _ => &[],
        };
        items.iter().filter_map(|item| match item.get_ref() {
            DeValue::Table(table) => Some((item, table)),
            _ => None,
        })
    }
}
