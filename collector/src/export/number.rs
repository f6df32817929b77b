//! Numbers as text. Whole ones are written without allocation and without floating point, so that no digit is lost.

use std::io::Write as _;

use super::catalog::Value;
use crate::units::Nanos;

/// Room for the longest whole number or time, `18446744073.709551615`, and the end of its line.
const ROOM: usize = 24;
/// Digits of a second's nanoseconds.
const FRACTION: usize = 9;
const NANOS_PER_SECOND: u64 = 1_000_000_000;
/// "00" to "99": two digits cost one division.
static PAIRS: [[u8; 2]; 100] = pairs();

const fn pairs() -> [[u8; 2]; 100] {
    let mut pairs = [[b'0'; 2]; 100];
    let mut i: u8 = 0;
    while i < 100 {
        pairs[i as usize] = [b'0' + i / 10, b'0' + i % 10];
        i += 1;
    }
    pairs
}

/// Appends `value` as both text formats spell it, and ends the line.
#[inline(always)]
pub fn line(value: Value, out: &mut Vec<u8>) {
    match value {
        Value::Count(count) => decimal_line(count, out),
        Value::Time(time) => seconds_line(time, out),
        Value::Ratio(ratio) => {
            float(ratio, out);
            out.push(b'\n');
        }
    }
}

/// Appends the shortest text that reads back as exactly `value`, spelled as Prometheus itself spells numbers (Go's
/// `strconv.FormatFloat` with format `g` and the shortest precision), so that a bound is the same text everywhere.
pub fn float(value: f64, out: &mut Vec<u8>) {
    let size = value.abs();
    // Writing to a vector cannot fail.
    let _ = if value.is_nan() {
        out.write_all(b"NaN")
    } else if value.is_infinite() {
        out.write_all(if value > 0.0 { b"+Inf" } else { b"-Inf" })
    } else if size == 0.0 || (1e-4..1e21).contains(&size) {
        write!(out, "{value}")
    } else {
        let text = format!("{value:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |exponent| ('-', exponent));
        write!(out, "{digits}e{sign}{exponent:0>2}")
    };
}

#[inline(always)]
fn decimal_line(n: u64, out: &mut Vec<u8>) {
    let mut text = [b'\n'; 2 * ROOM];
    let start = digits_before(ROOM - 1, n, &mut text);
    append(&text, start, ROOM, out);
}

/// A time in seconds, as short as it is exact: 1 550 701 066 ns is `1.550701066`, 2 s is `2`.
#[inline]
fn seconds_line(time: Nanos, out: &mut Vec<u8>) {
    const POINT: usize = ROOM - 1 - FRACTION - 1;
    let mut text = [b'\n'; 2 * ROOM];
    let start = digits_before(POINT, time.0 / NANOS_PER_SECOND, &mut text);
    let fraction = time.0 % NANOS_PER_SECOND;
    let mut end = POINT;
    if fraction > 0 {
        text[POINT..ROOM - 1].fill(b'0');
        digits_before(ROOM - 1, fraction, &mut text);
        text[POINT] = b'.';
        end = ROOM - 1;
        while text[end - 1] == b'0' {
            end -= 1;
        }
        text[end] = b'\n';
    }
    append(&text, start, end + 1, out);
}

/// Writes `n` so that it ends before `end`, and returns where it starts.
#[inline(always)]
fn digits_before(end: usize, mut n: u64, text: &mut [u8; 2 * ROOM]) -> usize {
    let mut at = end;
    while n >= 10 && at >= 2 {
        at -= 2;
        text[at..at + 2].copy_from_slice(&PAIRS[(n % 100) as usize]);
        n /= 100;
    }
    if (n > 0 || at == end) && at >= 1 {
        at -= 1;
        text[at] = b'0' + (n % 10) as u8;
    }
    at
}

/// Appends `text[start..end]`, which is at most [`ROOM`] long. More is copied and taken back: a copy of a fixed size is a few
/// instructions, any other a call.
#[inline(always)]
fn append(text: &[u8; 2 * ROOM], start: usize, end: usize, out: &mut Vec<u8>) {
    let length = out.len() + end - start;
    out.extend_from_slice(&text[start..start + ROOM]);
    out.truncate(length);
}

#[cfg(test)]
mod tests {
    use proptest::{
        prelude::{any, prop_assert_eq, proptest},
        test_runner::Config,
    };

    use super::{Nanos, Value, float, line};

    /// What is written of `value`, without the end of its line.
    fn text(value: Value) -> String {
        let text = written(|out| line(value, out));
        text.strip_prefix("before ").and_then(|text| text.strip_suffix('\n')).unwrap_or_default().into()
    }

    fn written(write: impl Fn(&mut Vec<u8>)) -> String {
        let mut out = b"before ".to_vec();
        write(&mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn nanoseconds_become_exact_seconds_without_trailing_zeros() {
        for (ns, expected) in [
            (0, "0"),
            (1, "0.000000001"),
            (10, "0.00000001"),
            (100_000_000, "0.1"),
            (999_999_999, "0.999999999"),
            (1_000_000_000, "1"),
            (1_550_701_066, "1.550701066"),
            (10_020_000_000, "10.02"),
            (u64::MAX, "18446744073.709551615"),
        ] {
            assert_eq!(text(Value::Time(Nanos(ns))), expected);
        }
    }

    #[test]
    fn floats_are_short_and_what_is_no_number_has_its_own_word() {
        for (value, text) in [
            (0.0, "0"),
            (0.1, "0.1"),
            (2.0, "2"),
            (-1.5, "-1.5"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (2.5e-7, "2.5e-07"),
            (-1e-5, "-1e-05"),
            (1e300, "1e+300"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            assert_eq!(written(|out| float(value, out)), format!("before {text}"));
        }
    }

    #[test]
    fn integers_at_each_change_of_length_are_those_of_the_standard_library() {
        let powers = (0..20).map(|exponent| 10_u64.pow(exponent));
        for n in powers.flat_map(|power| [power - 1, power, power + 1]).chain([0, u64::MAX]) {
            assert_eq!(text(Value::Count(n)), n.to_string());
        }
    }

    proptest! {
        #![proptest_config(Config { failure_persistence: None, ..Config::default() })]

        #[test]
        fn any_time_reads_back_as_the_same_nanoseconds(ns in any::<u64>()) {
            let text = text(Value::Time(Nanos(ns)));
            let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
            let digits = format!("{whole}{fraction:0<9}");
            prop_assert_eq!(digits.parse(), Ok(ns));
        }

        #[test]
        fn any_float_reads_back_as_the_same_bits(bits in any::<u64>()) {
            let value = f64::from_bits(bits);
            let read: f64 = text(Value::Ratio(value)).parse()?;
            prop_assert_eq!(read.to_bits(), if value.is_nan() { f64::NAN.to_bits() } else { bits });
        }

        #[test]
        fn any_integer_is_that_of_the_standard_library(n in any::<u64>()) {
            prop_assert_eq!(text(Value::Count(n)), n.to_string());
        }
    }
}
