//! The web server put together: settings and files → checked, sockets opened, served, and read again when they change.
//!
//! [`open`] does everything that can fail before anything is loaded into the kernel. [`Reloader::reload`] checks all that
//! the files say now and swaps it at once, or changes nothing. [`Reloader::watch`] notices by itself that a file has
//! changed; the caller also reloads on SIGHUP.

mod check;
mod files;
mod load;
mod tide;

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use nix::sys::resource::{Resource, getrlimit, setrlimit};

pub use self::check::check;
use self::{
    files::Prints,
    load::{Files, Loaded, load},
    tide::Tide,
};
use crate::{
    config::{ListenAddress, Web},
    export::{
        Exporter,
        auth::{Guard, Observer},
        http::{self, Address, Gate, Limits, Listener, Options, Server, TelemetryPath},
        tls::{Expiry, expiry_warning},
    },
    source::ebpf::release_freed_memory,
};

/// What administrators configure outside the files that can be reloaded.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where to listen; without effect for sockets that are inherited.
    pub listen: Vec<Address>,
    /// Whether systemd hands over the sockets.
    pub inherit: bool,
    /// Where the metrics are.
    pub telemetry_path: TelemetryPath,
    /// Scrapes under way at once; 0 means any number.
    pub max_requests: usize,
    /// Whether `/-/healthy` and `/-/ready` are free of authentication.
    pub open_health: bool,
    /// The Prometheus web configuration file.
    pub web_config: Option<PathBuf>,
    /// The authentication file.
    pub auth_file: Option<PathBuf>,
}

impl Settings {
    /// As configured. Asks the name service for the addresses of names.
    ///
    /// # Errors
    /// An address is not known, or the telemetry path is not one.
    pub fn new(web: &Web) -> Result<Self, OpenError> {
        let mut problems = Vec::new();
        let mut listen = Vec::new();
        for address in &web.listen_addresses {
            match (address, address.resolve()) {
                (ListenAddress::Ip(ip), _) => listen.push(Address::Tcp(*ip)),
                (ListenAddress::Unix(path), _) => listen.push(Address::Unix(path.clone())),
                (ListenAddress::Name { .. }, Ok(addresses)) => {
                    listen.push(Address::Named { name: address.to_string(), addresses });
                }
                (ListenAddress::Name { .. }, Err(error)) => problems.push(format!(
                    "cannot listen on {address}: {error}; choose an address that is known with --web.listen-address"
                )),
            }
        }
        if !problems.is_empty() {
            return Err(OpenError::Sockets(Problems(problems)));
        }
        let telemetry_path = TelemetryPath::new(&web.telemetry_path)
            .map_err(|error| OpenError::Files(Problems(vec![format!("--web.telemetry-path: {error}")])))?;
        Ok(Self {
            listen,
            inherit: web.systemd_socket,
            telemetry_path,
            max_requests: web.max_requests as usize,
            open_health: web.open_health,
            web_config: web.config_file.clone(),
            auth_file: web.auth_file.clone(),
        })
    }

    fn files(&self) -> Files<'_> {
        Files { web_config: self.web_config.as_deref(), auth_file: self.auth_file.as_deref() }
    }
}

/// Why the web server cannot start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Its files are wrong, or do not allow to listen where it is told to.
    #[error(transparent)]
    Files(Problems),
    /// A socket cannot be had.
    #[error(transparent)]
    Sockets(Problems),
}

impl OpenError {
    /// All that is wrong.
    pub fn problems(&self) -> &[String] {
        match self {
            Self::Files(Problems(problems)) | Self::Sockets(Problems(problems)) => problems,
        }
    }
}

impl From<Problems> for OpenError {
    fn from(problems: Problems) -> Self {
        Self::Files(problems)
    }
}

/// All that is wrong: one sentence each.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct Problems(pub Vec<String>);

/// Hears whether the files that hold now are those on the disk.
pub type Report = Arc<dyn Fn(bool) + Send + Sync>;

/// Descriptors for sockets, with room for everything else; no more than the system allows.
const DESCRIPTORS: u64 = 4096;
/// How often files are looked at.
pub const LOOK: Duration = Duration::from_secs(3);

/// Sockets that are open and settings that fit together: ready to serve.
pub struct Opened {
    settings: Settings,
    listeners: Vec<Listener>,
    loaded: Loaded,
    guard: Arc<Guard>,
    observer: Arc<dyn Observer>,
}

/// Reads and checks all files, then opens the sockets.
///
/// # Errors
/// Everything that is wrong; then nothing stays open.
pub fn open(settings: Settings, observer: Arc<dyn Observer>) -> Result<Opened, OpenError> {
    let loaded = load(settings.files(), None)?;
    let of =
        |errors: Vec<http::ListenError>| OpenError::Sockets(Problems(errors.iter().map(ToString::to_string).collect()));
    let listeners = if settings.inherit { http::inherited() } else { http::bind_all(&settings.listen) }.map_err(of)?;
    if listeners.is_empty() {
        return Err(OpenError::Sockets(Problems(vec![
            "there is no socket to serve on: systemd has handed over none (LISTEN_FDS); start uidmeter through its socket \
             unit, or listen on an address of its own"
                .into(),
        ])));
    }
    let guard =
        Guard::new(loaded.auth.clone(), Arc::clone(&observer)).map_err(|error| Problems(vec![error.to_string()]))?;
    let opened = Opened { settings, listeners, loaded, guard: Arc::new(guard), observer };
    opened.loaded.check_listeners(&opened.addresses())?;
    Ok(opened)
}

impl Opened {
    /// Where clients find the metrics; a Unix socket has no address.
    pub fn addresses(&self) -> Vec<std::net::SocketAddr> {
        self.listeners.iter().filter_map(Listener::local_addr).collect()
    }

    /// Whether TLS is spoken.
    pub fn is_encrypted(&self) -> bool {
        self.loaded.tls.is_some()
    }

    /// A server of what `exporter` makes. Each reload and each failed one is told to `report`, the end of the certificate to
    /// `expiry`.
    pub fn into_server(self, exporter: Arc<Exporter>, report: Report, expiry: Expiry) -> Serving {
        let options = Options {
            telemetry_path: self.settings.telemetry_path.clone(),
            max_requests: self.settings.max_requests,
            open_health: self.settings.open_health,
            limits: Limits::within(descriptors()),
        };
        let addresses = self.addresses();
        expiry.set(self.loaded.tls.as_ref().map(|tls| tls.not_after));
        for warning in &self.loaded.warnings {
            tracing::warn!("{warning}");
        }
        let state = State { seen: self.loaded.prints.clone(), told: Vec::new(), warned: None, tide: Tide::default() };
        let live = self.loaded.into_live(Arc::clone(&self.guard) as Arc<dyn Gate>);
        let server = Server::new(exporter, options, live, self.observer);
        let reloader = Reloader {
            guard: self.guard,
            settings: self.settings,
            server: Arc::clone(&server),
            addresses,
            expiry,
            report,
            state: Mutex::new(state),
        };
        reloader.warn_of_expiry(&mut reloader.state(), SystemTime::now());
        Serving { server, listeners: self.listeners, reloader: Arc::new(reloader) }
    }
}

/// A server that has its sockets.
pub struct Serving {
    server: Arc<Server>,
    listeners: Vec<Listener>,
    reloader: Arc<Reloader>,
}

impl Serving {
    /// Reads the files again.
    pub fn reloader(&self) -> Arc<Reloader> {
        Arc::clone(&self.reloader)
    }

    /// The end of the certificate that is served, for `uidmeter_tls_certificate_expiry_timestamp_seconds`.
    pub fn expiry(&self) -> Expiry {
        self.reloader.expiry.clone()
    }

    /// Serves until `shutdown`, and watches the files meanwhile.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        tokio::select! {
            () = self.server.serve(self.listeners, shutdown) => {}
            () = Arc::clone(&self.reloader).watch(LOOK) => {}
        }
    }
}

/// Reads the files again.
pub struct Reloader {
    settings: Settings,
    server: Arc<Server>,
    guard: Arc<Guard>,
    addresses: Vec<std::net::SocketAddr>,
    expiry: Expiry,
    report: Report,
    state: Mutex<State>,
}

struct State {
    /// The files as they were when they were last read, successfully or not.
    seen: Prints,
    /// Problems that the log has been told of; empty after a reload that worked.
    told: Vec<String>,
    /// The certificate that has been warned of, by its end.
    warned: Option<i64>,
    tide: Tide,
}

impl fmt::Debug for Reloader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reloader").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Reloader {
    /// Reads all files and swaps what they say, or leaves everything as it is. Blocks while files are read.
    ///
    /// # Errors
    /// Everything that is wrong. The log has been told already, unless it was told the same before.
    pub fn reload(&self) -> Result<(), Problems> {
        let mut state = self.state();
        self.reload_with(&mut state)
    }

    /// Reloads whenever a file has changed, and while the last reload has failed: what it missed may appear.
    pub async fn watch(self: Arc<Self>, every: Duration) {
        loop {
            tokio::time::sleep(every).await;
            let reloader = Arc::clone(&self);
            // A file may lie on a slow disk, and scrapes go on meanwhile.
            if let Err(error) = tokio::task::spawn_blocking(move || reloader.look()).await {
                tracing::error!(%error, "the web server's files could not be looked at");
            }
        }
    }

    fn look(&self) {
        let mut state = self.state();
        if state.tide.has_ebbed(self.server.connections()) {
            // What many connections held is free now, but scattered, so that the allocator would keep it.
            release_freed_memory();
        }
        let now = state.seen.again();
        if now != state.seen || !state.told.is_empty() {
            // The log and the report tell what came of it.
            let _ = self.reload_with(&mut state);
        }
        self.warn_of_expiry(&mut state, SystemTime::now());
    }

    fn reload_with(&self, state: &mut State) -> Result<(), Problems> {
        state.seen = state.seen.again();
        let before = self.server.live();
        let checked = load(self.settings.files(), Some(&before))
            .and_then(|loaded| loaded.check_listeners(&self.addresses).map(|()| loaded));
        match checked {
            Ok(loaded) => {
                for warning in &loaded.warnings {
                    tracing::warn!("{warning}");
                }
                state.seen = loaded.prints.clone();
                state.told.clear();
                state.warned = None;
                self.expiry.set(loaded.tls.as_ref().map(|tls| tls.not_after));
                // The guard first: in between, old connections meet the new rules and not the other way round.
                self.guard.replace(loaded.auth.clone());
                self.server.replace(loaded.into_live(Arc::clone(&self.guard) as Arc<dyn Gate>));
                self.warn_of_expiry(state, SystemTime::now());
                tracing::info!("TLS and authentication were read again");
                (self.report)(true);
                Ok(())
            }
            Err(problems) => {
                if state.told != problems.0 {
                    for problem in &problems.0 {
                        tracing::error!("TLS and authentication stay as they were: {problem}");
                    }
                    state.told.clone_from(&problems.0);
                }
                (self.report)(false);
                Err(problems)
            }
        }
    }

    /// Once for each certificate.
    fn warn_of_expiry(&self, state: &mut State, now: SystemTime) {
        let Some(not_after) = self.expiry.timestamp().filter(|end| state.warned != Some(*end)) else { return };
        if let Some(warning) = expiry_warning(not_after, now) {
            tracing::warn!("{warning}");
            state.warned = Some(not_after);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // What a panic left half done is at worst looked at once more.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many files this process may have open, after asking for enough.
fn descriptors() -> usize {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return 0 };
    let wanted = hard.min(DESCRIPTORS);
    let granted = if soft < wanted && setrlimit(Resource::RLIMIT_NOFILE, wanted, hard).is_ok() { wanted } else { soft };
    usize::try_from(granted).unwrap_or(usize::MAX)
}
