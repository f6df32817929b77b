//! A host list: one `host[:port]` a line; what follows `#` is a comment. Pure.

use super::{Address, Entry, Flaw, Labels};

/// The hosts of `text`, with their lines.
///
/// # Errors
/// The first line that names no host.
pub(super) fn read(text: &str, port: u16) -> Result<Vec<Entry>, Flaw> {
    let mut entries = Vec::new();
    for (line, text) in (1..).zip(text.lines()) {
        let words = text.split_once('#').map_or(text, |(before, _)| before).trim();
        if words.is_empty() {
            continue;
        }
        let address = Address::parse(words, Some(port)).map_err(|flaw| Flaw::at(line, &flaw))?;
        entries.push(Entry { address, labels: Labels::new(), line });
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn comments_and_empty_lines_are_passed_over_and_lines_counted() {
        let text = "# all of them\n\nnode1\n  node2.example:80  # rack 7\r\n\t#node3\n192.0.2.7";
        let found = read(text, 9101)
            .map(|entries| entries.iter().map(|entry| (entry.line, entry.address.to_string())).collect::<Vec<_>>());
        let expected = [(3, "node1:9101"), (4, "node2.example:80"), (6, "192.0.2.7:9101")];
        assert_eq!(found, Ok(expected.map(|(line, text)| (line, text.to_owned())).to_vec()));
    }

    #[test]
    fn a_line_with_anything_else_is_refused_with_its_number() {
        for bad in ["a b", "http://a/", "a,b", "a:0", "\u{1b}[2J", "\u{feff}a", "\0"] {
            let said = read(&format!("fine\n{bad}\n"), 1).err().map(|flaw| flaw.line);
            assert_eq!(said, Some(2), "{bad:?}");
        }
    }
}
