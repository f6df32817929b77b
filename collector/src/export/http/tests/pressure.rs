//! Clients that take more than their share: of places, of time, of room.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::time::timeout;

use super::{
    super::{LIMITS, Limits, Options, Patience, Places},
    Outcome, crowd, published,
    rig::{Response, Sampler, Server},
};

fn places(connections: usize) -> Limits {
    Limits { places: Places { connections, ..LIMITS.places }, ..LIMITS }
}

#[tokio::test]
async fn beyond_the_cap_a_connection_waits_while_the_others_are_busy() -> Outcome {
    let sampler = Sampler::hesitant(published(), 0);
    let server = Server::start(places(1), Arc::clone(&sampler))?;
    let busy = server.client().await?;
    busy.send("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await?;
    sampler.is_asked(1).await;
    let second = server.client().await?;
    second.send("GET /-/healthy HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await?;
    // Long enough for an answer, had there been one.
    let early = timeout(Duration::from_millis(50), second.0.readable()).await;
    assert!(early.is_err(), "{early:?}");
    sampler.permits.add_permits(1);
    assert_eq!(Response::parse(&second.rest().await?)?.status, 200);
    server.stop().await
}

#[tokio::test]
async fn beyond_the_cap_an_idle_connection_gives_way() -> Outcome {
    let server = Server::start(places(2), Sampler::of(published()))?;
    let (oldest, other) = (server.client().await?, server.client().await?);
    for client in [&oldest, &other] {
        assert_eq!(client.healthy().await?.status, 200);
    }
    assert_eq!(server.get("/metrics").await?.status, 200);
    assert_eq!(oldest.rest().await?, b"");
    assert_eq!(other.healthy().await?.status, 200);
    server.stop().await
}

#[tokio::test]
async fn two_hundred_half_open_connections_keep_nobody_out() -> Outcome {
    let server = Server::start(places(20), Sampler::of(published()))?;
    let faithful = server.client().await?;
    assert_eq!(faithful.healthy().await?.status, 200);
    let mut half_open = Vec::new();
    for _ in 0..200 {
        let client = server.client().await?;
        client.send("GET /metrics HTTP/1.1\r\nHo").await?;
        half_open.push(client);
    }
    assert_eq!(server.get("/metrics").await?.status, 200);
    assert_eq!(faithful.healthy().await?.status, 200);
    for client in &half_open[..180] {
        assert_eq!(client.gone().await, b"");
    }
    server.stop().await
}

#[tokio::test]
async fn beyond_max_requests_a_scrape_is_told_to_come_back_and_health_still_answers() -> Outcome {
    let sampler = Sampler::hesitant(published(), 0);
    let options = Options { max_requests: 2, ..Options::default() };
    let server = Server::with(options, Arc::clone(&sampler))?;
    let scrapes = [server.client().await?, server.client().await?];
    for scrape in &scrapes {
        scrape.send("GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await?;
    }
    sampler.is_asked(2).await;
    let third = server.get("/metrics").await?;
    assert_eq!(third.status, 503);
    assert!(third.text().starts_with("too many scrapes"), "{}", third.text());
    assert_eq!(server.get("/-/healthy").await?.status, 200);
    sampler.permits.add_permits(3);
    for scrape in &scrapes {
        assert_eq!(Response::parse(&scrape.rest().await?)?.status, 200);
    }
    assert_eq!(server.get("/metrics").await?.status, 200);
    server.stop().await
}

#[tokio::test]
async fn a_client_that_never_ends_its_head_is_dropped_and_delays_nobody() -> Outcome {
    let limits = Limits { patience: Patience { head: Duration::from_millis(300), ..LIMITS.patience }, ..LIMITS };
    let server = Server::start(limits, Sampler::of(published()))?;
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
    let server = Server::start(LIMITS, Sampler::of(published()))?;
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
    let server = Server::start(Limits { grace: Duration::ZERO, ..LIMITS }, Arc::clone(&sampler))?;
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
async fn an_idle_connection_outlives_the_patience_for_heads_but_not_its_own() -> Outcome {
    let patience = Patience { head: Duration::from_millis(150), idle: Duration::from_millis(600), ..LIMITS.patience };
    let server = Server::start(Limits { patience, ..LIMITS }, Sampler::of(published()))?;
    let client = server.client().await?;
    client.healthy().await?;
    tokio::time::sleep(2 * patience.head).await;
    let asked = std::time::Instant::now();
    assert_eq!(client.healthy().await?.status, 200);
    assert_eq!(client.rest().await?, b"");
    assert!(asked.elapsed() >= patience.idle, "{:?}", asked.elapsed());
    // From its first byte on, a second head has the patience of a first.
    let slow = server.client().await?;
    slow.healthy().await?;
    let begun = std::time::Instant::now();
    slow.send("GET /metr").await?;
    slow.rest().await?;
    assert!(begun.elapsed() < patience.idle, "{:?}", begun.elapsed());
    server.stop().await
}

#[tokio::test]
async fn a_megabyte_of_head_is_refused_with_a_sentence_that_arrives() -> Outcome {
    let server = Server::start(LIMITS, Sampler::of(published()))?;
    let client = server.client().await?;
    let huge = format!("GET /metrics HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(1024 * 1024));
    // The server may close before all is sent.
    let _ = client.send(&huge).await;
    let answer = client.read(|seen| seen.len() >= 12).await?;
    assert!(answer.starts_with(b"HTTP/1.1 431"), "{}", String::from_utf8_lossy(&answer));
    let many = format!("GET /metrics HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(200));
    let client = server.client().await?;
    client.send(&many).await?;
    assert!(client.rest().await?.starts_with(b"HTTP/1.1 431"));
    server.stop().await
}

#[tokio::test]
async fn a_reader_who_takes_nothing_is_cut() -> Outcome {
    // Asked of another server: on a busy machine a debug build takes longer to make this page than that patience lasts.
    let patient = Server::start(LIMITS, Sampler::of(crowd()))?;
    let whole = patient.get("/metrics").await?.body.len();
    patient.stop().await?;
    let patience = Patience { stall: Duration::from_millis(200), ..LIMITS.patience };
    let server = Server::start(Limits { patience, ..LIMITS }, Sampler::of(crowd()))?;
    let lazy = server.client().await?;
    lazy.send("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await?;
    tokio::time::sleep(3 * patience.stall).await;
    assert!(lazy.gone().await.len() < whole);
    server.stop().await
}
