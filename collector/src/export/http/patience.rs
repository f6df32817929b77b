//! How long a scrape may take, from what Prometheus says about its own patience. Pure.

use std::time::Duration;

use hyper::{HeaderMap, header::HeaderValue};

/// Prometheus sends its scrape timeout, as a decimal number.
const HEADER: &str = "x-prometheus-scrape-timeout-seconds";
/// For those who do not say.
const DEFAULT: Duration = Duration::from_secs(10);
/// Nobody has to be answered faster than that.
const SHORTEST: Duration = Duration::from_millis(100);
/// Nobody can make us wait longer than that.
const LONGEST: Duration = Duration::from_secs(25);
/// For the answer's way back.
const MARGIN: Duration = Duration::from_millis(500);

/// Until then a scrape must have its answer, counted from the request.
pub(super) fn of(headers: &HeaderMap<HeaderValue>) -> Duration {
    let said = headers.get(HEADER).and_then(|value| value.to_str().ok()?.trim().parse::<f64>().ok());
    let whole = match said {
        // Beyond the longest it does not matter how much, and not every number is a duration.
        Some(seconds) if seconds >= 0.0 => Duration::from_secs_f64(seconds.min(3600.0)),
        _ => DEFAULT,
    };
    whole.saturating_sub(MARGIN.min(whole / 5)).clamp(SHORTEST, LONGEST)
}

#[cfg(test)]
mod tests {
    use super::{Duration, HEADER, HeaderMap, HeaderValue, LONGEST, SHORTEST, of};

    fn said(text: &'static str) -> Duration {
        of(&HeaderMap::from_iter([(hyper::header::HeaderName::from_static(HEADER), HeaderValue::from_static(text))]))
    }

    #[test]
    fn an_answer_comes_before_prometheus_gives_up() {
        assert_eq!(said("10"), Duration::from_millis(9500));
        assert_eq!(said("1.000000"), Duration::from_millis(800));
        assert_eq!(said("0.5"), Duration::from_millis(400));
    }

    #[test]
    fn whatever_is_said_the_time_is_bounded() {
        for least in ["0", "0.001", "-0", "1e-300"] {
            assert_eq!(said(least), SHORTEST, "{least}");
        }
        for most in ["60", "1e300", "inf", "3600"] {
            assert_eq!(said(most), LONGEST, "{most}");
        }
        for nonsense in ["", "NaN", "-1", "-inf", "ten", "10s", "0x10"] {
            assert_eq!(said(nonsense), Duration::from_millis(9500), "{nonsense}");
        }
        assert_eq!(of(&HeaderMap::new()), Duration::from_millis(9500));
    }
}
