//! One connection, two questions. Everything that comes back is bounded in size; the caller bounds the time.

use std::{
    error::Error,
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::{
    Request, StatusCode,
    client::conn::http1::{Builder, SendRequest},
    header::{ACCEPT, AUTHORIZATION, DATE, HOST, HeaderValue, USER_AGENT},
};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, lookup_host},
    task::JoinHandle,
};
use tokio_rustls::TlsConnector;

use super::{
    super::inventory::{Address, Place},
    bounded::Bounded,
};

/// Addresses of one name that are tried.
const MOST_ADDRESSES: usize = 4;
/// hyper's buffer for one head.
const MOST_HEAD: usize = 32 * 1024;
const MOST_HEADERS: usize = 64;
/// Of what is read of a body. Two families have some kilobytes.
const MOST_BODY: usize = 128 * 1024;
/// Of everything: both answers with their heads, and chunks of a reasonable size.
const MOST_READ: usize = 256 * 1024;
const LONGEST_REASON: usize = 160;

/// Why there is no answer; a sentence that begins with the host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Silence {
    /// The name service.
    #[error("its name leads to no address ({0})")]
    Name(String),
    /// TCP.
    #[error("cannot be connected to ({0})")]
    Connect(String),
    /// TLS, for another reason than the certificate.
    #[error("does not shake hands ({0})")]
    Handshake(String),
    /// The certificate.
    #[error("has a certificate that {0}")]
    Certificate(&'static str),
    /// HTTP.
    #[error("does not answer as an HTTP server should ({0})")]
    Answer(String),
    /// Too much.
    #[error("answers with more than {MOST_BODY} bytes where a few thousand were asked for")]
    TooLong,
    /// Nothing, or too slowly.
    #[error("has not answered within {}: it stopped at {stage}", humantime::format_duration(*.limit))]
    TimedOut {
        /// What was under way.
        stage: &'static str,
        /// How long was waited.
        limit: Duration,
    },
    /// Our own limits, not the host.
    #[error("could not be asked ({0})")]
    Own(String),
}

/// An answer.
pub(super) struct Answered {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
    /// The other clock.
    pub(super) date: Option<SystemTime>,
    pub(super) sent: SystemTime,
    pub(super) received: SystemTime,
    /// From the request to the last byte.
    pub(super) time: Duration,
}

/// A connection on which one can ask; closed when dropped.
pub(super) struct Conversation {
    sender: SendRequest<Empty<Bytes>>,
    driver: JoinHandle<()>,
    host: HeaderValue,
}

impl Drop for Conversation {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// A connection to the first address that takes it.
pub(super) async fn connect(address: &Address) -> Result<TcpStream, Silence> {
    let addresses: Vec<SocketAddr> = match &address.place {
        Place::Ip(ip) => vec![(*ip, address.port).into()],
        Place::Name(name) => lookup_host((name.as_str(), address.port))
            .await
            .map_err(|error| Silence::Name(reason(&error)))?
            .take(MOST_ADDRESSES)
            .collect(),
    };
    let mut last = Silence::Name("it has none".to_owned());
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) if is_ours(&error) => return Err(Silence::Own(reason(&error))),
            Err(error) => last = Silence::Connect(reason(&error)),
        }
    }
    Err(last)
}

/// Out of descriptors or memory: no host is to blame.
fn is_ours(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM))
}

/// Speaks TLS with whom `config` trusts.
pub(super) async fn secure(
    stream: TcpStream,
    address: &Address,
    config: Arc<ClientConfig>,
) -> Result<tokio_rustls::client::TlsStream<TcpStream>, Silence> {
    let name = match &address.place {
        Place::Ip(ip) => ServerName::IpAddress((*ip).into()),
        Place::Name(name) => ServerName::try_from(name.clone()).map_err(|error| Silence::Handshake(reason(&error)))?,
    };
    TlsConnector::from(config).connect(name, stream).await.map_err(|error| Silence::Handshake(reason(&error)))
}

impl Conversation {
    pub(super) async fn begin<S>(stream: S, address: &Address) -> Result<Self, Silence>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let host = HeaderValue::from_str(&address.to_string()).map_err(|error| Silence::Answer(reason(&error)))?;
        let handshake = Builder::new()
            .max_buf_size(MOST_HEAD)
            .max_headers(MOST_HEADERS)
            .handshake(TokioIo::new(Bounded::new(stream, MOST_READ)));
        let (sender, connection) = handshake.await.map_err(|error| Silence::Answer(reason(&error)))?;
        let driver = tokio::spawn(async move {
            // Whoever has asked learns of an error, too.
            let _ = connection.await;
        });
        Ok(Self { sender, driver, host })
    }

    /// Asks for `target`, a path with its query.
    pub(super) async fn ask(&mut self, target: &str, credential: Option<&HeaderValue>) -> Result<Answered, Silence> {
        let failed = |error: &dyn Error| Silence::Answer(reason(error));
        let mut request = Request::builder()
            .uri(target)
            .header(HOST, &self.host)
            .header(USER_AGENT, concat!("uidmeter/", env!("CARGO_PKG_VERSION")))
            .header(ACCEPT, "text/plain;version=0.0.4");
        if let Some(credential) = credential {
            request = request.header(AUTHORIZATION, credential);
        }
        let request = request.body(Empty::new()).map_err(|error| failed(&error))?;
        let (begun, sent) = (Instant::now(), SystemTime::now());
        self.sender.ready().await.map_err(|error| failed(&error))?;
        let response = self.sender.send_request(request).await.map_err(|error| failed(&error))?;
        let received = SystemTime::now();
        let (head, body) = response.into_parts();
        let date = head.headers.get(DATE).and_then(|date| date.to_str().ok());
        let date = date.and_then(|date| httpdate::parse_http_date(date).ok());
        let body = Limited::new(body, MOST_BODY).collect().await.map_err(|error| match error.downcast_ref() {
            Some(http_body_util::LengthLimitError { .. }) => Silence::TooLong,
            None => failed(error.as_ref()),
        })?;
        Ok(Answered { status: head.status, body: body.to_bytes(), date, sent, received, time: begun.elapsed() })
    }
}

/// Every cause of `error` in one line of bounded length, in letters that a terminal shows as they are.
pub(super) fn reason(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text.chars().map(|letter| if (' '..='~').contains(&letter) { letter } else { '?' }).take(LONGEST_REASON).collect()
}
