//! What an answer of the receiver means for the request that it answers. Pure.
//!
//! As both specifications of remote write have it: 5xx and 429 are worth another attempt, any other 4xx never is.

use std::time::{Duration, SystemTime};

use crate::config::PushProtocol;

/// Longer than this nobody is made to wait, whatever `Retry-After` says.
const LONGEST_WAIT: Duration = Duration::from_mins(10);

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It has arrived.
    Taken,
    /// It never will: why, and what to do.
    Refused(&'static str),
    /// It is sent again.
    Again {
        /// Not before this time has passed.
        after: Option<Duration>,
        /// Why, and what to do.
        why: &'static str,
    },
}

/// What is looked at in an answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer<'a> {
    /// Status code.
    pub(super) status: u16,
    /// Value of the header `Retry-After`.
    pub(super) retry_after: Option<&'a str>,
    /// Whether there is a header `X-Prometheus-Remote-Write-*-Written`.
    pub(super) tells_written: bool,
}

/// Judges the answer, which came at `now`, to a request in `protocol`.
pub(super) fn judge(answer: Answer<'_>, protocol: PushProtocol, now: SystemTime) -> Verdict {
    let after = || answer.retry_after.and_then(|text| retry_after(text, now));
    match answer.status {
        // A receiver of 1.0 that does not look at the type of what it gets finds an empty request, and is content.
        200..=299 if protocol == PushProtocol::V2 && !answer.tells_written => {
            Verdict::Refused("it does not understand remote write 2.0; set push.protocol to 1.0")
        }
        200..=299 => Verdict::Taken,
        429 => Verdict::Again { after: after(), why: "it is asked too often" },
        500..=599 => Verdict::Again { after: after(), why: "it has trouble of its own" },
        300..=399 => Verdict::Again {
            after: None,
            why: "it redirects elsewhere, which is not followed; set push.url to the final address",
        },
        401 | 403 => Verdict::Refused("it does not accept the credentials; check the files that [push] names"),
        404 | 405 => Verdict::Refused(
            "there is no receiver at this path; check push.url, and that a Prometheus runs with \
             --web.enable-remote-write-receiver",
        ),
        415 => Verdict::Refused("it does not understand this version of remote write; set push.protocol to 1.0"),
        400..=499 => Verdict::Refused("it does not accept these samples"),
        _ => Verdict::Again { after: None, why: "its answer has no meaning" },
    }
}

/// The time that a `Retry-After` asks for (RFC 9110, section 10.2.3): seconds, or a date. `None` if it is neither.
fn retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let wait = if is_number {
        // More than fits is a long time, too.
        text.parse().map_or(LONGEST_WAIT, Duration::from_secs)
    } else {
        httpdate::parse_http_date(text).ok()?.duration_since(now).unwrap_or_default()
    };
    Some(wait.min(LONGEST_WAIT))
}

#[cfg(test)]
mod tests {
    use proptest::{
        prelude::{any, prop_assert, proptest},
        test_runner::Config,
    };

    use super::{Answer, Duration, LONGEST_WAIT, PushProtocol, SystemTime, Verdict, judge, retry_after};

    fn status(status: u16, protocol: PushProtocol) -> Verdict {
        judge(Answer { status, retry_after: None, tells_written: false }, protocol, SystemTime::UNIX_EPOCH)
    }

    #[test]
    fn only_trouble_and_too_many_requests_are_worth_another_attempt() {
        for code in 0..=u16::MAX {
            let verdict = status(code, PushProtocol::V1);
            let again = code == 429 || !(200..=299).contains(&code) && !(400..=499).contains(&code);
            assert_eq!(matches!(verdict, Verdict::Again { .. }), again, "{code}");
            assert_eq!(verdict == Verdict::Taken, (200..=299).contains(&code), "{code}");
        }
    }

    #[test]
    fn who_takes_2_0_for_1_0_is_found_out() {
        assert!(matches!(status(204, PushProtocol::V2), Verdict::Refused(why) if why.contains("2.0")));
        let answer = Answer { status: 204, retry_after: None, tells_written: true };
        assert_eq!(judge(answer, PushProtocol::V2, SystemTime::UNIX_EPOCH), Verdict::Taken);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_never_long() {
        // Sun, 06 Nov 1994 08:49:37 GMT.
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        for (text, expected) in [
            ("0", seconds(0)),
            (" 7 ", seconds(7)),
            ("00120", seconds(120)),
            ("99999999999999999999999", Some(LONGEST_WAIT)),
            ("601", Some(LONGEST_WAIT)),
            ("Sun, 06 Nov 1994 08:49:47 GMT", seconds(10)),
            ("Sunday, 06-Nov-94 08:49:47 GMT", seconds(10)),
            ("Sun Nov  6 08:49:47 1994", seconds(10)),
            ("Sun, 06 Nov 1994 08:49:07 GMT", seconds(0)),
            ("Fri, 31 Dec 9999 23:59:59 GMT", Some(LONGEST_WAIT)),
            ("", None),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
            ("+5", None),
        ] {
            assert_eq!(retry_after(text, now), expected, "{text:?}");
        }
    }

    proptest! {
        #![proptest_config(Config { failure_persistence: None, ..Config::default() })]

        #[test]
        fn no_header_makes_anybody_wait_long(text in any::<String>()) {
            prop_assert!(retry_after(&text, SystemTime::UNIX_EPOCH).is_none_or(|wait| wait <= LONGEST_WAIT));
        }
    }
}
