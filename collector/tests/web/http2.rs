//! HTTP/2: the same answers, and the attacks that only it allows.

use std::{error::Error, sync::Arc, time::Duration};

use bytes::Bytes;
use h2::{Reason, client::SendRequest};
use hyper::{Method, Request, StatusCode};
use tokio::{
    io::AsyncWriteExt as _,
    time::{Instant, timeout},
};

use crate::{
    Outcome,
    rig::{BOTH, HANGS, Rig, Running, rest},
};

struct Client {
    requests: SendRequest<Bytes>,
}

async fn connect(rig: &Rig, server: &Running, builder: &h2::client::Builder) -> Result<Client, Box<dyn Error>> {
    let mut config = rig.client(BOTH, None)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    let stream = server.connect(&Arc::new(config)).await?;
    if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
        return Err("no HTTP/2".into());
    }
    let (requests, connection) = builder.handshake(stream).await?;
    tokio::spawn(connection);
    Ok(Client { requests: requests.ready().await? })
}

fn request(method: Method, path: &str) -> Result<Request<()>, hyper::http::Error> {
    Request::builder().method(method).uri(format!("https://test{path}")).body(())
}

impl Client {
    /// Status, declared length and body.
    async fn ask(&mut self, request: Request<()>) -> Result<(StatusCode, Option<String>, Vec<u8>), Box<dyn Error>> {
        let answer = async {
            let (answer, _) = self.requests.send_request(request, true)?;
            let (head, mut stream) = answer.await?.into_parts();
            let mut body = Vec::new();
            while let Some(chunk) = stream.data().await {
                let chunk = chunk?;
                stream.flow_control().release_capacity(chunk.len())?;
                body.extend_from_slice(&chunk);
            }
            let length = head.headers.get("content-length").map(|value| value.to_str().map(ToOwned::to_owned));
            Ok::<_, Box<dyn Error>>((head.status, length.transpose()?, body))
        };
        timeout(HANGS, answer).await?
    }
}

#[tokio::test]
async fn get_and_head_are_answered_as_over_http_1() -> Outcome {
    let rig = Rig::new("")?;
    let server = rig.start()?;
    let mut client = connect(&rig, &server, &h2::client::Builder::new()).await?;
    for path in ["/", "/metrics", "/-/ready", "/missing"] {
        let (status, length, body) = client.ask(request(Method::GET, path)?).await?;
        assert_eq!(status, if path == "/missing" { 404 } else { 200 }, "{path}");
        assert_eq!(length, Some(body.len().to_string()), "{path}");
        let (head_status, head_length, nothing) = client.ask(request(Method::HEAD, path)?).await?;
        assert_eq!((head_status, nothing.len()), (status, 0), "{path}");
        // The page of the metrics counts the requests for it.
        assert!(head_length == length || path == "/metrics", "{path} {head_length:?}");
    }
    assert_eq!(client.ask(request(Method::POST, "/metrics")?).await?.0, 405);
    server.stop().await
}

#[tokio::test]
async fn without_http2_in_the_configuration_it_is_not_offered() -> Outcome {
    let rig = Rig::new("")?;
    let config = std::fs::read_to_string(rig.path("web.yml"))?;
    std::fs::write(rig.path("web.yml"), format!("{config}http_server_config:\n  http2: false\n"))?;
    let server = rig.start()?;
    assert!(connect(&rig, &server, &h2::client::Builder::new()).await.is_err());
    assert_eq!(server.healthy(&Arc::new(rig.client(BOTH, None)?)).await?, 200);
    server.stop().await
}

/// A frame (RFC 9113 section 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or_default().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

const SETTINGS: u8 = 4;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const GOAWAY: u8 = 7;
const END_STREAM_AND_HEADERS: u8 = 5;

/// The error code of the first `GOAWAY` in what a server sent.
fn goaway(mut seen: &[u8]) -> Option<u32> {
    while seen.len() >= 9 {
        let length = usize::try_from(u32::from_be_bytes([0, seen[0], seen[1], seen[2]])).ok()?;
        let (kind, payload) = (seen[3], seen.get(9..9 + length)?);
        if kind == GOAWAY {
            return Some(u32::from_be_bytes(payload.get(4..8)?.try_into().ok()?));
        }
        seen = &seen[9 + length..];
    }
    None
}

#[tokio::test]
async fn who_keeps_taking_requests_back_is_sent_away() -> Outcome {
    let rig = Rig::new("")?;
    let server = rig.start()?;
    let mut config = rig.client(BOTH, None)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    let mut stream = server.connect(&Arc::new(config)).await?;
    let mut flood = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame(SETTINGS, 0, 0, &[])].concat();
    for stream in (1..10_000).step_by(2) {
        // GET https://test/ in the static table's words (RFC 7541, appendix A).
        flood.extend(frame(HEADERS, END_STREAM_AND_HEADERS, stream, b"\x82\x87\x84\x41\x04test"));
        flood.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
    }
    // The server may close before all is sent.
    let _ = stream.write_all(&flood).await;
    let seen = rest(&mut stream).await?;
    assert_eq!(goaway(&seen), Some(Reason::ENHANCE_YOUR_CALM.into()));
    assert_eq!(server.healthy(&Arc::new(rig.client(BOTH, None)?)).await?, 200);
    server.stop().await
}

#[tokio::test]
async fn a_head_beyond_the_limit_is_refused_and_a_body_not_read() -> Outcome {
    let rig = Rig::new("")?;
    let server = rig.start()?;
    let mut client = connect(&rig, &server, &h2::client::Builder::new()).await?;
    let mut huge = request(Method::GET, "/metrics")?;
    for number in 0..20 {
        let name: hyper::header::HeaderName = format!("x-{number}").parse()?;
        huge.headers_mut().insert(name, "y".repeat(1000).parse()?);
    }
    assert_eq!(client.ask(huge).await?.0, 431);
    let (answer, mut body) = client.requests.send_request(request(Method::GET, "/metrics")?, false)?;
    body.send_data(Bytes::from_static(&[0; 10]), false)?;
    assert_eq!(timeout(HANGS, answer).await??.status(), 413);
    assert_eq!(client.ask(request(Method::GET, "/-/healthy")?).await?.0, 200);
    server.stop().await
}

#[tokio::test]
async fn streams_beyond_the_limit_are_not_opened() -> Outcome {
    let rig = Rig::new("")?;
    let server = rig.start()?;
    let mut client = connect(&rig, &server, &h2::client::Builder::new()).await?;
    assert_eq!(client.ask(request(Method::GET, "/-/healthy")?).await?.0, 200);
    assert_eq!(client.requests.current_max_send_streams(), 32);
    server.stop().await
}

#[tokio::test]
async fn who_opens_no_window_holds_up_nobody_and_no_shutdown() -> Outcome {
    let rig = Rig::new("")?;
    let server = rig.start()?;
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(0);
    let lazy = connect(&rig, &server, &builder).await?;
    let mut answers = Vec::new();
    for _ in 0..32 {
        answers.push(lazy.requests.clone().ready().await?.send_request(request(Method::GET, "/metrics")?, true)?.0);
    }
    for answer in answers {
        assert_eq!(timeout(HANGS, answer).await??.status(), 200);
    }
    let mut other = connect(&rig, &server, &h2::client::Builder::new()).await?;
    assert_eq!(other.ask(request(Method::GET, "/metrics")?).await?.0, 200);
    let begun = Instant::now();
    server.stop().await?;
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    Ok(())
}
