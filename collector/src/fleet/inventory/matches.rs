//! Patterns with `*` and `?`, as SSH's configuration and shells have them. Pure.

/// Whether `text` fits `pattern`, whatever the case of its letters. Takes at most the product of both lengths.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    let fold = |text: &str| text.chars().map(|letter| letter.to_ascii_lowercase()).collect::<Vec<_>>();
    let (pattern, text) = (fold(pattern), fold(text));
    let (mut at, mut place) = (0, 0);
    // Behind the last star, and how much of the text it has taken.
    let mut star: Option<(usize, usize)> = None;
    while let Some(letter) = text.get(place) {
        match pattern.get(at) {
            Some('*') => {
                at += 1;
                star = Some((at, place));
            }
            Some(wanted) if *wanted == '?' || wanted == letter => {
                at += 1;
                place += 1;
            }
            _ => match star {
                Some((behind, taken)) => {
                    star = Some((behind, taken + 1));
                    (at, place) = (behind, taken + 1);
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(at).all(|letter| *letter == '*')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert_eq, proptest};

    use super::matches;

    /// As it is defined.
    fn simple(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, None) => true,
            (Some((b'*', rest)), None) => simple(rest, text),
            (Some((b'*', rest)), Some((_, behind))) => simple(rest, text) || simple(pattern, behind),
            (Some((wanted, rest)), Some((found, behind))) => {
                (*wanted == b'?' || wanted == found) && simple(rest, behind)
            }
            _ => false,
        }
    }

    #[test]
    fn stars_take_anything_and_question_marks_one_letter() {
        assert!(matches("*", "") && matches("web*.Example", "WEB1.example") && matches("a?c", "abc"));
        assert!(!matches("a?c", "ac") && !matches("a*b", "abc") && !matches("", "a") && matches("", ""));
        assert!(!matches(&"*a".repeat(200), &"a".repeat(150)));
    }

    proptest! {
        #[test]
        fn the_quick_way_finds_what_the_definition_says(pattern in "[ab*?]{0,8}", text in "[ab]{0,8}") {
            prop_assert_eq!(matches(&pattern, &text), simple(pattern.as_bytes(), text.as_bytes()));
        }
    }
}
