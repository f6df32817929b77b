//! A table as RFC 4180 has it: a header, one host a line, the column `host`; every other column is a label. Pure.

use super::{Address, Entry, Flaw, Labels, excerpt, labels};

/// The column with the address.
const HOST: &str = "host";
/// A host has no more labels than that.
const MOST_COLUMNS: usize = 64;
const BYTE_ORDER_MARK: char = '\u{feff}';

/// Fields, and the line on which the first one begins.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    line: u64,
    fields: Vec<String>,
}

/// The hosts of `text` with their labels and lines. An empty field is no label.
///
/// # Errors
/// The first thing that is wrong.
pub(super) fn read(text: &str, port: u16) -> Result<Vec<Entry>, Flaw> {
    let mut rows = rows(text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text))?.into_iter();
    let header = rows.next().ok_or_else(|| Flaw::at(1, "there is no header; the first line names the columns"))?;
    let names: Vec<&str> = header.fields.iter().map(|field| field.trim()).collect();
    check_header(&names).map_err(|flaw| Flaw::at(header.line, &flaw))?;
    let mut entries = Vec::new();
    for row in rows {
        let line = row.line;
        if row.fields.len() != names.len() {
            let (found, expected) = (row.fields.len(), names.len());
            return Err(Flaw::at(line, &format!("there are {found} fields, and the header has {expected}")));
        }
        let mut address = None;
        let mut found = Labels::new();
        for (name, field) in names.iter().zip(&row.fields) {
            let field = field.trim();
            if *name == HOST {
                address = Some(Address::parse(field, Some(port)).map_err(|flaw| Flaw::at(line, &flaw))?);
            } else if !field.is_empty() {
                labels::check(name, field).map_err(|flaw| Flaw::at(line, &flaw))?;
                found.insert((*name).to_owned(), field.to_owned());
            }
        }
        entries.extend(address.map(|address| Entry { address, labels: found, line }));
    }
    Ok(entries)
}

fn check_header(names: &[&str]) -> Result<(), String> {
    if names.len() > MOST_COLUMNS {
        return Err(format!("there are {} columns, and at most {MOST_COLUMNS} are read", names.len()));
    }
    for (at, name) in names.iter().enumerate() {
        if names.get(..at).is_some_and(|before| before.contains(name)) {
            return Err(format!("the header names {} twice", excerpt(name)));
        }
        labels::check(name, "").map_err(|flaw| flaw.to_string())?;
    }
    if names.contains(&HOST) { Ok(()) } else { Err(format!("the header has no column {HOST}")) }
}

/// Splits `text`; empty lines are passed over.
fn rows(text: &str) -> Result<Vec<Row>, Flaw> {
    let mut rows = Vec::new();
    let mut letters = text.chars().peekable();
    let mut line = 1;
    while letters.peek().is_some() {
        let begin = line;
        let mut fields = Vec::new();
        loop {
            let (field, ends) = field(&mut letters, &mut line)?;
            fields.push(field);
            if ends {
                break;
            }
        }
        let is_empty = fields.len() == 1 && fields.iter().all(|field| field.trim().is_empty());
        if !is_empty {
            rows.push(Row { line: begin, fields });
        }
    }
    Ok(rows)
}

/// One field, and whether its row ends with it.
fn field(letters: &mut std::iter::Peekable<std::str::Chars<'_>>, line: &mut u64) -> Result<(String, bool), Flaw> {
    let mut field = String::new();
    let begin = *line;
    let is_quoted = letters.next_if_eq(&'"').is_some();
    if is_quoted {
        loop {
            match letters.next() {
                Some('"') if letters.next_if_eq(&'"').is_some() => field.push('"'),
                Some('"') => break,
                Some(letter) => {
                    *line += u64::from(letter == '\n');
                    field.push(letter);
                }
                None => return Err(Flaw::at(begin, "a quoted field has no end")),
            }
        }
    }
    loop {
        match letters.next() {
            None => return Ok((field, true)),
            Some('\n') => {
                *line += 1;
                return Ok((field, true));
            }
            Some(',') => return Ok((field, false)),
            Some('\r') if letters.peek().is_none_or(|next| *next == '\n') => {}
            Some(_) if is_quoted => return Err(Flaw::at(*line, "something follows the end of a quoted field")),
            Some('"') => return Err(Flaw::at(*line, "a quotation mark stands inside of a field that is not quoted")),
            Some(letter) => field.push(letter),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop, prop_assert_eq, proptest};

    use super::{read, rows};

    #[test]
    fn every_column_but_the_host_is_a_label() {
        let text = "\u{feff}rack,host,environment\r\n7,node1,\"a \"\"b\"\", c\"\r\n\r\n,node2:80,\r\n";
        let found = read(text, 9101).unwrap_or_default();
        let shown: Vec<String> =
            found.iter().map(|entry| format!("{} {} {:?}", entry.line, entry.address, entry.labels)).collect();
        assert_eq!(shown, ["2 node1:9101 {\"environment\": \"a \\\"b\\\", c\", \"rack\": \"7\"}", "4 node2:80 {}"],);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for (text, line, word) in [
            ("", 1, "no header"),
            ("rack\n7\n", 1, "no column host"),
            ("host,host\na,b\n", 1, "twice"),
            ("host,a-b\na,b\n", 1, "not the name of a label"),
            ("host,__name__\na,b\n", 1, "Prometheus' own"),
            ("host,a\nx\n", 2, "there are 1 fields, and the header has 2"),
            ("host,a\nx,1,2\n", 2, "there are 3 fields"),
            ("host,a\nx,\"1\n2\"\n", 2, "control characters"),
            ("host,a\nx,\"1\ny,2\n", 2, "no end"),
            ("host,a\nx,\"1\"2\n", 2, "follows the end"),
            ("host,a\nx,1\"2\n", 2, "quotation mark"),
            ("host,a\nx,1\n,2\n", 3, "not the name or the address"),
        ] {
            let flaw = read(text, 1).err().map(|flaw| (flaw.line, flaw.sentence));
            assert!(flaw.as_ref().is_some_and(|(at, said)| *at == line && said.contains(word)), "{text:?}: {flaw:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_quoted_is_read_as_it_was(fields in prop::collection::vec("[a-z\",\\n ]{1,8}", 2..6)) {
            let quoted: Vec<String> = fields.iter().map(|field| format!("\"{}\"", field.replace('"', "\"\""))).collect();
            let found = rows(&quoted.join(",")).unwrap_or_default();
            prop_assert_eq!(found.into_iter().map(|row| row.fields).collect::<Vec<_>>(), vec![fields]);
        }
    }
}
