//! TOML → tree.

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};
use zeroize::Zeroizing;

use super::{Entry, MOST_DEPTH, Mistake, Node, Value, text};

/// The tree of `bytes`.
pub(in super::super) fn parse(bytes: &[u8]) -> Result<Node, Mistake> {
    let text = text(bytes)?;
    let lines = Lines(text);
    match DeTable::parse(text) {
        Ok(table) => Ok(Node { line: 1, value: lines.table(table.into_inner(), 0)? }),
        Err(error) => Err(Mistake {
            line: error.span().map_or(0, |span| lines.at(span.start)),
            sentence: format!("is not TOML that can be used: {}", error.message().escape_debug()),
        }),
    }
}

struct Lines<'a>(&'a str);

impl Lines<'_> {
    fn at(&self, offset: usize) -> u64 {
        1 + self.0.get(..offset).unwrap_or(self.0).matches('\n').count() as u64
    }

    fn node(&self, spanned: Spanned<DeValue<'_>>, depth: usize) -> Result<Node, Mistake> {
        let line = self.at(spanned.span().start);
        if depth > MOST_DEPTH {
            return Err(Mistake { line, sentence: format!("is nested deeper than {MOST_DEPTH} levels") });
        }
        let value = match spanned.into_inner() {
            DeValue::String(text) => Value::Text(Zeroizing::new(text.into_owned())),
            DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix())
                .map_or_else(|_| Value::Float(integer.as_str().to_owned()), Value::Integer),
            DeValue::Float(float) => Value::Float(float.as_str().to_owned()),
            DeValue::Boolean(value) => Value::Bool(value),
            DeValue::Datetime(time) => Value::Text(Zeroizing::new(time.to_string())),
            DeValue::Array(list) => {
                let nodes: Result<_, _> = list.into_iter().map(|node| self.node(node, depth + 1)).collect();
                Value::List(nodes?)
            }
            DeValue::Table(table) => self.table(table, depth + 1)?,
        };
        Ok(Node { line, value })
    }

    fn table(&self, table: DeTable<'_>, depth: usize) -> Result<Value, Mistake> {
        let entry = |(key, node): (Spanned<_>, _)| {
            let line = self.at(key.span().start);
            let key: std::borrow::Cow<'_, str> = key.into_inner();
            Ok(Entry { key: key.into_owned(), line, node: self.node(node, depth)? })
        };
        Ok(Value::Table(table.into_iter().map(entry).collect::<Result<_, _>>()?))
    }
}
