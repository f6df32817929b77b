//! YAML → tree.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{DuplicateKeyPolicy, MergeKeyPolicy, NonFiniteFloatPolicy, Options, Spanned};
use zeroize::Zeroizing;

use super::{Entry, MOST_DEPTH, Mistake, Node, Value, text};

/// Far more than any file of the schema has, and few enough that a bomb of aliases fizzles out.
const MOST_NODES: usize = 10_000;
const MOST_ALIASES: usize = 100;
const MOST_COPIED_NODES: usize = 1_000;

/// The tree of `bytes`; an empty document is [`Value::Null`].
pub(in super::super) fn parse(bytes: &[u8]) -> Result<Node, Mistake> {
    let text = text(bytes)?;
    let parsed = serde_saphyr::from_str_with_options::<Option<Node>>(text, options());
    match parsed {
        Ok(node) => Ok(node.unwrap_or(Node { line: 1, value: Value::Null })),
        Err(error) => {
            let line = error.location().map_or(0, |location| location.line());
            // A password that begins with an exclamation mark is a tag, too: the library's message would show it.
            let reason: String = match error.without_snippet() {
                serde_saphyr::Error::UnsupportedTag { .. } => {
                    "a text that begins with ! must stand in quotes".to_owned()
                }
                error => error.to_string().lines().next().unwrap_or_default().chars().take(200).collect(),
            };
            Err(Mistake { line, sentence: format!("is not YAML that can be used: {}", reason.escape_debug()) })
        }
    }
}

fn options() -> Options {
    let budget = serde_saphyr::budget! {
        max_depth: MOST_DEPTH,
        flow_nesting_limit: MOST_DEPTH,
        max_nodes: MOST_NODES,
        max_events: 4 * MOST_NODES,
        max_aliases: MOST_ALIASES,
        max_anchors: MOST_ALIASES,
        max_recorded_anchor_events: MOST_COPIED_NODES,
        max_documents: 1,
        max_total_scalar_bytes: 2 * super::MOST_BYTES,
    };
    let aliases = serde_saphyr::alias_limits! {
        max_total_replayed_events: MOST_COPIED_NODES,
        max_replay_stack_depth: MOST_DEPTH,
        max_alias_expansions_per_anchor: MOST_ALIASES,
    };
    serde_saphyr::options! {
        budget: budget,
        alias_limits: aliases,
        duplicate_keys: DuplicateKeyPolicy::Error,
        merge_keys: MergeKeyPolicy::Error,
        reject_unsupported_tags: true,
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        with_snippet: false,
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Value>::deserialize(deserializer)?;
        Ok(Self { line: spanned.referenced.line(), value: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Integer(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(i64::try_from(value).map_or_else(|_| Value::Float(value.to_string()), Value::Integer))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(Zeroizing::new(value.to_owned())))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::Text(Zeroizing::new(value)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut nodes = Vec::new();
        while let Some(node) = list.next_element()? {
            nodes.push(node);
        }
        Ok(Value::List(nodes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut table: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = table.next_key::<Spanned<String>>()? {
            let node = table.next_value()?;
            entries.push(Entry { key: key.value, line: key.referenced.line(), node });
        }
        Ok(Value::Table(entries))
    }
}
