//! What clients see, well-behaved ones and others.

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
    server::{LIMITS, Limits},
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
    let server = Server::start(LIMITS, Sampler::of(published())).await?;
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
    let server = Server::start(LIMITS, Sampler::of(published())).await?;
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
    let server = Server::start(LIMITS, Sampler::of(published())).await?;
    for path in ["/metricsx", "/metrics/", "/-/", "//"] {
        assert_eq!(server.get(path).await?.status, 404, "{path}");
    }
    server.stop().await
}

#[tokio::test]
async fn head_is_the_head_of_get() -> Outcome {
    let server = Server::start(LIMITS, Sampler::of(published())).await?;
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
    let server = Server::start(LIMITS, Arc::clone(&sampler)).await?;
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
    let server = Server::start(LIMITS, Sampler::ended()).await?;
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
    let server = Server::start(LIMITS, Sampler::of(View { probes: [probe].into(), ..published() })).await?;
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
    let server = Server::start(LIMITS, Sampler::of(published())).await?;
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
async fn a_client_that_never_ends_its_head_is_dropped_and_delays_nobody() -> Outcome {
    let limits = Limits { head: Duration::from_millis(300), ..LIMITS };
    let server = Server::start(limits, Sampler::of(published())).await?;
    let (silent, slow) = (server.client().await?, server.client().await?);
    slow.send("GET /metrics HTTP/1.1\r\nHost").await?;
    assert_eq!(server.get("/metrics").await?.status, 200);
    assert_eq!(silent.rest().await?, b"");
    let told = slow.rest().await?;
    assert!(told.is_empty() || told.starts_with(b"HTTP/1.1 408"), "{told:?}");
    server.stop().await
}

#[tokio::test]
async fn a_head_without_end_is_cut() -> Outcome {
    let server = Server::start(LIMITS, Sampler::of(published())).await?;
    let client = server.client().await?;
    let endless = format!("GET /metrics HTTP/1.1\r\nX: {}", "x".repeat(64 * 1024));
    // The server may close before all is sent.
    let _ = client.send(&endless).await;
    let answer = client.read(|seen| seen.len() >= 12).await?;
    assert!(answer.starts_with(b"HTTP/1.1 431"), "{}", String::from_utf8_lossy(&answer));
    server.stop().await
}

#[tokio::test]
async fn a_reader_who_does_not_read_delays_nobody() -> Outcome {
    let sampler = Sampler::of(crowd());
    let server = Server::start(Limits { grace: Duration::ZERO, ..LIMITS }, Arc::clone(&sampler)).await?;
    let lazy = server.client().await?;
    lazy.send("GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await?;
    lazy.0.readable().await?;
    let page = server.get("/metrics").await?;
    assert_eq!(sampler.asked.load(Ordering::Relaxed), 2);
    assert_eq!(page.header("content-length"), Some(page.body.len().to_string().as_str()));
    // What was kept for the lazy one is all there.
    assert_eq!(Response::parse(&lazy.rest().await?)?.body, page.body);
    server.stop().await
}

#[tokio::test]
async fn two_scrapes_of_one_reading_share_one_page() -> Outcome {
    let sampler = Sampler::hesitant(published(), 0);
    let server = Server::start(LIMITS, Arc::clone(&sampler)).await?;
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
async fn beyond_the_cap_a_connection_waits_until_another_ends() -> Outcome {
    let server = Server::start(Limits { connections: 1, ..LIMITS }, Sampler::of(published())).await?;
    let first = server.client().await?;
    assert_eq!(first.healthy().await?.status, 200);
    let second = server.client().await?;
    second.send("GET /-/healthy HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await?;
    for _ in 0..20 {
        assert_eq!(first.healthy().await?.status, 200);
    }
    let early = second.0.try_read(&mut [0; 1]).map_err(|error| error.kind());
    assert_eq!(early, Err(io::ErrorKind::WouldBlock));
    drop(first);
    assert_eq!(Response::parse(&second.rest().await?)?.status, 200);
    server.stop().await
}

#[tokio::test]
async fn at_shutdown_a_request_under_way_is_answered_and_nobody_is_let_in() -> Outcome {
    let sampler = Sampler::hesitant(published(), 0);
    // Only shutdown ends the idle connection in time.
    let limits = Limits { head: HANGS * 10, grace: HANGS, ..LIMITS };
    let server = Server::start(limits, Arc::clone(&sampler)).await?;
    let idle = server.client().await?;
    idle.healthy().await?;
    let scrape = server.client().await?;
    scrape.send("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await?;
    while sampler.asked.load(Ordering::Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
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
    let server = Server::start(Limits { grace: Duration::from_millis(20), ..LIMITS }, Arc::clone(&sampler)).await?;
    let client = server.client().await?;
    client.send("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await?;
    while sampler.asked.load(Ordering::Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
    server.stop().await?;
    assert_eq!(client.rest().await?, b"");
    Ok(())
}
