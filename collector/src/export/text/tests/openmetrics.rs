//! What OpenMetrics has beyond the Prometheus text format: every rule of the specification that this page could break.

use super::{Content, Counters, Dialect, Filter, Kind, Outcome, Samples, encode, families, parse, view, waits};
use crate::{
    export::own::tests::complete as complete_own,
    snapshot::Owner,
    units::{Nanos, Uid, UnixTime},
    view::{View, tests::complete},
};

fn page(content: &Content<'_>) -> Result<String, std::string::FromUtf8Error> {
    let mut out = Vec::new();
    encode(content, Dialect::OpenMetrics, &mut out);
    String::from_utf8(out)
}

fn host() -> View {
    let counters = Counters { cpu: Nanos(1_550_701_066), ..waits(&[1; super::BUCKETS], 2_000_000_000) };
    let users = view(&[(7, "a\"b\\c\nd", counters), (9, "eve", Counters::default())]);
    complete(View { host: crate::host::tests::example().into(), ..users })
}

#[test]
fn the_page_ends_with_eof_and_has_no_empty_line() -> Outcome {
    for view in [View::default(), host()] {
        let page = page(&Content::new(&view, &[], Filter::ALL))?;
        assert!(page.ends_with("\n# EOF\n") && page.matches("# EOF").count() == 1 && !page.contains("\n\n"));
    }
    Ok(())
}

#[test]
fn metadata_name_a_counter_without_total_and_tell_its_unit() -> Outcome {
    let view = host();
    let own = complete_own()?.gather();
    let page = page(&Content::new(&view, &own, Filter::ALL))?;
    for family in families() {
        let header = format!("# TYPE {} {}\n", family.stem(), family.kind.word());
        let stands = page.contains(&header);
        let has_samples = !matches!(family.samples, Samples::View { labels: ["probe", ..], .. });
        assert_eq!(stands, has_samples, "{header}");
        if let (true, Some(unit)) = (stands, family.unit.word()) {
            assert!(page.contains(&format!("# UNIT {} {unit}\n", family.stem())), "{}", family.name);
        }
    }
    assert!(
        !page.lines().any(|line| line.starts_with("# ") && line.contains("_total ") && !line.starts_with("# HELP"))
    );
    Ok(())
}

#[test]
fn samples_are_those_of_the_prometheus_format_but_for_bounds() -> Outcome {
    let view = host();
    let own = complete_own()?.gather();
    let content = Content::new(&view, &own, Filter::ALL);
    let mut text = Vec::new();
    encode(&content, Dialect::Prometheus, &mut text);
    let of =
        |page: &str| -> Vec<String> { page.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect() };
    let classic = of(&String::from_utf8(text)?);
    let open = of(&page(&content)?);
    assert_eq!(classic.len(), open.len());
    let mut bounds = 0;
    for (classic, open) in classic.iter().zip(&open) {
        if classic != open {
            bounds += 1;
            assert_eq!(*classic, open.replace(".0\"}", "\"}"), "{open}");
            assert!(open.contains("le=\""), "{open}");
        }
    }
    assert!(bounds > 0);
    Ok(())
}

#[test]
fn bounds_look_like_floating_point_numbers() -> Outcome {
    let view = host();
    let own = complete_own()?.gather();
    let page = page(&Content::new(&view, &own, Filter::ALL))?;
    let bounds: Vec<_> = page.lines().filter_map(|line| line.split_once("le=\"")?.1.split_once('"')).collect();
    assert!(bounds.len() > 40);
    assert!(bounds.iter().all(|(bound, _)| *bound == "+Inf" || bound.contains(['.', 'e'])), "{bounds:?}");
    Ok(())
}

#[test]
fn counters_and_histograms_tell_when_their_row_began_and_nothing_else_does() -> Outcome {
    let view = host();
    let mut content = Content::new(&view, &[], Filter::ALL);
    content.rows[0].since = Some(UnixTime(Nanos(1_700_000_000_250_000_000)));
    assert_eq!(content.rows[0].owner, Owner::User(Uid(7)));
    let page = page(&content)?;
    let lines: Vec<_> = page.lines().collect();
    let created: Vec<_> = (1..).zip(&lines).filter(|(_, line)| line.contains("_created{")).collect();
    let mut expected = 0;
    for family in families().filter(|family| family.began_with_its_row()) {
        expected += if let Samples::RowBy { parts, .. } = family.samples { parts.len() } else { 1 };
        assert!(created.iter().any(|(_, line)| line.starts_with(&format!("{}_created{{", family.stem()))));
    }
    assert_eq!(created.len(), expected);
    for (after, line) in created {
        assert!(line.contains("uid=\"7\"") && line.ends_with(" 1700000000.25"), "{line}");
        // Right after the sample that it belongs to.
        let labels =
            |line: &str| line.split_once('{').map(|(_, labels)| labels.rsplit_once(' ').map(|it| it.0.to_owned()));
        assert_eq!(labels(line), labels(lines[after - 2]), "{line}");
    }
    let mut text = Vec::new();
    encode(&content, Dialect::Prometheus, &mut text);
    assert!(!String::from_utf8(text)?.contains("_created"));
    Ok(())
}

#[test]
fn a_page_without_its_own_marks_is_a_page_of_the_other_format() -> Outcome {
    let view = host();
    let page = page(&Content::new(&view, &[], Filter::ALL))?;
    let mut classic = String::new();
    for line in page.lines().filter(|line| !line.starts_with("# UNIT ") && *line != "# EOF") {
        let counter = line.strip_prefix("# ").and_then(|line| {
            let (mark, rest) = line.split_once(' ')?;
            let (name, rest) = rest.split_once(' ')?;
            let family = families().find(|family| family.kind == Kind::Counter && family.stem() == name)?;
            Some(format!("# {mark} {} {rest}", family.name))
        });
        classic += &counter.unwrap_or_else(|| line.to_owned());
        classic.push('\n');
    }
    let read = parse::page(classic.as_bytes())?;
    assert_eq!(read.samples("uidmeter_cpu_seconds_total")[0].label("user"), Some("a\"b\\c\nd"));
    Ok(())
}
