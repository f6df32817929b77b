//! What a page of metrics says about uidmeter itself. Pure; whoever wrote the page may be anybody.

/// No host has more.
const MOST_PROBES: usize = 64;
const LONGEST_WORD: usize = 48;
/// The families that are asked for.
pub(super) const QUERY: &str = "name%5B%5D=uidmeter_build_info&name%5B%5D=uidmeter_probe_active";

/// What is on the page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// `None` if it is not uidmeter's, or no version.
    pub version: Option<String>,
    /// Kernel programs at work.
    pub active: usize,
    /// Names of those that are not.
    pub inactive: Vec<String>,
}

impl Page {
    /// Reads `text`, in Prometheus' text format.
    pub fn of(text: &str) -> Self {
        let mut page = Self::default();
        for line in text.lines() {
            if let Some(labels) = line.strip_prefix("uidmeter_build_info{") {
                page.version = page.version.or_else(|| word(labels, "version=\""));
            }
            if let Some(labels) = line.strip_prefix("uidmeter_probe_active{")
                && page.active + page.inactive.len() < MOST_PROBES
                && let Some(name) = word(labels, "probe=\"")
            {
                if line.ends_with(" 1") {
                    page.active += 1;
                } else {
                    page.inactive.push(name);
                }
            }
        }
        page
    }
}

/// The value behind `key`, if it is one that a terminal shows as it is.
fn word(labels: &str, key: &str) -> Option<String> {
    let (_, rest) = labels.split_once(key)?;
    let (value, _) = rest.split_once('"')?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".+-_~".contains(&byte);
    let fits = (1..=LONGEST_WORD).contains(&value.len()) && value.bytes().all(is_plain);
    fits.then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert, proptest};

    use super::{MOST_PROBES, Page};

    #[test]
    fn version_and_probes_are_read() {
        let page = Page::of(
            "# HELP x\nuidmeter_build_info{version=\"0.1.0\"} 1\nuidmeter_probe_active{probe=\"tick\",hook=\"a\"} 1\n\
             uidmeter_probe_active{probe=\"exit\",hook=\"b\"} 0\nother 1\n",
        );
        assert_eq!(page, Page { version: Some("0.1.0".into()), active: 1, inactive: vec!["exit".into()] });
    }

    #[test]
    fn what_a_terminal_obeys_is_no_version_and_no_probe() {
        for bad in ["\u{1b}[2J", "0.1\u{202e}", "", "a b", "\\u001b", &"1".repeat(49)] {
            let page = Page::of(&format!(
                "uidmeter_build_info{{version=\"{bad}\"}} 1\nuidmeter_probe_active{{probe=\"{bad}\"}} 0\n"
            ));
            assert_eq!(page, Page::default(), "{bad:?}");
        }
        let many = Page::of(&"uidmeter_probe_active{probe=\"a\"} 0\n".repeat(1000));
        assert_eq!(many.inactive.len(), MOST_PROBES);
    }

    proptest! {
        #[test]
        fn any_page_leaves_something_harmless(tail in "(\\PC|[\\x00-\\x1f\"{}])*") {
            let page = Page::of(&format!("uidmeter_build_info{{version=\"{tail}\nuidmeter_probe_active{{probe=\"{tail}"));
            let shown = format!("{}{}", page.version.unwrap_or_default(), page.inactive.concat());
            prop_assert!(shown.bytes().all(|byte| byte.is_ascii_graphic()));
        }
    }
}
