//! The conventions that `promtool check metrics` enforces, on the whole table.

use std::collections::HashSet;

use super::{FAMILIES, Family, Kind, Samples, Unit};

#[test]
fn no_name_stands_twice() {
    let names: HashSet<_> = FAMILIES.iter().map(|family| family.name).collect();
    assert_eq!(names.len(), FAMILIES.len());
}

#[test]
fn counters_end_in_total_and_nothing_else_does() {
    for Family { name, kind, .. } in FAMILIES {
        assert_eq!(name.ends_with("_total"), *kind == Kind::Counter, "{name}");
        assert!(!["_count", "_sum", "_bucket"].iter().any(|suffix| name.ends_with(suffix)), "{name}");
    }
}

#[test]
fn names_are_ours_and_end_in_their_unit() {
    for Family { name, unit, .. } in FAMILIES {
        assert!(name.starts_with("uidmeter_"), "{name}");
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
        let stem = name.trim_end_matches("_total");
        assert_eq!(stem.ends_with("_seconds"), *unit == Unit::Seconds, "{name}");
        assert_eq!(stem.ends_with("_bytes"), *unit == Unit::Bytes, "{name}");
    }
}

#[test]
fn help_is_one_sentence_or_more_on_one_line() {
    for Family { name, help, .. } in FAMILIES {
        assert!(help.ends_with('.') && !help.contains(['\n', '\\']), "{name}: {help}");
    }
}

#[test]
fn labels_are_distinct_and_none_is_reserved() {
    for family in FAMILIES {
        let labels = family.labels();
        assert_eq!(labels.iter().collect::<HashSet<_>>().len(), labels.len(), "{}", family.name);
        assert!(!labels.iter().any(|label| ["le", "quantile"].contains(label)), "{}", family.name);
    }
}

#[test]
fn histograms_come_from_buckets() {
    for family in FAMILIES {
        let from_buckets = matches!(family.samples, Samples::RowLatency { .. });
        let from_process = matches!(family.samples, Samples::Process { .. });
        assert!(from_process || from_buckets == (family.kind == Kind::Histogram), "{}", family.name);
    }
}
