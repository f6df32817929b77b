//! What clients see, well-behaved ones and others.

mod pressure;
mod rig;

use std::{
    error::Error,
    io,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::{net::TcpStream, time::timeout};

use self::rig::{HANGS, Response, Sampler, Server};
use super::{
    super::{
        own::VERSION,
        text::{CONTENT_TYPE, parse},
    },
    LIMITS, Limits, Options,
};
use crate::{
    snapshot::{Counters, Owner, Row, Snapshot},
    source::{Probe, ProbeState, ProgramRuns},
    units::Uid,
    view::View,
};

type Outcome = Result<(), Box<dyn Error>>;

fn published() -> View {
    View { generation: 1, ..View::default() }
}

/// A page far longer than what the kernel buffers for a connection.
fn crowd() -> View {
    let row = |uid| Row { owner: Owner::User(Uid(uid)), counters: Counters::default() };
    View { snapshot: Arc::new(Snapshot { rows: (0..8_000).map(row).collect(), ..Snapshot::default() }), ..published() }
}

#[tokio::test]
async fn metrics_are_text_of_a_known_length() -> Outcome {
    let server = Server::start(LIMITS, Sampler::of(published()))?;
    for path in ["/metrics", "/metrics?ignored"] {
        let response = server.get(path).await?;
        assert_eq!(response.status, 200);
        assert_eq!(response.header("content-type"), Some(CONTENT_TYPE));
        assert_eq!(response.header("content-length"), Some(response.body.len().to_string().as_str()));
        assert_eq!(parse::page(&response.body)?.value("uidmeter_users"), Some("0"));
    }
    server.stop().await
}

#[tokio::test]
async fn the_landing_page_links_to_everything_and_loads_nothing() -> Outcome {
    let server = Server::start(LIMITS, Sampler::of(published()))?;
    let landing = server.get("/").await?;
    assert_eq!((landing.status, landing.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert!(landing.header("content-security-policy").is_some_and(|policy| policy.starts_with("default-src 'none';")));
    let text = landing.text();
    assert!(text.contains(VERSION));
    let links: Vec<_> = text.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert_eq!(links, ["/metrics", "/-/healthy", "/-/ready"]);
    for link in links {
        assert_eq!(server.get(link).await?.status, 200, "{link}");
    }
    server.stop().await
}

#[tokio::test]
async fn an_unknown_path_is_not_found() -> Outcome {
    let server = Server::start(LIMITS, Sampler::of(published()))?;
    for path in ["/metricsx", "/metrics/", "/-/", "//"] {
        assert_eq!(server.get(path).await?.status, 404, "{path}");
    }
    server.stop().await
}

#[tokio::test]
async fn head_is_the_head_of_get() -> Outcome {
    let server = Server::start(LIMITS, Sampler::of(published()))?;
    for path in ["/", "/-/healthy", "/-/ready", "/missing"] {
        let (get, head) = (server.get(path).await?, server.ask("HEAD", path).await?);
        assert_eq!(head.text(), "");
        assert!(!get.body.is_empty());
        for name in ["content-type", "content-length", "content-security-policy"] {
            assert_eq!(head.header(name), get.header(name), "{path} {name}");
        }
        assert_eq!(head.status, get.status);
    }
    let head = server.ask("HEAD", "/metrics").await?;
    assert_eq!((head.status, head.text().as_str()), (200, ""));
    assert!(head.header("content-length").is_some_and(|length| length != "0"));
    server.stop().await
}

#[tokio::test]
async fn other_methods_are_refused_without_reading_their_body() -> Outcome {
    let sampler = Sampler::of(published());
    let server = Server::start(LIMITS, Arc::clone(&sampler))?;
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "BREW"] {
        let client = server.client().await?;
        let head = "/metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n";
        client.send(&format!("{method} {head}")).await?;
        let response = Response::parse(&client.read(|seen| seen.ends_with(b"HEAD\n")).await?)?;
        assert_eq!((response.status, response.header("allow")), (405, Some("GET, HEAD")), "{method}");
    }
    assert_eq!(sampler.asked.load(Ordering::Relaxed), 0);
    server.stop().await
}

#[tokio::test]
async fn without_a_sampler_metrics_are_unavailable_and_the_process_still_healthy() -> Outcome {
    let server = Server::start(LIMITS, Sampler::ended())?;
    let response = server.get("/metrics").await?;
    assert_eq!(response.status, 503);
    assert!(response.text().starts_with("no fresh reading: "), "{}", response.text());
    assert_eq!(server.get("/-/healthy").await?.status, 200);
    let ready = server.get("/-/ready").await?;
    assert_eq!((ready.status, ready.text().as_str()), (503, "not ready: nothing has been read from the kernel yet\n"));
    server.stop().await
}

#[tokio::test]
async fn a_missing_probe_is_told_on_one_line() -> Outcome {
    let state = ProbeState::Failed("load failed\nverifier:\t0: (bf) r6 = r1\n".into());
    let probe =
        Probe { name: "sched_switch", hook: "tp_btf/sched_switch", needed: true, state, runs: ProgramRuns::default() };
    let server = Server::start(LIMITS, Sampler::of(View { probes: [probe].into(), ..published() }))?;
    let ready = server.get("/-/ready").await?;
    assert_eq!(ready.status, 503);
    assert_eq!(
        ready.text(),
        "not ready: probe sched_switch on tp_btf/sched_switch: failed: load failed verifier: 0: (bf) r6 = r1 \n"
    );
    server.stop().await
}

#[tokio::test]
async fn requests_are_counted_by_what_they_met_not_by_what_they_said() -> Outcome {
    let server = Server::start(LIMITS, Sampler::of(published()))?;
    server.get("/a\"b").await?;
    server.get("/another").await?;
    server.ask("POST", "/-/ready").await?;
    let page = parse::page(&server.get("/metrics").await?.body)?;
    let count =
        |code, handler| page.value(&format!("uidmeter_http_requests_total{{code=\"{code}\",handler=\"{handler}\"}}"));
    assert_eq!(count(404, "unknown"), Some("2"));
    assert_eq!(count(405, "/-/ready"), Some("1"));
    assert_eq!(page.samples("uidmeter_http_requests_total").len(), 3);
    server.stop().await
}

#[tokio::test]
async fn two_scrapes_of_one_reading_share_one_page() -> Outcome {
    let sampler = Sampler::hesitant(published(), 0);
    let server = Server::start(LIMITS, Arc::clone(&sampler))?;
    let both_asked = async {
        while sampler.asked.load(Ordering::Relaxed) < 2 {
            tokio::task::yield_now().await;
        }
        sampler.permits.add_permits(2);
    };
    let (one, other, ()) = tokio::join!(server.get("/metrics"), server.get("/metrics"), both_asked);
    // A page made for the second would count the first one's scrape.
    assert_eq!(one?.text(), other?.text());
    server.stop().await
}

#[tokio::test]
async fn a_scrape_that_cannot_be_answered_in_time_is_told_so_in_time() -> Outcome {
    let server = Server::start(LIMITS, Sampler::hesitant(published(), 0))?;
    let client = server.client().await?;
    let asked = std::time::Instant::now();
    client
        .send("GET /metrics HTTP/1.1\r\nHost: x\r\nX-Prometheus-Scrape-Timeout-Seconds: 1\r\nConnection: close\r\n\r\n")
        .await?;
    let response = Response::parse(&client.rest().await?)?;
    assert_eq!(response.status, 503);
    assert!(response.text().starts_with("no reading within 0.8 s"), "{}", response.text());
    assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
    server.stop().await
}

#[tokio::test]
async fn the_metrics_are_where_they_are_configured_to_be() -> Outcome {
    let options = Options { telemetry_path: super::TelemetryPath::new("/uidmeter/figures")?, ..Options::default() };
    let server = Server::with(options, Sampler::of(published()))?;
    assert!(server.get("/").await?.text().contains("href=\"/uidmeter/figures\""));
    assert_eq!(server.get("/uidmeter/figures").await?.status, 200);
    assert_eq!(server.get("/metrics").await?.status, 404);
    server.stop().await
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() -> Outcome {
    let server = Server::start(LIMITS, Sampler::of(published()))?;
    let client = server.client().await?;
    let one = |path| format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
    let last = "GET /-/ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    client.send(&[one("/-/healthy"), one("/missing"), one("/-/healthy"), last.into()].concat()).await?;
    let text = String::from_utf8(client.rest().await?)?;
    let told: Vec<_> = text.split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]).collect();
    assert_eq!(told, ["200", "404", "200", "200"]);
    server.stop().await
}

#[tokio::test]
async fn a_request_with_a_body_is_refused_and_its_body_never_taken_for_a_request() -> Outcome {
    let sampler = Sampler::of(published());
    let server = Server::start(LIMITS, Arc::clone(&sampler))?;
    for head in ["Content-Length: 50", "Transfer-Encoding: chunked"] {
        let client = server.client().await?;
        let smuggled = "GET /metrics HTTP/1.1\r\nHost: smuggled\r\n\r\n".repeat(3);
        client.send(&format!("GET /metrics HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\n{smuggled}")).await?;
        let text = String::from_utf8(client.rest().await?)?;
        assert!(text.starts_with("HTTP/1.1 413"), "{text}");
        assert_eq!(text.matches("HTTP/1.1").count(), 1, "{text}");
    }
    assert_eq!(sampler.asked.load(Ordering::Relaxed), 0);
    server.stop().await
}

#[tokio::test]
async fn at_shutdown_a_request_under_way_is_answered_and_nobody_is_let_in() -> Outcome {
    let sampler = Sampler::hesitant(published(), 0);
    // Only shutdown ends the idle connection in time.
    let limits = Limits { grace: HANGS, ..LIMITS };
    let server = Server::start(limits, Arc::clone(&sampler))?;
    let idle = server.client().await?;
    idle.healthy().await?;
    let scrape = server.client().await?;
    scrape.send("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await?;
    sampler.is_asked(1).await;
    let _ = server.stop.send(());
    assert_eq!(idle.rest().await?, b"");
    assert_eq!(
        TcpStream::connect(server.address).await.map_err(|error| error.kind()).err(),
        Some(io::ErrorKind::ConnectionRefused)
    );
    sampler.permits.add_permits(1);
    assert_eq!(Response::parse(&scrape.rest().await?)?.status, 200);
    Ok(timeout(HANGS, server.task).await??)
}

#[tokio::test]
async fn at_shutdown_a_request_that_never_ends_is_cut() -> Outcome {
    let sampler = Sampler::hesitant(published(), 0);
    let server = Server::start(Limits { grace: Duration::from_millis(20), ..LIMITS }, Arc::clone(&sampler))?;
    let client = server.client().await?;
    client.send("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await?;
    sampler.is_asked(1).await;
    server.stop().await?;
    assert_eq!(client.rest().await?, b"");
    Ok(())
}
