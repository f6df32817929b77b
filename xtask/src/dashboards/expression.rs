//! As much of `PromQL` as is needed to see which series an expression asks for, in which functions they stand, and to add matchers
//! to each. Pure. Whether the expression is right, a real Prometheus says.

use std::ops::Range;

use anyhow::{Result, bail};

/// A series that an expression asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Selector<'a> {
    pub(crate) name: &'a str,
    /// Where the matchers go: inside of its braces, or just after its name if it has none.
    place: Range<usize>,
    /// What stands between the braces.
    pub(crate) matchers: Option<&'a str>,
    /// What stands between the brackets, as `$__rate_interval`.
    pub(crate) range: Option<&'a str>,
    /// Functions and aggregations around it, the nearest last.
    pub(crate) inside: Vec<&'a str>,
}

/// Words before a list of labels in parentheses.
const GROUPING: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];
/// Other words that are no names of series.
const KEYWORDS: [&str; 10] = ["and", "or", "unless", "offset", "bool", "atan2", "inf", "Inf", "nan", "NaN"];
/// Operators whose list of labels may come before what they work on.
const AGGREGATIONS: [&str; 12] =
    ["sum", "avg", "min", "max", "count", "group", "topk", "bottomk", "quantile", "stddev", "stdvar", "count_values"];

/// The series of `text`, in its order.
///
/// # Errors
/// A quotation, brace, bracket or parenthesis is not closed.
pub(crate) fn selectors(text: &str) -> Result<Vec<Selector<'_>>> {
    let mut found: Vec<Selector<'_>> = Vec::new();
    let mut inside: Vec<&str> = Vec::new();
    // The function or aggregation whose parenthesis comes next.
    let mut pending = "";
    let mut at = 0;
    while let Some(next) = text[at..].chars().next() {
        match next {
            '"' | '\'' | '`' => at = after_quotation(text, at, next)?,
            '{' => bail!("a selector without a name at {:?}: name the metric", &text[at..]),
            // A subquery's; that of a selector is read with it.
            '[' => at = closing(text, at, ']')? + 1,
            '(' => {
                inside.push(std::mem::take(&mut pending));
                at += 1;
            }
            ')' => {
                if inside.pop().is_none() {
                    bail!("one ) too many in {text:?}");
                }
                at += 1;
            }
            '0'..='9' => at += word(&text[at..], |c| c.is_ascii_alphanumeric() || c == '.'),
            '$' => at += 1 + word(&text[at + 1..], |c| c.is_ascii_alphanumeric() || c == '_'),
            'a'..='z' | 'A'..='Z' | '_' | ':' => {
                let end = at + word(&text[at..], |c| c.is_ascii_alphanumeric() || c == '_' || c == ':');
                let name = &text[at..end];
                let called = text[end..].trim_start().starts_with('(');
                at = end;
                if GROUPING.contains(&name) {
                    if called {
                        at = closing(text, end, ')')? + 1;
                    }
                } else if AGGREGATIONS.contains(&name) || called {
                    pending = name;
                } else if !KEYWORDS.contains(&name) {
                    let (selector, end) = selector(text, name, end, &inside)?;
                    found.push(selector);
                    at = end;
                }
            }
            other => at += other.len_utf8(),
        }
    }
    if !inside.is_empty() {
        bail!("a ( is not closed in {text:?}");
    }
    Ok(found)
}

/// `text` with what `more` says added to the matchers of each series.
///
/// # Errors
/// As [`selectors`], and what `more` says.
pub(crate) fn with_matchers(text: &str, mut more: impl FnMut(&Selector<'_>) -> Result<String>) -> Result<String> {
    let mut whole = String::new();
    let mut done = 0;
    for selector in selectors(text)? {
        let added = more(&selector)?;
        whole.push_str(&text[done..selector.place.start]);
        match selector.matchers.map(str::trim) {
            None => whole.extend(["{", &added, "}"]),
            Some("") => whole.push_str(&added),
            Some(own) if added.is_empty() => whole.push_str(own),
            Some(own) => whole.extend([&added, ",", own]),
        }
        done = selector.place.end;
    }
    whole.push_str(&text[done..]);
    Ok(whole)
}

/// The selector whose name ends at `end`, and where it ends itself.
fn selector<'a>(text: &'a str, name: &'a str, end: usize, inside: &[&'a str]) -> Result<(Selector<'a>, usize)> {
    let mut selector = Selector { name, place: end..end, matchers: None, range: None, inside: inside.to_vec() };
    let mut at = end;
    if text[at..].starts_with('{') {
        let close = closing(text, at, '}')?;
        selector.place = at + 1..close;
        selector.matchers = Some(&text[at + 1..close]);
        at = close + 1;
    }
    if text[at..].starts_with('[') {
        let close = closing(text, at, ']')?;
        selector.range = Some(&text[at + 1..close]);
        at = close + 1;
    }
    Ok((selector, at))
}

/// Where the first `mark` after `start` stands that is in no quotation.
fn closing(text: &str, start: usize, mark: char) -> Result<usize> {
    let mut at = start;
    while let Some(next) = text[at..].chars().next() {
        match next {
            '"' | '\'' | '`' => at = after_quotation(text, at, next)?,
            found if found == mark => return Ok(at),
            other => at += other.len_utf8(),
        }
    }
    bail!("{mark} is missing after {:?}", &text[start..])
}

/// Where the quotation ends that begins at `start`.
fn after_quotation(text: &str, start: usize, mark: char) -> Result<usize> {
    let mut escaped = false;
    for (offset, next) in text[start + 1..].char_indices() {
        if escaped {
            escaped = false;
        } else if next == '\\' && mark != '`' {
            escaped = true;
        } else if next == mark {
            return Ok(start + 1 + offset + mark.len_utf8());
        }
    }
    bail!("a quotation is not closed: {:?}", &text[start..])
}

/// How many bytes the word has that `text` begins with.
fn word(text: &str, belongs: impl Fn(char) -> bool) -> usize {
    text.find(|c| !belongs(c)).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{ProptestConfig, any, proptest};

    use super::*;

    fn names(text: &str) -> Result<Vec<&str>> {
        Ok(selectors(text)?.into_iter().map(|selector| selector.name).collect())
    }

    #[test]
    fn names_are_told_from_functions_labels_keywords_and_strings() -> Result<()> {
        let text = r#"topk($top, sum by (user, instance) (rate(a_total{mode="b{c"}[$__rate_interval])))
            / on (instance) group_left (cluster) (d or e:f:g unless on () h) > bool 0.5 and i offset 5m
            or label_replace(j, "k", "$1", "l", "(.*)") or sum(m) without (n)"#;
        assert_eq!(names(text)?, ["a_total", "d", "e:f:g", "h", "i", "j", "m"]);
        Ok(())
    }

    #[test]
    fn a_selector_knows_its_matchers_its_range_and_what_is_around_it() -> Result<()> {
        let found = selectors(r#"histogram_quantile(0.9, sum by (le) (rate(a_bucket{x="1"}[5m])))"#)?;
        assert_eq!(found[0].matchers, Some(r#"x="1""#));
        assert_eq!(found[0].range, Some("5m"));
        assert_eq!(found[0].inside, ["histogram_quantile", "sum", "rate"]);
        Ok(())
    }

    #[test]
    fn matchers_are_added_to_every_series_and_those_that_are_there_stay() -> Result<()> {
        let more = |selector: &Selector<'_>| Ok(format!("job=~\"$job\",n=\"{}\"", selector.name.len()));
        let whole = with_matchers(r#"sum(rate(ab{mode="user"}[5m])) / c + d{}"#, more)?;
        assert_eq!(
            whole,
            r#"sum(rate(ab{job=~"$job",n="2",mode="user"}[5m])) / c{job=~"$job",n="1"} + d{job=~"$job",n="1"}"#
        );
        Ok(())
    }

    #[test]
    fn what_is_not_closed_is_refused() {
        for text in [r#"a{b="c}"#, "rate(a[5m)", "sum(a", "a)", "sum by (a", "{x=\"y\"}"] {
            assert!(selectors(text).is_err(), "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_text_is_read_past_its_end(text in any::<String>(), marks in r#"[a-z{}()\[\]"'`\\$0-9 ä]*"#) {
            // An error is fine.
            let _ = selectors(&text);
            let _ = selectors(&marks);
        }
    }
}
