//! The target files of Prometheus' file-based service discovery, in JSON: written, and read back. Pure.
//!
//! Prometheus' decoder refuses comments and unknown keys, so there are none.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Address, Entry, Flaw, Labels, labels};

/// Targets that have the same labels.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Group {
    targets: Vec<String>,
    #[serde(default)]
    labels: Labels,
}

/// The file for these hosts: sorted, so that the same hosts in any order make the same bytes.
pub(crate) fn write<'a>(hosts: impl Iterator<Item = (&'a Address, &'a Labels)>) -> String {
    let mut groups: BTreeMap<&Labels, Vec<&Address>> = BTreeMap::new();
    for (address, labels) in hosts {
        groups.entry(labels).or_default().push(address);
    }
    let groups: Vec<Group> = groups
        .into_iter()
        .map(|(labels, mut addresses)| {
            addresses.sort_unstable();
            Group { targets: addresses.iter().map(ToString::to_string).collect(), labels: labels.clone() }
        })
        .collect();
    // Texts and lists of texts can always be written.
    serde_json::to_string_pretty(&groups).unwrap_or_default() + "\n"
}

/// The hosts of `text`. Prometheus needs the port.
///
/// # Errors
/// The first thing that is wrong; for an address or label that cannot be used, the number of its group.
pub(super) fn read(text: &str) -> Result<Vec<Entry>, Flaw> {
    let groups: Vec<Group> = serde_json::from_str(text).map_err(|error| {
        let line = u64::try_from(error.line()).unwrap_or(0);
        Flaw::at(line, &format!("this is not a target file of Prometheus in JSON ({error})"))
    })?;
    let mut entries = Vec::new();
    for (number, group) in (1_u64..).zip(groups) {
        let in_group = |sentence: String| Flaw::at(0, &format!("in group {number}, {sentence}"));
        for (name, value) in &group.labels {
            labels::check(name, value).map_err(|flaw| in_group(flaw.to_string()))?;
        }
        for target in &group.targets {
            let address = Address::parse(target, None).map_err(|flaw| in_group(flaw.to_string()))?;
            entries.push(Entry { address, labels: group.labels.clone(), line: 0 });
        }
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop, prop_assert_eq, proptest};

    use super::{super::Address, Labels, read, write};

    #[test]
    fn what_is_no_target_file_is_refused() {
        for (text, word) in [
            ("", "EOF"),
            ("{}", "not a target file"),
            ("[{\"targets\": [\"a:1\"], // no\n \"labels\": {}}]", "line 1"),
            ("[{\"targets\": [\"a:1\"], \"label\": {}}]", "unknown field"),
            ("[{\"targets\": [\"a\"]}]", "in group 1, \"a\" names no port"),
            ("[{\"targets\": [\"a:1\"], \"labels\": {\"b-c\": \"\"}}]", "in group 1, \"b-c\" is not the name"),
            ("[{\"targets\": [7]}]", "invalid type"),
        ] {
            let said = read(text).map(|_| ()).map_err(|flaw| flaw.sentence);
            assert!(said.as_ref().is_err_and(|said| said.contains(word)), "{text}: {said:?}");
        }
    }

    proptest! {
        #[test]
        fn the_same_hosts_make_the_same_file_and_are_read_back(
            hosts in prop::collection::btree_map("[a-z]{1,5}", prop::collection::btree_map("[a-c]", "\\PC{0,4}", 0..3), 0..12),
            seed in 0_usize..12,
        ) {
            let mut all: Vec<(Address, Labels)> = hosts
                .into_iter()
                .filter_map(|(name, labels)| Address::parse(&name, Some(9101)).ok().map(|address| (address, labels)))
                .collect();
            let first = write(all.iter().map(|(address, labels)| (address, labels)));
            let middle = seed.min(all.len());
            all.rotate_left(middle);
            prop_assert_eq!(&write(all.iter().map(|(address, labels)| (address, labels))), &first);
            let mut found: Vec<_> = read(&first).unwrap_or_default().into_iter().map(|one| (one.address, one.labels)).collect();
            found.sort();
            all.sort();
            prop_assert_eq!(found, all);
        }
    }
}
