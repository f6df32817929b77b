//! Rust source as a flat list of words and marks, with comments, strings, characters, numbers and lifetimes
//! left out: enough to see which paths a file names, and far from a parser. Pure.

/// One token and the line that it stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token<'a> {
    /// What it is.
    pub(super) kind: Kind<'a>,
    /// Counted from 1.
    pub(super) line: usize,
}

/// The kinds that paths are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind<'a> {
    /// An identifier or keyword; a raw one without its `r#`.
    Word(&'a str),
    /// `::`
    PathSeparator,
    /// Any other single character of punctuation.
    Mark(char),
}

/// Splits `source` into tokens. Text that is no Rust gives some tokens and no panic.
pub(super) fn tokens(source: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    let mut rest = source;
    let mut line = 1;
    while !rest.is_empty() {
        let (length, kind) = next(rest);
        found.extend(kind.map(|kind| Token { kind, line }));
        line += rest[..length].matches('\n').count();
        rest = &rest[length..];
    }
    found
}

/// Length in bytes (never 0) and, if it counts, the kind of what `text` begins with.
fn next(text: &str) -> (usize, Option<Kind<'_>>) {
    let Some(first) = text.chars().next() else {
        return (0, None);
    };
    if text.starts_with("//") {
        return (text.find('\n').unwrap_or(text.len()), None);
    }
    if text.starts_with("/*") {
        return (block_comment(text), None);
    }
    if let Some(length) = string(text) {
        return (length, None);
    }
    if first == '\'' {
        return (character_or_lifetime(text), None);
    }
    if text.starts_with("::") {
        return (2, Some(Kind::PathSeparator));
    }
    if first.is_ascii_digit() {
        return (word_length(text), None);
    }
    if is_word(first) {
        let raw = text.strip_prefix("r#").filter(|rest| rest.starts_with(is_word));
        let word = raw.unwrap_or(text);
        let length = word_length(word);
        let skipped = text.len() - word.len();
        return (skipped + length, Some(Kind::Word(&word[..length])));
    }
    let mark = (!first.is_whitespace()).then_some(Kind::Mark(first));
    (first.len_utf8(), mark)
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn word_length(text: &str) -> usize {
    text.find(|c| !is_word(c)).unwrap_or(text.len())
}

/// Block comments nest in Rust.
fn block_comment(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < text.len() {
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// The length of the string literal of any kind that `text` begins with.
fn string(text: &str) -> Option<usize> {
    let prefix = word_length(text);
    let body = &text[prefix..];
    match &text[..prefix] {
        "" | "b" | "c" if body.starts_with('"') => Some(prefix + quoted(body)),
        "r" | "br" | "cr" => {
            let hashes = body.len() - body.trim_start_matches('#').len();
            let inside = body[hashes..].strip_prefix('"')?;
            let end = format!("\"{}", "#".repeat(hashes));
            let length = inside.find(&end).map_or(inside.len(), |at| at + end.len());
            Some(prefix + hashes + 1 + length)
        }
        "b" if body.starts_with('\'') => Some(prefix + character_or_lifetime(body)),
        _ => None,
    }
}

/// From a quote to the next one that no backslash escapes.
fn quoted(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// `'x'` and `'\n'` are characters; `'a` is a lifetime.
fn character_or_lifetime(text: &str) -> usize {
    let mut inside = text.char_indices().skip(1);
    match inside.next() {
        // The escaped character itself may be a quote: `'\''`.
        Some((_, '\\')) => text.get(3..).and_then(|rest| rest.find('\'')).map_or(text.len(), |at| 3 + at + 1),
        Some((_, _)) => match inside.next() {
            Some((at, '\'')) => at + 1,
            _ => 1 + word_length(&text[1..]),
        },
        None => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(source: &str) -> Vec<&str> {
        tokens(source)
            .into_iter()
            .filter_map(|token| match token.kind {
                Kind::Word(word) => Some(word),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn comments_strings_characters_and_lifetimes_are_no_words() {
        let source = r###"
            // crate::comment
            /* outer /* crate::nested */ still */ let a = "crate::string \" more";
            let b = r#"crate::"raw"#; let c = b"bytes"; let d = br##"x"# y"##;
            let e = '\''; let f = 'g'; let h: &'static str = b'\n'; 0x1fu8
        "###;
        assert_eq!(
            words(source),
            ["let", "a", "let", "b", "let", "c", "let", "d", "let", "e", "let", "f", "let", "h", "str"]
        );
    }

    #[test]
    fn raw_identifiers_lose_their_prefix_and_lines_are_counted() {
        let found = tokens("a::r#type\n/*\n*/ b");
        assert_eq!(
            found,
            [
                Token { kind: Kind::Word("a"), line: 1 },
                Token { kind: Kind::PathSeparator, line: 1 },
                Token { kind: Kind::Word("type"), line: 1 },
                Token { kind: Kind::Word("b"), line: 3 },
            ]
        );
    }

    #[test]
    fn unfinished_text_ends_without_a_panic() {
        for source in ["\"abc", "'", "'\\", "r#\"abc", "/* abc", "b'", "é'é"] {
            tokens(source);
        }
    }
}
