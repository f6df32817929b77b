//! | path | answer |
//! |---|---|
//! | `/` | what this is and where to go |
//! | `/metrics` | a fresh reading, in the format, coding and choice asked for; 503 when the sampler has ended or does not answer |
//! | `/-/healthy` | 200 as long as the process serves |
//! | `/-/ready` | 200 once a view is published and every needed probe is at work, else 503 and why |
//! | anything else | 404 |
//!
//! Only GET and HEAD; other methods get 405. Queries mean something to `/metrics` alone, request bodies are never read.
//! [`serve`] owns the connections, this file what is said on them.

mod server;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    header::{
        ALLOW, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, VARY,
        X_CONTENT_TYPE_OPTIONS,
    },
};

pub use self::server::serve;
use super::{
    filter::Filter,
    negotiate,
    page::{Exporter, Want},
};

const TEXT: &str = "text/plain; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";
/// The landing page needs nothing but itself.
const NOTHING_LOADS: &str = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const LANDING: &str = concat!(
    "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>uidmeter</title></head>\n<body>\n",
    "<h1>uidmeter ",
    env!("CARGO_PKG_VERSION"),
    "</h1>\n<p>CPU time and run-queue latency of each user of this host, from the kernel's own books.</p>\n<ul>\n",
    "<li><a href=\"/metrics\">Metrics</a></li>\n",
    "<li><a href=\"/-/healthy\">Healthy?</a></li>\n",
    "<li><a href=\"/-/ready\">Ready?</a></li>\n",
    "</ul>\n</body>\n</html>\n",
);

#[derive(Clone, Copy)]
enum Route {
    Landing,
    Metrics,
    Healthy,
    Ready,
}

impl Route {
    fn of(path: &str) -> Option<Self> {
        [Self::Landing, Self::Metrics, Self::Healthy, Self::Ready].into_iter().find(|route| route.path() == path)
    }

    fn path(self) -> &'static str {
        match self {
            Self::Landing => "/",
            Self::Metrics => "/metrics",
            Self::Healthy => "/-/healthy",
            Self::Ready => "/-/ready",
        }
    }
}

type Answer = Response<Full<Bytes>>;

/// Answers and counts one request. HEAD gets GET's answer: hyper sends its head alone.
async fn respond<Body>(exporter: &Exporter, request: &Request<Body>) -> Answer {
    let route = Route::of(request.uri().path());
    let answer = match route {
        None => say(StatusCode::NOT_FOUND, "not found: see / for what there is\n"),
        Some(_) if ![Method::GET, Method::HEAD].contains(request.method()) => {
            with(say(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n"), ALLOW, "GET, HEAD")
        }
        Some(Route::Landing) => {
            let page = answer(StatusCode::OK, HTML, Bytes::from_static(LANDING.as_bytes()));
            with(page, CONTENT_SECURITY_POLICY, NOTHING_LOADS)
        }
        Some(Route::Metrics) => metrics(exporter, request).await,
        Some(Route::Healthy) => say(StatusCode::OK, "healthy\n"),
        Some(Route::Ready) => match exporter.ready() {
            Ok(()) => say(StatusCode::OK, "ready\n"),
            Err(why) => unavailable(&format!("not ready: {why}")),
        },
    };
    exporter.own().request(answer.status(), route.map_or("unknown", Route::path));
    answer
}

/// What the client asked for, in the form that it likes best.
async fn metrics<Body>(exporter: &Exporter, request: &Request<Body>) -> Answer {
    let filter = match Filter::from_query(request.uri().query()) {
        Ok(filter) => filter,
        Err(why) => return answer(StatusCode::BAD_REQUEST, TEXT, format!("{why}\n").into()),
    };
    let (format, encoding) = (negotiate::format(request.headers()), negotiate::encoding(request.headers()));
    match exporter.scrape(&Want { format, encoding, filter }).await {
        Ok(page) => {
            let answer = with(answer(StatusCode::OK, page.content_type, page.body), VARY, "Accept, Accept-Encoding");
            match page.content_encoding {
                Some(encoding) => with(answer, CONTENT_ENCODING, encoding),
                None => answer,
            }
        }
        Err(why) => unavailable(&why.to_string()),
    }
}

fn say(status: StatusCode, line: &'static str) -> Answer {
    answer(status, TEXT, Bytes::from_static(line.as_bytes()))
}

/// `why` becomes one line, whatever the kernel or the verifier put into it.
fn unavailable(why: &str) -> Answer {
    let mut line = why.replace(char::is_control, " ");
    line.push('\n');
    answer(StatusCode::SERVICE_UNAVAILABLE, TEXT, line.into())
}

fn answer(status: StatusCode, content_type: &'static str, body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    with(with(answer, CONTENT_TYPE, content_type), X_CONTENT_TYPE_OPTIONS, "nosniff")
}

fn with(mut answer: Answer, name: HeaderName, value: &'static str) -> Answer {
    answer.headers_mut().insert(name, HeaderValue::from_static(value));
    answer
}

#[cfg(test)]
mod tests;
