//! A JSON object in which no name stands twice: two readers of a repeated name may each believe another value.

use std::{collections::BTreeMap, fmt};

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::Value;

/// Names and values of the topmost level. Below it, repeated names are as harmless as everything else that is ignored.
#[derive(Debug)]
pub(super) struct Object(BTreeMap<String, Value>);

impl Object {
    /// The object that `bytes` are, and nothing else.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, ()> {
        serde_json::from_slice(bytes).map_err(|_| ())
    }

    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members)
    }
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Object;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object without repeated names")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Object, A::Error> {
        let mut found = BTreeMap::new();
        while let Some((name, value)) = members.next_entry()? {
            if found.insert(name, value).is_some() {
                return Err(A::Error::custom("a name stands twice"));
            }
        }
        Ok(Object(found))
    }
}
