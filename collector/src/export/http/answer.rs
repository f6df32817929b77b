//! Answers as values: status, headers, a body of known length. Pure.

use bytes::Bytes;
use hyper::{
    Response, StatusCode,
    header::{
        CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE,
        X_CONTENT_TYPE_OPTIONS,
    },
};

use crate::export::auth::Refusal;

pub(super) const TEXT: &str = "text/plain; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";
/// The landing page needs nothing but itself.
const NOTHING_LOADS: &str = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(super) type Answer = Response<Bytes>;

/// One line of our own.
pub(super) fn say(status: StatusCode, line: &'static str) -> Answer {
    answer(status, TEXT, Bytes::from_static(line.as_bytes()))
}

/// Why there is no page, as [`line`].
pub(super) fn unavailable(why: &str) -> Answer {
    line(StatusCode::SERVICE_UNAVAILABLE, why)
}

/// `why` becomes one line, whatever a client, the kernel or the verifier put into it.
pub(super) fn line(status: StatusCode, why: &str) -> Answer {
    let mut line = why.replace(char::is_control, " ");
    line.push('\n');
    answer(status, TEXT, line.into())
}

/// Says no more than what would be accepted: why a credential is wrong is for the log alone.
pub(super) fn refused(refusal: &Refusal) -> Answer {
    let line = match refusal.status {
        StatusCode::FORBIDDEN => "this credential does not allow that\n",
        StatusCode::TOO_MANY_REQUESTS => "too many requests: try again later\n",
        _ => "authentication is required\n",
    };
    let mut answer = say(refusal.status, line);
    for challenge in &refusal.www_authenticate {
        answer.headers_mut().append(WWW_AUTHENTICATE, challenge.clone());
    }
    if let Some(after) = refusal.retry_after {
        answer.headers_mut().insert(RETRY_AFTER, after.as_secs().max(1).into());
    }
    answer
}

/// The landing page of an exporter whose metrics are at `telemetry_path`, which needs no escaping.
pub(super) fn landing(telemetry_path: &str) -> Bytes {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>uidmeter</title></head>\n<body>\n\
         <h1>uidmeter {}</h1>\n\
         <p>CPU time and run-queue latency of each user of this host, from the kernel's own books.</p>\n<ul>\n\
         <li><a href=\"{telemetry_path}\">Metrics</a></li>\n\
         <li><a href=\"/-/healthy\">Healthy?</a></li>\n\
         <li><a href=\"/-/ready\">Ready?</a></li>\n\
         </ul>\n</body>\n</html>\n",
        env!("CARGO_PKG_VERSION")
    )
    .into()
}

pub(super) fn page(html: Bytes) -> Answer {
    with(answer(StatusCode::OK, HTML, html), CONTENT_SECURITY_POLICY, NOTHING_LOADS)
}

pub(super) fn answer(status: StatusCode, content_type: &'static str, body: Bytes) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    with(with(answer, CONTENT_TYPE, content_type), X_CONTENT_TYPE_OPTIONS, "nosniff")
}

pub(super) fn with(mut answer: Answer, name: HeaderName, value: &'static str) -> Answer {
    answer.headers_mut().insert(name, HeaderValue::from_static(value));
    answer
}
