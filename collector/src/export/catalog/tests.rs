//! The naming rules of Prometheus and OpenMetrics on the whole table, `promtool check metrics` included, and that
//! docs/METRICS.md says what the table says.

use std::collections::HashSet;

use super::{Family, GROUPS, Kind, Samples, Unit, View, families};
use crate::snapshot::{Counters, Owner, Row, Snapshot};

mod docs;

fn is_word(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_lowercase())
        && bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        && !text.contains("__")
        && !text.ends_with('_')
}

#[test]
fn no_family_and_no_group_stands_twice() {
    let names: HashSet<_> = families().map(Family::stem).collect();
    assert_eq!(names.len(), families().count());
    let groups: HashSet<_> = GROUPS.iter().map(|group| group.name).collect();
    assert_eq!(groups.len(), GROUPS.len());
}

#[test]
fn no_name_is_the_series_of_another_family() {
    for histogram in families().filter(|family| family.kind == Kind::Histogram) {
        for suffix in ["_bucket", "_sum", "_count", "_created"] {
            let series = format!("{}{suffix}", histogram.name);
            assert!(families().all(|family| family.name != series), "{series}");
        }
    }
}

#[test]
fn groups_are_a_lower_case_word_and_not_empty() {
    for group in GROUPS {
        assert!(is_word(group.name) && !group.families.is_empty(), "{}", group.name);
        assert!(group.help.ends_with('.'), "{}", group.name);
    }
}

#[test]
fn counters_end_in_total_and_nothing_else_does() {
    for family in families() {
        let name = family.name;
        assert_eq!(name.ends_with("_total"), family.kind == Kind::Counter, "{name}");
        let reserved = ["_count", "_sum", "_bucket", "_created", "_gcount", "_gsum"];
        assert!(!reserved.iter().any(|suffix| name.ends_with(suffix)), "{name}");
    }
}

#[test]
fn what_comes_and_goes_did_not_begin_with_its_row() {
    for family in families() {
        let gauge = Family { kind: Kind::Gauge, ..*family };
        assert!(!gauge.began_with_its_row(), "{}", family.name);
        let of_process = Family { samples: Samples::Process { labels: &[] }, ..*family };
        assert!(!of_process.began_with_its_row(), "{}", family.name);
    }
}

#[test]
fn names_are_ours_and_end_in_their_base_unit() {
    for family in families() {
        let name = family.name;
        assert!(name.starts_with("uidmeter_") && is_word(name), "{name}");
        for unit in [Unit::Seconds, Unit::Bytes, Unit::Cores, Unit::Ratio] {
            let suffix = format!("_{}", unit.word().unwrap_or_default());
            assert_eq!(family.stem().ends_with(&suffix), family.unit == unit, "{name}");
        }
    }
}

#[test]
fn names_contain_neither_abbreviated_units_nor_their_type() {
    // Those that promtool refuses: units that are not base units, and metric types.
    let refused = [
        "ms",
        "us",
        "ns",
        "s",
        "sec",
        "secs",
        "milliseconds",
        "microseconds",
        "nanoseconds",
        "minutes",
        "hours",
        "kb",
        "mb",
        "gb",
        "kib",
        "mib",
        "kilobytes",
        "megabytes",
        "bits",
        "percent",
        "counter",
        "gauge",
        "histogram",
        "summary",
        "untyped",
        "metric",
    ];
    for family in families() {
        let found = family.name.split('_').find(|word| refused.contains(word));
        assert_eq!(found, None, "{}", family.name);
    }
}

#[test]
fn help_is_one_sentence_or_more_on_one_line() {
    for family in families() {
        let (name, help) = (family.name, family.help);
        assert!(help.starts_with(|first: char| first.is_ascii_uppercase() || name.contains(first)), "{name}: {help}");
        assert!(help.ends_with('.') && !help.contains(['\n', '\\', '"', '|']), "{name}: {help}");
        assert!(!family.source.is_empty() && !family.source.contains(['\n', '|']), "{name}: {}", family.source);
    }
}

#[test]
fn labels_are_words_distinct_and_none_is_reserved() {
    for family in families() {
        let labels = family.labels();
        assert_eq!(labels.iter().collect::<HashSet<_>>().len(), labels.len(), "{}", family.name);
        for label in labels {
            assert!(is_word(label), "{}: {label}", family.name);
            let reserved = ["le", "quantile", "job", "instance", "uidmeter"];
            assert!(!reserved.contains(&label) && !family.stem().ends_with(label), "{}: {label}", family.name);
        }
    }
}

#[test]
fn parts_of_a_family_are_distinct_words() {
    for family in families() {
        if let Samples::RowBy { parts, .. } = family.samples {
            let values: HashSet<_> = parts.iter().map(|part| part.0).collect();
            assert_eq!(values.len(), parts.len(), "{}", family.name);
            assert!(values.iter().all(|value| is_word(value)), "{}", family.name);
        }
    }
}

#[test]
fn histograms_come_from_buckets_and_nothing_else_does() {
    for family in families() {
        let from_buckets = matches!(family.samples, Samples::RowHistogram { .. });
        let from_process = matches!(family.samples, Samples::Process { .. });
        assert!(from_process || from_buckets == (family.kind == Kind::Histogram), "{}", family.name);
    }
}

#[test]
fn a_row_has_as_many_buckets_as_its_shape() {
    let rows = vec![Row { owner: Owner::Kernel, counters: Counters::default() }];
    let view = View { snapshot: Snapshot { rows, ..Snapshot::default() }.into(), ..View::default() };
    for family in families() {
        let Samples::RowHistogram { shape, observed } = family.samples else { continue };
        for observed in view.rows().filter_map(|row| observed(&row)) {
            assert_eq!(observed.buckets.len(), shape.buckets(), "{}", family.name);
        }
    }
}

#[test]
fn labels_of_the_view_s_samples_are_as_many_as_the_family_names() {
    for family in families() {
        let Samples::View { labels, each } = family.samples else { continue };
        each(&View::default(), &mut |values, _| assert_eq!(values.len(), labels.len(), "{}", family.name));
    }
}
