//! Connections and requests of well-behaved clients.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Result, bail};
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use super::site::Site;

/// Longer than any scrape should take; what takes longer has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// Any connection.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Where a server is and how to speak to it.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    tls: Option<[Arc<ClientConfig>; 2]>,
    bearer: String,
}

impl Target {
    pub(crate) fn new(address: SocketAddr, site: &Site) -> Result<Self> {
        let config = |protocol: &[u8], certificate| -> Result<_> {
            let mut roots = RootCertStore::empty();
            roots.add(certificate)?;
            let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()?
                .with_root_certificates(roots)
                .with_no_client_auth();
            config.alpn_protocols = vec![protocol.to_vec()];
            // Nobody profits from having been here before.
            config.resumption = rustls::client::Resumption::disabled();
            Ok(Arc::new(config))
        };
        let tls = match site.certificate() {
            Some(own) => Some([config(b"http/1.1", own.clone())?, config(b"h2", own.clone())?]),
            None => None,
        };
        Ok(Self { address, tls, bearer: site.bearer() })
    }

    /// Without TLS even if the server speaks it.
    pub(crate) async fn tcp(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    pub(crate) async fn connect(&self) -> io::Result<Box<dyn Stream>> {
        self.connect_for(0).await
    }

    /// For HTTP/2.
    pub(crate) async fn connect_h2(&self) -> io::Result<Box<dyn Stream>> {
        self.connect_for(1).await
    }

    async fn connect_for(&self, protocol: usize) -> io::Result<Box<dyn Stream>> {
        let stream = self.tcp().await?;
        Ok(match &self.tls {
            Some(configs) => {
                let name = ServerName::IpAddress(self.address.ip().into());
                Box::new(TlsConnector::from(Arc::clone(&configs[protocol])).connect(name, stream).await?)
            }
            None => Box::new(stream),
        })
    }

    /// The header line that lets in.
    pub(crate) fn bearer(&self) -> &str {
        &self.bearer
    }
}

/// Status and body of one request over a connection that stays open.
pub(crate) async fn ask<S: Stream + ?Sized>(stream: &mut S, path: &str, headers: &str) -> Result<(u16, Vec<u8>)> {
    let asking = async {
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: loadtests\r\n{headers}\r\n").as_bytes()).await?;
        let mut seen = Vec::with_capacity(16 * 1024);
        let (status, end, length) = loop {
            if stream.read_buf(&mut seen).await? == 0 {
                bail!("closed after {} bytes", seen.len());
            }
            if let Some(head) = head(&seen) {
                break head;
            }
        };
        while seen.len() < end + length {
            if stream.read_buf(&mut seen).await? == 0 {
                bail!("closed after {} bytes of {}", seen.len(), end + length);
            }
        }
        Ok((status, seen.split_off(end)))
    };
    timeout(PATIENCE, asking).await?
}

/// Status, length of the head, length of the body.
fn head(seen: &[u8]) -> Option<(u16, usize, usize)> {
    let end = seen.windows(4).position(|four| four == b"\r\n\r\n")?;
    let text = std::str::from_utf8(&seen[..end]).ok()?;
    let status = text.split(' ').nth(1)?.parse().ok()?;
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        if name.eq_ignore_ascii_case("content-length") { value.parse().ok() } else { None }
    });
    Some((status, end + 4, length?))
}

/// The metrics.
pub(crate) async fn page(target: &Target) -> Result<String> {
    let (status, body) = ask(&mut *target.connect().await?, "/metrics", target.bearer()).await?;
    if status != 200 {
        bail!("status {status}");
    }
    Ok(String::from_utf8(body)?)
}

#[cfg(test)]
mod tests {
    use super::head;

    #[test]
    fn an_answer_is_complete_when_its_head_says_so() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nhealthy";
        assert_eq!(head(answer), Some((200, answer.len() - 7, 7)));
        assert_eq!(head(&answer[..30]), None);
    }
}
