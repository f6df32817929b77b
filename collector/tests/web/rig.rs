//! A server with its folder of files, and clients that speak TLS or not.

use std::{
    error::Error,
    fs, io,
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use collector::{
    export::{
        Exporter, Gather, OwnMetrics,
        http::{Address, TelemetryPath, Unheard},
        tls::Expiry,
    },
    pipeline::web::{Reloader, Settings, open},
    view::View,
};
use rustls::{
    ClientConfig, RootCertStore, SupportedProtocolVersion,
    crypto::aws_lc_rs,
    pki_types::{PrivateKeyDer, ServerName},
    version::{TLS12, TLS13},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    sync::oneshot,
    task::JoinHandle,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::certificates::{Authority, Pair};

/// Nothing here takes this long unless it hangs.
pub(crate) const HANGS: Duration = Duration::from_secs(20);
pub(crate) const BOTH: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];

/// Always the same view.
struct Fixed;

impl Gather for Fixed {
    fn fresh(&self) -> Pin<Box<dyn Future<Output = Option<Arc<View>>> + Send + '_>> {
        Box::pin(async { Some(self.published()) })
    }

    fn published(&self) -> Arc<View> {
        Arc::new(View { generation: 1, ..View::default() })
    }
}

/// Authorities, the server's files, and the server.
pub(crate) struct Rig {
    pub(crate) folder: TempDir,
    /// Signs the server's certificate.
    pub(crate) servers: Authority,
    /// Signs the clients'.
    pub(crate) clients: Authority,
}

/// A running server.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) reloader: Arc<Reloader>,
    pub(crate) expiry: Expiry,
    /// Reloads that worked, and those that did not.
    pub(crate) reloads: Arc<[AtomicUsize; 2]>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Rig {
    /// With a web configuration file that is `tls` beside certificate and key.
    pub(crate) fn new(tls: &str) -> Result<Self, Box<dyn Error>> {
        let rig = Self {
            folder: tempfile::tempdir()?,
            servers: Authority::new("servers")?,
            clients: Authority::new("clients")?,
        };
        rig.write_server(&rig.servers.server()?)?;
        fs::write(rig.path("clients.pem"), rig.clients.pem())?;
        rig.write_config(tls)?;
        Ok(rig)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write_server(&self, pair: &Pair) -> io::Result<()> {
        fs::write(self.path("server.pem"), pair.certificate.pem())?;
        self.write_key("server.key", &pair.key.serialize_pem())
    }

    pub(crate) fn write_key(&self, name: &str, pem: &str) -> io::Result<()> {
        fs::write(self.path(name), pem)?;
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o600))
    }

    /// Each line of `tls` goes under `tls_server_config`.
    pub(crate) fn write_config(&self, tls: &str) -> io::Result<()> {
        let lines = tls.lines().fold(String::new(), |all, line| all + "  " + line + "\n");
        fs::write(
            self.path("web.yml"),
            format!("tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n{lines}"),
        )
    }

    pub(crate) fn settings(&self, listen: Vec<Address>) -> Settings {
        Settings {
            listen,
            inherit: false,
            telemetry_path: TelemetryPath::default(),
            max_requests: 40,
            open_health: false,
            web_config: Some(self.path("web.yml")),
            auth_file: None,
        }
    }

    /// On a port of its own.
    pub(crate) fn start(&self) -> Result<Running, Box<dyn Error>> {
        start(self.settings(vec![Address::Tcp(([127, 0, 0, 1], 0).into())]))
    }

    /// A client that trusts the server, and shows `pair` if it has one.
    pub(crate) fn client(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        pair: Option<&Pair>,
    ) -> Result<ClientConfig, Box<dyn Error>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.servers.der())?;
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(versions)?
            .with_root_certificates(roots);
        Ok(match pair {
            Some(pair) => builder.with_client_auth_cert(
                vec![pair.certificate.der().clone()],
                PrivateKeyDer::try_from(pair.key.serialize_der())?,
            )?,
            None => builder.with_no_client_auth(),
        })
    }
}

/// Starts a server on the first of the configured addresses.
pub(crate) fn start(settings: Settings) -> Result<Running, Box<dyn Error>> {
    let opened = open(settings, Arc::new(Unheard))?;
    let address = opened.addresses().first().copied().unwrap_or(([0; 4], 0).into());
    let exporter = Arc::new(Exporter::new(Box::new(Fixed), Arc::new(OwnMetrics::new()?)));
    let reloads = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
    let counted = Arc::clone(&reloads);
    let report = Arc::new(move |worked: bool| {
        counted[usize::from(!worked)].fetch_add(1, Ordering::SeqCst);
    });
    let serving = opened.into_server(exporter, report, Expiry::default());
    let (reloader, expiry) = (serving.reloader(), serving.expiry());
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(serving.run(async {
        let _ = stopped.await;
    }));
    Ok(Running { address, reloader, expiry, reloads, stop, task })
}

impl Running {
    pub(crate) async fn stop(self) -> Result<(), Box<dyn Error>> {
        let _ = self.stop.send(());
        Ok(timeout(HANGS, self.task).await??)
    }

    /// Status and body of `/-/healthy`, over a connection of its own.
    pub(crate) async fn healthy(&self, client: &Arc<ClientConfig>) -> io::Result<u16> {
        ask(&mut self.connect(client).await?).await
    }

    pub(crate) async fn connect(&self, client: &Arc<ClientConfig>) -> io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(self.address).await?;
        let name = ServerName::IpAddress(self.address.ip().into());
        timeout(HANGS, TlsConnector::from(Arc::clone(client)).connect(name, stream)).await?
    }

    pub(crate) fn reloads(&self) -> (usize, usize) {
        (self.reloads[0].load(Ordering::SeqCst), self.reloads[1].load(Ordering::SeqCst))
    }
}

/// The status of `/-/healthy` over a connection that stays open.
pub(crate) async fn ask<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) -> io::Result<u16> {
    ask_with(stream, "").await
}

/// The same with further header lines.
pub(crate) async fn ask_with<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, headers: &str) -> io::Result<u16> {
    stream.write_all(format!("GET /-/healthy HTTP/1.1\r\nHost: test\r\n{headers}\r\n").as_bytes()).await?;
    let mut seen = Vec::new();
    let reading = async {
        // Each answer to this path is one line after the head.
        while !seen.windows(4).any(|four| four == b"\r\n\r\n") || !seen.ends_with(b"\n") || seen.ends_with(b"\r\n") {
            if stream.read_buf(&mut seen).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
            }
        }
        Ok(())
    };
    timeout(HANGS, reading).await??;
    let status = String::from_utf8_lossy(&seen).split(' ').nth(1).and_then(|code| code.parse().ok());
    status.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// What comes until the server closes.
pub(crate) async fn rest<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<Vec<u8>> {
    let mut seen = Vec::new();
    match timeout(HANGS, stream.read_to_end(&mut seen)).await? {
        // A server that cuts a connection does not say goodbye in TLS.
        Err(error)
            if error.kind() == io::ErrorKind::UnexpectedEof || error.kind() == io::ErrorKind::ConnectionReset =>
        {
            Ok(seen)
        }
        Err(error) => Err(error),
        Ok(_) => Ok(seen),
    }
}
