//! One scrape as a scraper sees it: connect, ask, read to the end. Plain HTTP/1.0, so that no server answers in chunks and
//! all are asked alike.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

/// An exporter that takes longer is broken.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a scraper asks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask {
    pub(super) accept: &'static str,
    pub(super) encoding: &'static str,
}

/// What it got.
#[derive(Debug)]
pub(super) struct Scrape {
    /// From before connecting to the last byte.
    pub(super) took: Duration,
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

/// Scrapes `/metrics`.
pub(super) fn scrape(address: SocketAddr, ask: Ask) -> Result<Scrape> {
    let Ask { accept, encoding } = ask;
    let began = Instant::now();
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let request =
        format!("GET /metrics HTTP/1.0\r\nHost: localhost\r\nAccept: {accept}\r\nAccept-Encoding: {encoding}\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::with_capacity(1 << 16);
    stream.read_to_end(&mut answer)?;
    let took = began.elapsed();
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").context("an answer without a head")?;
    let body = answer.split_off(end + 4);
    let head = String::from_utf8(answer)?;
    let status = head.split(' ').nth(1).unwrap_or_default();
    if status != "200" {
        bail!("{address} answers with {status}");
    }
    Ok(Scrape { took, head, body })
}
