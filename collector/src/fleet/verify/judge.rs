//! An answer → what is wrong with the host. Pure.

use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::super::{
    ask::{Answer, Silence},
    inventory::Host,
};

const DAY: u64 = 24 * 60 * 60;

/// From where on something is wrong.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Left of a certificate.
    pub(super) warn_days: u64,
    /// Between the clocks.
    pub(super) most_skew: Duration,
}

/// What is known of one host; `null` in JSON is what could not be learned.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// Where it is.
    pub target: String,
    /// Whether nothing is wrong.
    pub healthy: bool,
    /// What is wrong, one sentence each that begins with the host.
    pub problems: Vec<String>,
    /// Whether TCP came through.
    pub reachable: bool,
    /// Whether the certificate is believed; `null` without TLS.
    pub certificate_valid: Option<bool>,
    /// Whole days that are left of it; negative if it has ended.
    pub certificate_days: Option<i64>,
    /// Of the request for metrics: 200, or 401 and 403 if the credential does not do.
    pub status: Option<u16>,
    /// Of uidmeter.
    pub version: Option<String>,
    /// Whether it says that all it needs is at work.
    pub ready: Option<bool>,
    /// Kernel programs at work.
    pub probes_active: Option<usize>,
    /// Names of those that are not; a kernel may lack what an optional one needs.
    pub probes_inactive: Vec<String>,
    /// By how many seconds its clock is ahead at least; negative if it is behind.
    pub clock_skew_seconds: Option<i64>,
    /// From the request for metrics to the last byte of the answer.
    pub answer_seconds: Option<f64>,
}

/// Judges what `host` has answered, as of `now`.
pub(super) fn judge(host: &Host, answer: &Answer, limits: Limits, now: SystemTime) -> Finding {
    let certificate = answer.certificate.as_ref();
    let days = certificate.and_then(|certificate| certificate.not_after).map(|end| days(end, now));
    let valid = certificate.map(|certificate| certificate.problem.is_none());
    let mut problems = Vec::new();
    problems.extend(answer.silence.as_ref().map(Silence::to_string));
    problems.extend(days.filter(|days| valid == Some(true) && *days < whole(limits.warn_days)).map(|days| {
        format!("has a certificate that ends in {days} days; replace it, the files are read again by themselves")
    }));
    problems.extend(answer.status.and_then(refusal));
    let page = answer.page.as_ref();
    if page.is_some_and(|page| page.version.is_none()) {
        problems.push("answers, but not as uidmeter; check the port and --metrics-path".to_owned());
    }
    // Who is refused learns nothing here.
    if answer.ready == Some(false) && page.is_some() {
        problems.push("is not ready: a probe that it needs is not at work; run uidmeter doctor there".to_owned());
    }
    let skew = answer.skew.filter(|skew| skew.unsigned_abs() > limits.most_skew.as_secs());
    problems.extend(skew.map(|skew| {
        let side = if skew > 0 { "ahead of" } else { "behind" };
        format!("has a clock that is at least {} s {side} ours; tokens depend on it", skew.unsigned_abs())
    }));
    // Whatever happened, a host of which nothing is known is not well.
    if problems.is_empty() && (page.is_none() || answer.ready.is_none()) {
        problems.push("could not be judged; ask again".to_owned());
    }
    Finding {
        target: host.address.to_string(),
        healthy: problems.is_empty(),
        problems,
        reachable: answer.reached,
        certificate_valid: valid,
        certificate_days: days,
        status: answer.status,
        version: page.and_then(|page| page.version.clone()),
        ready: answer.ready.filter(|_| page.is_some()),
        probes_active: page.map(|page| page.active),
        probes_inactive: page.map(|page| page.inactive.clone()).unwrap_or_default(),
        clock_skew_seconds: answer.skew,
        answer_seconds: answer.time.map(|time| time.as_secs_f64()),
    }
}

/// Why this status is not an answer with metrics.
pub(in crate::fleet) fn refusal(status: u16) -> Option<String> {
    Some(match status {
        200 => return None,
        401 => "refuses the credentials (401)".to_owned(),
        403 => "lets us in, but not to the metrics (403); the permission metrics:read is missing".to_owned(),
        404 => "has no metrics there (404); name their place with --metrics-path".to_owned(),
        429 => "asks for patience (429); ask again later".to_owned(),
        503 => "has nothing to show yet (503)".to_owned(),
        other => format!("answers with the status {other} instead of metrics"),
    })
}

fn days(end: SystemTime, now: SystemTime) -> i64 {
    match end.duration_since(now) {
        Ok(left) => whole(left.as_secs() / DAY),
        Err(over) => -whole(over.duration().as_secs().div_ceil(DAY)),
    }
}

fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::{
        super::super::{
            ask::{Answer, Certificate, Page, Silence},
            inventory::{Address, Host, Labels},
        },
        DAY, Finding, Limits, judge,
    };

    const LIMITS: Limits = Limits { warn_days: 14, most_skew: Duration::from_secs(5) };

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_hours(500_000)
    }

    fn well() -> Answer {
        Answer {
            reached: true,
            certificate: Some(Certificate { not_after: Some(now() + Duration::from_secs(14 * DAY)), problem: None }),
            status: Some(200),
            page: Some(Page { version: Some("1".into()), active: 9, inactive: vec!["optional".into()] }),
            ready: Some(true),
            skew: Some(-5),
            time: Some(Duration::from_millis(20)),
            silence: None,
        }
    }

    fn of(change: impl FnOnce(&mut Answer)) -> Result<Finding, super::super::super::inventory::AddressFlaw> {
        let address = Address::parse("a:1", None)?;
        let mut answer = well();
        change(&mut answer);
        Ok(judge(&Host { address, labels: Labels::new(), origin: String::new() }, &answer, LIMITS, now()))
    }

    #[test]
    fn a_host_at_the_very_limits_is_well() -> Result<(), Box<dyn std::error::Error>> {
        let found = of(|_| {})?;
        assert!(found.healthy && found.problems.is_empty(), "{found:?}");
        assert_eq!((found.certificate_days, found.answer_seconds), (Some(14), Some(0.02)));
        Ok(())
    }

    /// A finding, and a word of what is said of it.
    type Case = (fn(&mut Answer), &'static str);

    #[test]
    fn each_thing_that_is_wrong_is_told() -> Result<(), Box<dyn std::error::Error>> {
        let end = |answer: &mut Answer, seconds: u64| {
            answer.certificate =
                Some(Certificate { not_after: Some(now() + Duration::from_secs(seconds)), problem: None });
        };
        let soon = of(|answer| end(answer, 14 * DAY - 1))?;
        assert!(!soon.healthy && soon.problems.concat().contains("ends in 13 days"), "{soon:?}");
        let cases: [Case; 10] = [
            (|answer| answer.status = Some(401), "refuses the credentials"),
            (|answer| answer.status = Some(403), "metrics:read"),
            (|answer| answer.status = Some(302), "status 302"),
            (|answer| answer.page = Some(Page::default()), "not as uidmeter"),
            (|answer| answer.ready = Some(false), "not ready"),
            (|answer| answer.skew = Some(6), "at least 6 s ahead of ours"),
            (|answer| answer.skew = Some(-6), "at least 6 s behind ours"),
            (|answer| answer.silence = Some(Silence::TooLong), "more than"),
            (|answer| answer.ready = None, "could not be judged"),
            (|answer| *answer = Answer::default(), "could not be judged"),
        ];
        for (change, word) in cases {
            let found = of(change)?;
            assert!(!found.healthy && found.problems.concat().contains(word), "{word}: {found:?}");
        }
        Ok(())
    }

    #[test]
    fn the_day_on_which_a_certificate_ended_is_past() -> Result<(), Box<dyn std::error::Error>> {
        let found = of(|answer| {
            answer.certificate =
                Some(Certificate { not_after: Some(now() - Duration::from_secs(1)), problem: Some("has expired") });
            answer.silence = Some(Silence::Certificate("has expired"));
        })?;
        assert_eq!((found.certificate_days, found.certificate_valid), (Some(-1), Some(false)));
        assert_eq!(found.problems, ["has a certificate that has expired"]);
        Ok(())
    }
}
