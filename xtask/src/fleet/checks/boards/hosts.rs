//! Servers that say what they are told to: a host whose page never changes and has every family, a Grafana.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use anyhow::Result;

/// Answers every request with `page`, until the program ends.
///
/// # Errors
/// No port is free.
pub(super) fn page(page: String) -> Result<SocketAddr> {
    serve(move |_| (200, page.clone()))
}

/// Answers each request, of which it gets the head, with a status and a body, until the program ends.
///
/// # Errors
/// No port is free.
pub(super) fn serve(answer: impl Fn(&str) -> (u16, String) + Send + 'static) -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // Whoever hangs up gets nothing, and the next one is served.
            let _ = converse(stream, &answer);
        }
    });
    Ok(address)
}

fn converse(mut stream: TcpStream, answer: impl Fn(&str) -> (u16, String)) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut request = Vec::new();
    let mut part = [0; 1024];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") && request.len() < 64 << 10 {
        let read = stream.read(&mut part)?;
        if read == 0 {
            return Ok(());
        }
        request.extend_from_slice(part.get(..read).unwrap_or_default());
    }
    let (status, body) = answer(&String::from_utf8_lossy(&request));
    let head = format!("HTTP/1.1 {status} -\r\nContent-Type: text/plain; version=0.0.4\r\nConnection: close\r\n");
    write!(stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len())
}
