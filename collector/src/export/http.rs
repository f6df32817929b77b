//! | path | answer | permission |
//! |---|---|---|
//! | `/` | what this is and where to go | `metrics:read` |
//! | `/metrics`, or as configured | a fresh reading; 503 when the sampler does not answer, or too many scrape | `metrics:read` |
//! | `/-/healthy` | 200 as long as the process serves | `metrics:read`, or none if so configured |
//! | `/-/ready` | 200 once a view is published and every needed probe is at work, else 503 and why | the same |
//! | anything else | 404 | `metrics:read` |
//!
//! Only GET and HEAD; other methods get 405. Request bodies are never read: a request with one gets 413.
//!
//! This file says what is answered; below it:
//!
//! | module | owns |
//! |---|---|
//! | [`answer`] | answers as values |
//! | [`routes`] | paths |
//! | [`patience`] | how long a scrape may take |
//! | [`gate`], [`bucket`] | the seam to authentication; how often one may ask |
//! | [`server`] | what all connections share; limits; swapping settings |
//! | [`listen`] | sockets: TCP, Unix, inherited; accepting |
//! | [`connection`], [`handshake`], [`turns`] | one connection from accept to close: TLS, protocol, deadlines |
//! | [`guest`], [`refusals`] | who is at the other end; who was sent away, for the log |
//! | [`crowd`] | how many there are, and who has to leave |
//! | [`track`], [`metered`], [`delivery`] | how a connection is doing: deadlines, bytes on the wire, answers on their way |

mod answer;
mod bucket;
mod connection;
mod crowd;
mod delivery;
mod gate;
mod guest;
mod handshake;
mod listen;
mod metered;
mod patience;
mod refusals;
mod routes;
mod server;
mod track;
mod turns;

use std::time::SystemTime;

use bytes::Bytes;
use hyper::{
    Method, Request, Response, StatusCode, Version,
    body::Body,
    header::{ALLOW, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, HeaderValue, VARY},
    http::request::Parts,
};
use tokio::time::{Instant, timeout};

use self::{
    answer::{Answer, refused, say, unavailable, with},
    delivery::Delivery,
    guest::Guest,
    routes::Route,
    track::Open,
};
pub use self::{
    bucket::Bucket,
    crowd::Places,
    gate::{Admission, Gate, Unguarded, Unheard},
    listen::{Address, ListenError, Listener, bind_all, inherited},
    routes::{PathError, TelemetryPath},
    server::{LIMITS, Limits, Live, Options, Server},
    track::Patience,
};
use super::{
    auth::Permission,
    filter::Filter,
    negotiate,
    page::{Exporter, Want},
};

/// Answers and counts one request; `open` ends with the answer.
async fn respond<B: Body>(guest: &Guest, request: Request<B>, open: Open, piece: usize) -> Response<Delivery> {
    let server = &guest.server;
    let live = server.live();
    let has_body = !request.body().is_end_stream();
    let (head, _) = request.into_parts();
    let route = server.options.telemetry_path.route(head.uri.path());
    let mut answer = answered(guest, &live, &head, route, has_body).await;
    for (name, value) in &live.headers {
        answer.headers_mut().insert(name, value.clone());
    }
    if has_body && head.version < Version::HTTP_2 {
        // The body would be taken for the next request.
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    server.exporter.own().request(answer.status(), Route::label(route));
    if head.method == Method::HEAD {
        let length = answer.body().len();
        answer.headers_mut().insert(CONTENT_LENGTH, length.into());
        *answer.body_mut() = Bytes::new();
    }
    server.crowd.keep(answer.body().len());
    answer.map(|body| Delivery::new(body, piece, open))
}

async fn answered(guest: &Guest, live: &Live, head: &Parts, route: Option<Route>, has_body: bool) -> Answer {
    let server = &guest.server;
    if !guest.may_ask(live, SystemTime::now()) {
        return say(
            StatusCode::MISDIRECTED_REQUEST,
            "what this connection began with no longer holds: connect again\n",
        );
    }
    let is_open = route.is_some_and(Route::is_health) && (server.options.open_health || live.gate.open_health());
    if !is_open {
        match live.gate.admit(head, &guest.peer, Permission::MetricsRead).await {
            Ok(identity) => guest.admitted(&identity),
            Err(refusal) => return refused(&refusal),
        }
        if live.rate.as_ref().is_some_and(|rate| !rate.take(Instant::now())) {
            return say(StatusCode::TOO_MANY_REQUESTS, "too many requests; rate_limit bounds them\n");
        }
    }
    let Some(route) = route else {
        return say(StatusCode::NOT_FOUND, "not found: see / for what there is\n");
    };
    if ![Method::GET, Method::HEAD].contains(&head.method) {
        return with(say(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n"), ALLOW, "GET, HEAD");
    }
    if has_body {
        return say(StatusCode::PAYLOAD_TOO_LARGE, "a request must not have a body\n");
    }
    match route {
        Route::Landing => answer::page(server.landing.clone()),
        Route::Metrics => metrics(&server.exporter, server, head).await,
        Route::Healthy => say(StatusCode::OK, "healthy\n"),
        Route::Ready => match server.exporter.ready() {
            Ok(()) => say(StatusCode::OK, "ready\n"),
            Err(why) => unavailable(&format!("not ready: {why}")),
        },
    }
}

/// What the client asked for in the form that it likes best, unless too many pages are being made already or it would come too
/// late.
async fn metrics(exporter: &Exporter, server: &Server, head: &Parts) -> Answer {
    let filter = match Filter::from_query(head.uri.query()) {
        Ok(filter) => filter,
        Err(why) => return answer::line(StatusCode::BAD_REQUEST, &why.to_string()),
    };
    // Only while the page is made: slow readers must not keep others from scraping.
    let Ok(_permit) = server.requests.try_acquire() else {
        return unavailable("too many scrapes at once; --web.max-requests bounds them");
    };
    let (format, encoding) = (negotiate::format(&head.headers), negotiate::encoding(&head.headers));
    let patience = patience::of(&head.headers);
    match timeout(patience, exporter.scrape(&Want { format, encoding, filter })).await {
        Ok(Ok(page)) => {
            let answer = answer::answer(StatusCode::OK, page.content_type, page.body);
            let answer = with(answer, VARY, "Accept, Accept-Encoding");
            match page.content_encoding {
                Some(encoding) => with(answer, CONTENT_ENCODING, encoding),
                None => answer,
            }
        }
        Ok(Err(why)) => unavailable(&why.to_string()),
        Err(_) => unavailable(&format!(
            "no reading within {} s, which is what this scrape's timeout leaves",
            patience.as_secs_f64()
        )),
    }
}

#[cfg(test)]
mod tests;
