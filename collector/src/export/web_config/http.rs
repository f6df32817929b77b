//! `http_server_config` and `rate_limit`.

use std::time::Duration;

use hyper::header::{HeaderName, HeaderValue};

use super::{
    super::document::{Node, Section, Value, bounded, nearest, text_of},
    HttpSettings, RateLimit,
    load::Reading,
};

/// Headers that may be set, and their allowed values; none listed means any. The toolkit's own list.
const HEADERS: [(&str, &[&str]); 5] = [
    ("Strict-Transport-Security", &[]),
    ("X-Content-Type-Options", &["nosniff"]),
    ("X-Frame-Options", &["deny", "sameorigin"]),
    ("X-XSS-Protection", &[]),
    ("Content-Security-Policy", &[]),
];
/// All headers together leave with every answer.
const LONGEST_HEADER: usize = 4096;

pub(super) fn read(root: &mut Section<'_>, reading: &mut Reading) -> HttpSettings {
    let mut settings = HttpSettings::default();
    let Some(mut section) = root.section("http_server_config", &mut reading.problems) else {
        return settings;
    };
    if let Some(http2) = section.bool("http2", &mut reading.problems) {
        settings.http2 = http2;
    }
    if let Some(headers) = section.section("headers", &mut reading.problems) {
        for entry in headers.entries() {
            match header(&entry.key, &entry.node) {
                Ok(header) => settings.headers.extend(header),
                Err(sentence) => reading.problems.at(entry.line, sentence),
            }
        }
    }
    section.finish(&mut reading.problems);
    settings
}

/// The header, unless its value is blank, which unsets it.
fn header(name: &str, node: &Node) -> Result<Option<(HeaderName, HeaderValue)>, String> {
    let Some((known, allowed)) = HEADERS.iter().find(|(known, _)| *known == name) else {
        let names = HEADERS.map(|(known, _)| known);
        let hint = nearest(name, &names)
            .map_or_else(|| format!("; known are {}", names.join(", ")), |name| format!("; did you mean {name}?"));
        return Err(format!("the header {:?} cannot be configured{hint}", bounded(name)));
    };
    if matches!(node.value, Value::Null) {
        return Ok(None);
    }
    let text = text_of(node).ok_or_else(|| format!("the header {known} must be text"))?;
    if text.is_empty() {
        return Ok(None);
    }
    if !allowed.is_empty() && !allowed.contains(&text.as_str()) {
        return Err(format!("the header {known} {:?} is not one of {}", bounded(&text), allowed.join(", ")));
    }
    if text.len() > LONGEST_HEADER {
        return Err(format!("the header {known} is longer than {LONGEST_HEADER} bytes"));
    }
    match (HeaderName::from_bytes(known.as_bytes()), HeaderValue::from_str(&text)) {
        (Ok(name), Ok(value)) => Ok(Some((name, value))),
        _ => Err(format!("the header {known} holds characters that no header may have")),
    }
}

pub(super) fn read_rate_limit(root: &mut Section<'_>, reading: &mut Reading) -> Option<RateLimit> {
    let mut section = root.section("rate_limit", &mut reading.problems)?;
    let line = section.line;
    let interval = section.get("interval").and_then(|node| {
        let interval = interval(node);
        if interval.is_none() {
            let sentence = "rate_limit.interval is not a time such as 1s or 100ms, of at most a day";
            reading.problems.at(node.line, sentence);
        }
        interval
    });
    let burst = section.integer("burst", 0..=i64::from(u32::MAX), &mut reading.problems);
    section.finish(&mut reading.problems);
    let interval = interval.filter(|interval| !interval.is_zero())?;
    match burst.and_then(|burst| u32::try_from(burst).ok()).unwrap_or(0) {
        0 => {
            reading.problems.at(line, "rate_limit with burst 0 would refuse every request; write at least 1");
            None
        }
        burst => Some(RateLimit { interval, burst }),
    }
}

fn interval(node: &Node) -> Option<Duration> {
    let interval = match &node.value {
        // As in the original: a number without unit is nanoseconds.
        Value::Integer(nanoseconds) => Duration::from_nanos(u64::try_from(*nanoseconds).ok()?),
        Value::Text(text) => go_duration(text)?,
        _ => return None,
    };
    (interval <= Duration::from_hours(24)).then_some(interval)
}

/// Go's notation: numbers with units, the largest first by custom, fractions allowed (`1m30s`, `1.5s`, `0`).
/// <https://pkg.go.dev/time#ParseDuration>
fn go_duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
        let (number, tail) = rest.split_at(digits);
        let letters = tail.find(|letter: char| letter.is_ascii_digit() || letter == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let seconds = match unit {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        total = total.checked_add(Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()?)?;
        rest = tail;
    }
    (!text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::{Duration, go_duration};

    #[test]
    fn times_are_read_as_go_reads_them() {
        for (text, milliseconds) in [
            ("1s", 1000),
            ("100ms", 100),
            ("1m30s", 90_000),
            ("1.5s", 1500),
            ("0", 0),
            ("0s", 0),
            ("1h0m0.5s", 3_600_500),
        ] {
            assert_eq!(go_duration(text), Some(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in ["", "1", "s", "-1s", "1 s", "1s ", "1d", "1..5s", "١s", "1e3s", "99999999999999999999999h"] {
            assert_eq!(go_duration(text), None, "{text}");
        }
    }
}
