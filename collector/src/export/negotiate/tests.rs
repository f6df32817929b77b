//! Headers that real clients send, headers that nobody should send, and any bytes at all.

use hyper::{
    HeaderMap,
    header::{ACCEPT, ACCEPT_ENCODING, HeaderName, HeaderValue},
};
use proptest::{
    prelude::{any, prop_assert_eq, proptest},
    sample::select,
    test_runner::Config,
};

use super::{Encoding, Format, encoding, format, thousandths};

fn headers(name: &HeaderName, values: &[&str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for value in values {
        headers.extend(HeaderValue::from_str(value).map(|value| (name.clone(), value)).ok());
    }
    headers
}

fn accept(value: &str) -> Format {
    format(&headers(&ACCEPT, &[value]))
}

fn accept_encoding(value: &str) -> Encoding {
    encoding(&headers(&ACCEPT_ENCODING, &[value]))
}

#[test]
fn real_scrapers_get_what_they_like_best() {
    for (client, header, expected) in [
        (
            "Prometheus 2.42",
            "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
             text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            Format::OpenMetrics,
        ),
        (
            "Prometheus 2.42 with native histograms",
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,\
             application/openmetrics-text;version=1.0.0;q=0.8,application/openmetrics-text;version=0.0.1;q=0.75,\
             text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            Format::Protobuf,
        ),
        (
            "Prometheus 3.5",
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
             application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
             text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
            Format::OpenMetrics,
        ),
        (
            "Prometheus 3.5 with native histograms",
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;\
             escaping=allow-utf-8;q=0.7,application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
             application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
             text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
            Format::Protobuf,
        ),
        ("VictoriaMetrics", "text/plain;version=0.0.4;q=1,*/*;q=0.1", Format::Text),
        ("curl", "*/*", Format::Text),
        ("Firefox", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Format::Text),
        (
            "Chromium",
            "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,\
             application/signed-exchange;v=b3;q=0.7",
            Format::Text,
        ),
    ] {
        assert_eq!(accept(header), expected, "{client}");
    }
}

#[test]
fn without_anything_that_fits_there_is_text() {
    assert_eq!(format(&HeaderMap::new()), Format::Text);
    for header in
        ["", ",", ";q=1", "image/png", "application/json;q=1", "text/plain;q=0", "*/*;q=0", "/", "text", "q=1"]
    {
        assert_eq!(accept(header), Format::Text, "{header}");
    }
}

#[test]
fn quality_comes_first_then_closeness_then_the_client_s_order() {
    let openmetrics = "application/openmetrics-text";
    for (header, expected) in [
        (format!("{openmetrics};q=0.5, text/plain;q=0.4"), Format::OpenMetrics),
        (format!("{openmetrics};q=0.4, text/plain;q=0.5"), Format::Text),
        (format!("text/plain, {openmetrics}"), Format::Text),
        (format!("{openmetrics}, text/plain"), Format::OpenMetrics),
        (format!("text/*, {openmetrics}"), Format::OpenMetrics),
        (format!("text/plain;q=0.3, */*;q=0.3, {openmetrics};q=0.29"), Format::Text),
        ("*/*, text/plain;q=0".into(), Format::OpenMetrics),
        ("application/*".into(), Format::OpenMetrics),
        (format!("*/*;q=0.9, {openmetrics};q=0.1, text/plain;q=0.2"), Format::Text),
        (format!("{openmetrics};q=0, application/*"), Format::Text),
        (format!("{openmetrics};version=1.0.0;q=0.2, {openmetrics};q=0.9, text/plain;q=0.5"), Format::Text),
    ] {
        assert_eq!(accept(&header), expected, "{header}");
    }
}

#[test]
fn parameters_tell_formats_apart() {
    let family = "proto=io.prometheus.client.MetricFamily";
    for (header, expected) in [
        (format!("application/vnd.google.protobuf;{family};encoding=delimited"), Format::Protobuf),
        (format!("Application/Vnd.Google.Protobuf ; Encoding=DELIMITED ; {family}"), Format::Protobuf),
        (format!("application/vnd.google.protobuf; {family}; encoding=\"delimited\""), Format::Protobuf),
        (format!("application/vnd.google.protobuf;{family};encoding=text"), Format::Text),
        (format!("application/vnd.google.protobuf;{family};encoding=compact-text"), Format::Text),
        (format!("application/vnd.google.protobuf;{family}"), Format::Text),
        ("application/vnd.google.protobuf;proto=other.Message;encoding=delimited".into(), Format::Text),
        ("application/openmetrics-text;version=0.0.1".into(), Format::Text),
        ("application/openmetrics-text;version=2.0.0".into(), Format::Text),
        ("application/openmetrics-text;escaping=dots".into(), Format::OpenMetrics),
        ("text/plain;version=1.0.0;q=0.9,application/openmetrics-text;q=0.1".into(), Format::OpenMetrics),
        ("application/openmetrics-text;x=\"a,b;version=9\"".into(), Format::OpenMetrics),
    ] {
        assert_eq!(accept(&header), expected, "{header}");
    }
}

#[test]
fn several_headers_of_one_name_are_one_list() {
    let both = headers(&ACCEPT, &["text/plain;q=0.1", "application/openmetrics-text;q=0.2"]);
    assert_eq!(format(&both), Format::OpenMetrics);
    let both = headers(&ACCEPT_ENCODING, &["gzip;q=0.1", "zstd;q=0.2"]);
    assert_eq!(encoding(&both), Encoding::Zstd);
}

#[test]
fn a_coding_is_the_best_liked_one_and_the_cheapest_among_equals() {
    for (header, expected) in [
        ("gzip", Encoding::Gzip),
        ("x-gzip", Encoding::Gzip),
        ("GZIP", Encoding::Gzip),
        ("gzip, deflate, br, zstd", Encoding::Zstd),
        ("deflate, gzip", Encoding::Gzip),
        ("gzip;q=1.0, zstd;q=0.5", Encoding::Gzip),
        ("gzip;q=0.5, identity;q=1", Encoding::Identity),
        ("gzip;q=0", Encoding::Identity),
        ("identity;q=0, gzip;q=0.001", Encoding::Gzip),
        ("identity;q=0", Encoding::Identity),
        ("identity;q=0, *", Encoding::Zstd),
        ("*", Encoding::Zstd),
        ("*;q=0", Encoding::Identity),
        ("*;q=0, gzip", Encoding::Gzip),
        ("zstd;q=0, *;q=0.5", Encoding::Gzip),
        ("br", Encoding::Identity),
        ("", Encoding::Identity),
        ("gzip;q=nonsense", Encoding::Identity),
    ] {
        assert_eq!(accept_encoding(header), expected, "{header}");
    }
    assert_eq!(encoding(&HeaderMap::new()), Encoding::Identity);
}

#[test]
fn a_quality_has_three_decimals_at_most_and_lies_between_zero_and_one() {
    for (text, expected) in [
        ("0", Some(0)),
        ("1", Some(1000)),
        ("1.000", Some(1000)),
        ("0.5", Some(500)),
        (".5", Some(500)),
        ("0.75", Some(750)),
        ("0.3333333", Some(333)),
        ("", None),
        ("2", None),
        ("-1", None),
        ("0.5x", None),
        ("1e3", None),
        ("NaN", None),
    ] {
        assert_eq!(thousandths(text), expected, "{text}");
    }
}

#[test]
fn a_header_of_any_length_is_looked_at_for_a_while_only() {
    let long = format!("{}application/openmetrics-text", "text/html;q=0.9,".repeat(4_000));
    assert_eq!(accept(&long), Format::Text);
    let long = format!("{}gzip", "br,".repeat(20_000));
    assert_eq!(accept_encoding(&long), Encoding::Identity);
    let long = format!("application/openmetrics-text{}", ";x=y".repeat(10_000));
    assert_eq!(accept(&long), Format::OpenMetrics);
}

proptest! {
    #![proptest_config(Config { failure_persistence: None, ..Config::default() })]

    #[test]
    fn any_bytes_are_answered(value in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(value) = HeaderValue::from_bytes(&value) {
            let headers: HeaderMap = [(ACCEPT, value.clone()), (ACCEPT_ENCODING, value)].into_iter().collect();
            format(&headers);
            encoding(&headers);
        }
    }

    #[test]
    fn of_two_formats_the_one_with_the_higher_quality_wins(
        text in 0_u16..=1000, other in 0_u16..=1000, padding in select(vec!["", " ", "  "]), text_first in any::<bool>(),
    ) {
        let q = |quality: u16| if quality == 1000 { "1".to_owned() } else { format!("0.{quality:03}") };
        let text_range = format!("text/plain{padding};{padding}q={}", q(text));
        let other_range = format!("application/openmetrics-text;version=1.0.0;{padding}q={}", q(other));
        let (first, second) = if text_first { (text_range, other_range) } else { (other_range, text_range) };
        // The version makes the other one's name the closer one.
        let expected = if other > 0 && other >= text { Format::OpenMetrics } else { Format::Text };
        prop_assert_eq!(accept(&format!("{first},{padding}{second}")), expected);
    }

    #[test]
    fn of_two_codings_the_one_with_the_higher_quality_wins(gzip in 0_u16..1000, zstd in 0_u16..1000) {
        let expected = match (gzip, zstd) {
            (0, 0) => Encoding::Identity,
            (gzip, zstd) if gzip > zstd => Encoding::Gzip,
            _ => Encoding::Zstd,
        };
        prop_assert_eq!(accept_encoding(&format!("gzip;q=0.{gzip:03}, zstd;q=0.{zstd:03}")), expected);
    }
}
