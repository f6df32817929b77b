//! Which format and which content coding a request gets, from its headers `Accept` and `Accept-Encoding` (RFC 9110,
//! sections 12.5.1 and 12.5.3).
//!
//! Pure. Never fails: what is malformed, unknown or beyond [`MOST_RANGES`] is as if it were not there, and without
//! anything that fits there is the text format as it is, which every scraper and every person can read.

use hyper::{
    HeaderMap,
    header::{ACCEPT, ACCEPT_ENCODING, HeaderName},
};

use super::{protobuf, text};

/// As many ranges of a header are looked at. Prometheus sends five.
const MOST_RANGES: usize = 32;
/// `q=1` in thousandths, the finest step that there is.
const FULL: u16 = 1000;

/// How a page is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Format {
    /// Prometheus' text format, version 0.0.4.
    #[default]
    Text,
    /// OpenMetrics 1.0 text.
    OpenMetrics,
    /// Messages of type `io.prometheus.client.MetricFamily`, each after its length: the only one with native histograms.
    Protobuf,
}

impl Format {
    /// All, in the order in which they are given to those who take any.
    pub const ALL: [Self; 3] = [Self::Text, Self::OpenMetrics, Self::Protobuf];

    /// Value of the header `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text => text::CONTENT_TYPE,
            Self::OpenMetrics => text::OPENMETRICS_CONTENT_TYPE,
            Self::Protobuf => protobuf::CONTENT_TYPE,
        }
    }

    /// How closely `range` fits, higher being closer; `None` if it does not. Of the parameters,
    /// `version`, `proto` and `encoding` tell formats apart. Our names need no escaping, so that each value of `escaping`
    /// is met.
    fn fit(self, range: &Range<'_>) -> Option<u8> {
        let (kind, sub) = match self {
            Self::Text => ("text", "plain"),
            Self::OpenMetrics => ("application", "openmetrics-text"),
            Self::Protobuf => ("application", "vnd.google.protobuf"),
        };
        let is = |text: &str, wanted: &str| text.eq_ignore_ascii_case(wanted);
        let (asked, asked_sub) = range.name.split_once('/')?;
        match (asked, asked_sub) {
            // Who takes anything shall be able to read it.
            (_, "*") if self == Self::Protobuf => return None,
            ("*", "*") => return Some(1),
            (asked, "*") if is(asked, kind) => return Some(2),
            (asked, asked_sub) if is(asked, kind) && is(asked_sub, sub) => {}
            _ => return None,
        }
        let version = range.parameter("version");
        match self {
            Self::Text => version.is_none_or(|version| version == "0.0.4"),
            Self::OpenMetrics => version.is_none_or(|version| version == "1.0.0"),
            Self::Protobuf => {
                range.parameter("proto").is_some_and(|proto| is(proto, "io.prometheus.client.MetricFamily"))
                    && range.parameter("encoding").is_some_and(|encoding| is(encoding, "delimited"))
            }
        }
        .then_some(if version.is_some() { 4 } else { 3 })
    }
}

/// How a page is compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// Not at all.
    #[default]
    Identity,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

impl Encoding {
    /// Value of the header `Content-Encoding`, which is absent for what is not compressed.
    pub fn word(self) -> Option<&'static str> {
        match self {
            Self::Identity => None,
            Self::Gzip => Some("gzip"),
            Self::Zstd => Some("zstd"),
        }
    }

    fn is_called(self, name: &str) -> bool {
        let names: &[&str] = match self {
            Self::Identity => &["identity"],
            Self::Gzip => &["gzip", "x-gzip"],
            Self::Zstd => &["zstd"],
        };
        names.iter().any(|own| name.eq_ignore_ascii_case(own))
    }
}

/// The format that the client likes best; among equals, the one that it names most closely, then first.
pub fn format(headers: &HeaderMap) -> Format {
    let ranges: Vec<Range<'_>> = ranges(headers, &ACCEPT).collect();
    let mut best = (0, 0, 0, Format::Text);
    for format in Format::ALL {
        // The closest range decides, even against a format: `*/*, text/plain;q=0`.
        let fits =
            ranges.iter().enumerate().filter_map(|(place, range)| Some((format.fit(range)?, place, range.quality)));
        let closest = fits.max_by_key(|(fit, place, quality)| (*fit, *quality, usize::MAX - place));
        if let Some((fit, place, quality)) = closest
            && quality > 0
        {
            // A wildcard says nothing about the order of formats: ours counts.
            let earlier = if fit <= 2 { 0 } else { MOST_RANGES - place };
            if (quality, fit, earlier) > (best.0, best.1, best.2) {
                best = (quality, fit, earlier, format);
            }
        }
    }
    best.3
}

/// The coding that the client likes best; among equals, the one that costs least. Nothing is compressed for a client that
/// does not ask for it.
pub fn encoding(headers: &HeaderMap) -> Encoding {
    let ranges: Vec<Range<'_>> = ranges(headers, &ACCEPT_ENCODING).collect();
    let quality = |encoding: Encoding| {
        let named = ranges.iter().find(|range| encoding.is_called(range.name));
        named.or_else(|| ranges.iter().find(|range| range.name == "*")).map(|range| range.quality)
    };
    // What is not mentioned is allowed for `identity` alone, after everything that is mentioned.
    let identity = quality(Encoding::Identity);
    let mut best = (identity.unwrap_or(0), Encoding::Identity);
    for encoding in [Encoding::Gzip, Encoding::Zstd] {
        if let Some(quality) = quality(encoding)
            && quality > 0
            && quality >= best.0
        {
            best = (quality, encoding);
        }
    }
    best.1
}

/// One of the things that a header lists: `name;parameter=value;q=0.5`.
#[derive(Clone, Debug)]
struct Range<'a> {
    name: &'a str,
    parameters: &'a str,
    /// In thousandths.
    quality: u16,
}

impl<'a> Range<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (name, parameters) = text.split_once(';').unwrap_or((text, ""));
        let name = name.trim();
        let mut range = Self { name, parameters, quality: FULL };
        if let Some(quality) = range.parameter("q") {
            range.quality = thousandths(quality)?;
        }
        (!name.is_empty()).then_some(range)
    }

    fn parameter(&self, name: &str) -> Option<&'a str> {
        split(self.parameters, ';').find_map(|parameter| {
            let (found, value) = parameter.split_once('=')?;
            found.trim().eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"'))
        })
    }
}

/// The ranges of all headers of this name, as far as they are well-formed.
fn ranges<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = Range<'a>> {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| split(value, ',')).take(MOST_RANGES).filter_map(Range::parse)
}

/// Splits where `separator` stands outside double quotes.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    text.split(move |character| {
        quoted ^= character == '"';
        character == separator && !quoted
    })
}

/// A quality: "0" to "1" with up to three decimals. Further ones are not heeded.
fn thousandths(text: &str) -> Option<u16> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    if !decimals.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    match whole {
        "1" => Some(FULL),
        "0" | "" if !text.is_empty() => {
            let first_three = decimals.bytes().chain(*b"000").take(3);
            Some(first_three.fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0')))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
