//! A strict reader of the text format, for tests: what Prometheus would forgive is an error here.

/// A page read back.
#[derive(Debug)]
pub(crate) struct Page {
    /// In the order of the page.
    pub(crate) families: Vec<Family>,
}

/// A family read back.
#[derive(Debug)]
pub(crate) struct Family {
    /// From `# HELP`.
    pub(crate) name: String,
    /// From `# HELP`.
    pub(crate) help: String,
    /// From `# TYPE`.
    pub(crate) kind: String,
    /// In the order of the page.
    pub(crate) samples: Vec<Sample>,
}

/// A line that is not a comment.
#[derive(Debug)]
pub(crate) struct Sample {
    /// Name and labels as they stand on the page.
    pub(crate) series: String,
    /// Name with suffix.
    pub(crate) name: String,
    /// Names and values, unescaped, in the order of the line.
    pub(crate) labels: Vec<(String, String)>,
    /// The number as it stands on the page.
    pub(crate) value: String,
}

impl Sample {
    /// Value of a label.
    pub(crate) fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|label| label.0 == name).map(|label| label.1.as_str())
    }
}

impl Page {
    /// The samples of a family, none if it is missing.
    pub(crate) fn samples(&self, family: &str) -> &[Sample] {
        self.families.iter().find(|found| found.name == family).map_or(&[], |found| &found.samples)
    }

    /// The number of a series, spelled as on the page.
    pub(crate) fn value(&self, series: &str) -> Option<&str> {
        let mut samples = self.families.iter().flat_map(|family| &family.samples);
        samples.find(|sample| sample.series == series).map(|sample| sample.value.as_str())
    }
}

/// Reads a page: each family has one HELP line, one TYPE line and then all its samples, no series stands twice.
pub(crate) fn page(page: &[u8]) -> Result<Page, String> {
    let text = std::str::from_utf8(page).map_err(|error| error.to_string())?;
    let text = text.strip_suffix('\n').ok_or("the last line does not end")?;
    let mut families: Vec<Family> = Vec::new();
    for line in text.split('\n') {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').ok_or(format!("no help: {line}"))?;
            if families.iter().any(|family| family.name == name) {
                return Err(format!("{name} stands twice"));
            }
            let (name, help) = (name.to_owned(), help.to_owned());
            families.push(Family { name, help, kind: String::new(), samples: Vec::new() });
            continue;
        }
        let family = families.last_mut().ok_or(format!("before any family: {line}"))?;
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            match rest.split_once(' ') {
                Some((name, kind)) if name == family.name && family.kind.is_empty() => {
                    family.kind = kind.to_owned();
                }
                _ => return Err(format!("misplaced: {line}")),
            }
            continue;
        }
        let sample = sample(line)?;
        let suffixes: &[&str] = if family.kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
        if family.kind.is_empty() || !suffixes.iter().any(|suffix| sample.name == format!("{}{suffix}", family.name)) {
            return Err(format!("does not belong to {}: {line}", family.name));
        }
        if family.samples.iter().any(|other| other.series == sample.series) {
            return Err(format!("stands twice: {}", sample.series));
        }
        family.samples.push(sample);
    }
    Ok(Page { families })
}

fn sample(line: &str) -> Result<Sample, String> {
    let end = line.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).ok_or(format!("no number: {line}"))?;
    let (name, mut rest) = line.split_at(end);
    let mut labels = Vec::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            let (label, after) = rest.split_once("=\"").ok_or(format!("no label: {line}"))?;
            if label.is_empty() || !label.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') {
                return Err(format!("not a label name: {label:?}"));
            }
            let (value, after) = quoted(after).ok_or(format!("no end of a label: {line}"))?;
            labels.push((label.to_owned(), value));
            match after.split_at_checked(1) {
                Some((",", after)) => rest = after,
                Some(("}", after)) => break rest = after,
                _ => return Err(format!("no end of the labels: {line}")),
            }
        }
    }
    let value = rest.strip_prefix(' ').ok_or(format!("no number: {line}"))?;
    if value.parse::<f64>().is_err() {
        return Err(format!("not a number: {line}"));
    }
    let series = line[..line.len() - value.len() - 1].to_owned();
    Ok(Sample { series, name: name.to_owned(), labels, value: value.to_owned() })
}

/// The text up to the closing quote, unescaped, and what follows the quote.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(match chars.next()?.1 {
                'n' => '\n',
                same @ ('\\' | '"') => same,
                _ => return None,
            }),
            other => value.push(other),
        }
    }
    None
}
