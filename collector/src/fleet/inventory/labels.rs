//! Labels of targets: which names and values Prometheus takes, and which of them it would overwrite. Pure.

use std::collections::BTreeMap;

use super::excerpt;

/// By name; sorted, so that the same hosts make the same file.
pub type Labels = BTreeMap<String, String>;

/// Longer values help nobody, and fill every series.
const LONGEST: usize = 1024;
/// Names that begin with two underscores are Prometheus' own; with these it lets a target say something.
const TELLING: [&str; 4] = ["__metrics_path__", "__scheme__", "__scrape_interval__", "__scrape_timeout__"];
/// And these are for relabelling, which drops them.
const PASSING: [&str; 3] = ["__meta_", "__param_", "__tmp_"];
/// Set by service discovery itself, whatever a file says.
const OVERWRITTEN: &str = "__meta_filepath";

/// Why a label cannot be used; continues a sentence that begins with where it stands.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LabelFlaw {
    /// Not spelled as a label.
    #[error("{0} is not the name of a label: letters, digits and _, and no digit first")]
    Name(String),
    /// Prometheus' own.
    #[error(
        "the label {0} is Prometheus' own; a target may set __metrics_path__, __scheme__, __scrape_interval__, __scrape_timeout__, and names that begin with __meta_, __param_ or __tmp_"
    )]
    Reserved(String),
    /// Too long, or not one line of text.
    #[error("the label {0} has a value with control characters or more than {LONGEST} bytes")]
    Value(String),
}

/// Whether a target may have the label `name` with this `value`.
///
/// # Errors
/// What is wrong with either.
pub fn check(name: &str, value: &str) -> Result<(), LabelFlaw> {
    let is_letter = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    let fits = name.len() <= LONGEST
        && name.bytes().next().is_some_and(is_letter)
        && name.bytes().all(|byte| is_letter(byte) || byte.is_ascii_digit());
    if !fits {
        return Err(LabelFlaw::Name(excerpt(name)));
    }
    let is_free = !name.starts_with("__")
        || TELLING.contains(&name)
        || PASSING.iter().any(|prefix| name.starts_with(prefix)) && name != OVERWRITTEN;
    if !is_free {
        return Err(LabelFlaw::Reserved(excerpt(name)));
    }
    if value.len() > LONGEST || value.contains(char::is_control) {
        return Err(LabelFlaw::Value(excerpt(name)));
    }
    Ok(())
}

/// `NAME=VALUE` of the command line.
///
/// # Errors
/// One sentence.
pub fn of_flag(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write it as NAME=VALUE, for example environment=production")?;
    check(name, value).map_err(|flaw| flaw.to_string())?;
    Ok((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::{LONGEST, LabelFlaw, check, of_flag};

    #[test]
    fn names_are_those_that_prometheus_takes_from_a_target() {
        for name in ["a", "_a", "A1", "instance", "__scheme__", "__meta_rack", "__param_x", "__tmp_x"] {
            assert_eq!(check(name, "v"), Ok(()), "{name}");
        }
        for name in ["", "1a", "a-b", "a b", "a.b", "\u{e9}", "a\u{1b}", "a=b"] {
            assert!(matches!(check(name, "v"), Err(LabelFlaw::Name(_))), "{name}");
        }
        for name in ["__address__", "__name__", "__meta_filepath", "__x"] {
            assert!(matches!(check(name, "v"), Err(LabelFlaw::Reserved(_))), "{name}");
        }
    }

    #[test]
    fn values_are_one_line_of_bounded_length() {
        for value in ["", "rack 7", "\u{fc}ber", &"x".repeat(LONGEST)] {
            assert_eq!(check("a", value), Ok(()));
        }
        for value in ["a\nb", "\u{1b}[2J", "\u{0}", &"x".repeat(LONGEST + 1)] {
            assert!(matches!(check("a", value), Err(LabelFlaw::Value(_))), "{value:?}");
        }
    }

    #[test]
    fn a_flag_may_have_an_equals_sign_in_its_value() {
        assert_eq!(of_flag("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert_eq!(of_flag("a="), Ok(("a".into(), String::new())));
        assert!(of_flag("a").is_err_and(|said| said.contains("NAME=VALUE")));
    }
}
