//! Puts the stages together and alone knows their cadence: socket, source, sampler, exporter, and an orderly end.

mod sampler;
pub mod web;

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
};

use tokio::signal::unix::{SignalKind, signal};

pub use self::sampler::Sampler;
use crate::{
    config::{Config, Observe},
    export::{Exporter, OwnMetrics, http},
    source::{
        Source,
        ebpf::{EbpfSource, LoadError, Options},
    },
    users::Users,
};

/// Why the daemon could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The address is taken, or not one of this machine's.
    #[error("cannot listen on {address}: {source}; free the port, or choose another one with --web.listen-address")]
    Listen {
        /// As configured.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The kernel programs cannot be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The system refuses a thread, a timer or a signal handler.
    #[error("cannot start {what}: {source}")]
    System {
        /// Which.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
    /// Our own metrics contradict each other: a defect in uidmeter.
    #[error("cannot register uidmeter's own metrics: {0}")]
    OwnMetrics(#[from] prometheus::Error),
}

/// Loads the kernel programs as configured.
///
/// # Errors
/// See [`EbpfSource::load`].
pub fn load_source(observe: &Observe) -> Result<EbpfSource, LoadError> {
    EbpfSource::load(&Options {
        btf: observe.btf.clone(),
        max_users: observe.max_users,
        kernel_memory: observe.kernel_memory,
        tick: observe.sample_interval,
    })
}

/// The daemon: serves figures until SIGTERM or SIGINT, then detaches everything.
///
/// # Errors
/// It could not start. Nothing stays attached.
pub fn run(config: &Config) -> Result<(), RunError> {
    let system = |what| move |source| RunError::System { what, source };
    // The socket comes first: a port that is taken is found out before anything is loaded.
    let address = config.listen_address;
    let listener = TcpListener::bind(address).map_err(|source| RunError::Listen { address, source })?;
    let source = load_source(&config.observe)?;
    for probe in source.probes().iter().filter(|probe| !probe.state.is_active()) {
        tracing::warn!(probe = probe.name, hook = probe.hook, state = %probe.state, "goes on without this probe");
    }
    let own = Arc::new(OwnMetrics::new()?);
    let users = Users::from_system().map_err(system("the thread that looks up names"))?;
    let sampler = Sampler::start(Box::new(source), users, Arc::clone(&own), config.observe.sample_interval)
        .map_err(system("the sampler's thread"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(system("the runtime"))?;
    let exporter = Arc::new(Exporter::new(Box::new(sampler.gatherer()), own));
    let served = runtime.block_on(serve(listener, exporter));
    // Dropped with its thread, the source detaches every program.
    sampler.stop();
    served.map_err(system("serving"))
}

async fn serve(listener: TcpListener, exporter: Arc<Exporter>) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let address = listener.local_addr()?;
    let listener = http::Listener::tcp(listener)?;
    tracing::info!("serving http://{address}/metrics");
    http::serve(listener, exporter, async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping");
    })
    .await;
    Ok(())
}
