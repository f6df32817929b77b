//! What a request asks for: formats, codings, families.

use collector::export::{Encoding, Filter, Format, UnknownName, catalog::families, negotiate};
use hyper::{
    Uri,
    header::{ACCEPT, ACCEPT_ENCODING, HeaderMap, HeaderName, HeaderValue},
};

use crate::{Outcome, feed};

/// As much as a head may have.
const HEAD: usize = 16 * 1024;

/// A header for each line, as far as it can be one.
fn append(headers: &mut HeaderMap, name: &HeaderName, input: &[u8]) {
    for line in input.split(|byte| *byte == b'\n') {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(name, value);
        }
    }
}

/// Nobody gets what he has not asked for.
#[test]
fn accept_and_accept_encoding_headers() -> Outcome {
    feed(&["accept", "accept_encoding"], HEAD, |inputs| {
        let mut headers = HeaderMap::new();
        append(&mut headers, &ACCEPT, &inputs[0]);
        append(&mut headers, &ACCEPT_ENCODING, &inputs[1]);
        let (format, encoding) = (negotiate::format(&headers), negotiate::encoding(&headers));
        let text = |input: &[u8]| String::from_utf8_lossy(input).to_ascii_lowercase();
        let (accept, accept_encoding) = (text(&inputs[0]), text(&inputs[1]));
        let says = |word: &str| accept.contains(word);
        match format {
            Format::Text => {}
            Format::OpenMetrics => assert!(says("application") || says("*/*"), "{accept:?}"),
            Format::Protobuf => {
                assert!(says("application/vnd.google.protobuf") && says("proto") && says("delimited"), "{accept:?}");
            }
        }
        let wanted = encoding.word();
        assert!(wanted.is_none_or(|word| accept_encoding.contains(word) || accept_encoding.contains('*')));
        format != Format::Text && encoding != Encoding::Identity
    })
}

/// Asking twice for the same is asking once, and what is not known is told in one short line.
#[test]
fn query_strings() -> Outcome {
    let most = families().count();
    feed(&["query"], HEAD, |inputs| {
        let text = String::from_utf8_lossy(&inputs[0]);
        // What hyper does not take for a URL never comes to us; the filter must not rely on it.
        let url = Uri::try_from(format!("/metrics?{text}"));
        let asked = url.as_ref().map_or(&*text, |url| url.query().unwrap_or_default());
        let found = Filter::from_query(Some(asked));
        let twice = Filter::from_query(Some(&format!("{asked}&{asked}")));
        assert!(twice == found || twice == Err(UnknownName::TooMany), "{asked:?}");
        match found {
            Ok(filter) => {
                let chosen = filter.families().count();
                assert!((1..=most).contains(&chosen), "{asked:?}");
                assert!(chosen == most || asked.contains("name") || asked.contains('%') || asked.contains("collect"));
                true
            }
            Err(error) => {
                let told = error.to_string();
                assert!(told.len() < 2048 && !told.contains(char::is_control), "{told:?}");
                false
            }
        }
    })
}
