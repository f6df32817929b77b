//! Puts the stages together and alone knows their cadence: sockets, source, sampler, exporter, reloads,
//! and an orderly end.

mod listen;
mod reload;
mod sampler;

use std::{io, net::TcpListener, sync::Arc, time::SystemTime};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    task::JoinSet,
};

use self::reload::Reloader;
pub use self::{
    reload::{Settings, merge},
    sampler::Sampler,
};
use crate::{
    config::{ConfigError, Loaded, Observe, Probes},
    export::{Exporter, OwnMetrics, http},
    source::{
        ProbeGroup, ProbeState, Source,
        ebpf::{EbpfSource, LoadError, Options, TableSize, table_size},
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
        address: String,
        /// Why.
        source: io::Error,
    },
    /// Something is asked for that this build does not have.
    #[error("this uidmeter does not serve {what}; remove that setting")]
    Unserved {
        /// What.
        what: &'static str,
    },
    /// An address must not be listened on.
    #[error(transparent)]
    Config(#[from] ConfigError),
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
pub fn load_source(observe: &Observe, probes: Probes) -> Result<EbpfSource, LoadError> {
    EbpfSource::load(&options(observe, probes))
}

/// How large the table of users would be. Loads nothing.
///
/// # Errors
/// See [`table_size`].
pub fn table_of(observe: &Observe, probes: Probes) -> Result<TableSize, LoadError> {
    table_size(&options(observe, probes))
}

fn options(observe: &Observe, probes: Probes) -> Options {
    let without = [
        (ProbeGroup::Reclaim, probes.reclaim),
        (ProbeGroup::Executions, probes.execs),
        (ProbeGroup::MemoryStalls, probes.memstall),
    ];
    Options {
        btf: observe.btf.clone(),
        max_users: observe.max_users,
        kernel_memory: observe.kernel_memory,
        tick: observe.sample_interval,
        without: without.into_iter().filter_map(|(group, wanted)| (!wanted).then_some(group)).collect(),
    }
}

/// The daemon: serves figures until SIGTERM or SIGINT, then detaches everything. SIGHUP reads the configuration again.
///
/// # Errors
/// It could not start. Nothing stays attached.
pub fn run(loaded: &Loaded) -> Result<(), RunError> {
    let system = |what| move |source| RunError::System { what, source };
    let config = &loaded.config;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(system("the runtime"))?;
    // From here on a hangup waits for its turn instead of ending the process.
    let hangup = runtime.block_on(async { signal(SignalKind::hangup()) }).map_err(system("signal handling"))?;
    // Sockets come first: a port that is taken is found out before anything is loaded.
    let listeners = listen::bind(&config.web)?;
    let source = load_source(&config.observe, config.probes)?;
    for probe in source.probes().iter().filter(|probe| matches!(probe.state, ProbeState::Failed(_))) {
        tracing::warn!(probe = probe.name, hook = probe.hook, state = %probe.state, "goes on without this probe");
    }
    let own = Arc::new(OwnMetrics::new()?);
    own.config_reload(true, SystemTime::now());
    let users = Users::from_system().map_err(system("the thread that looks up names"))?;
    let settings = Arc::new(Settings::new(config.clone()));
    let sampler = Sampler::start(Box::new(source), users, Arc::clone(&own), Arc::clone(&settings))
        .map_err(system("the sampler's thread"))?;
    let reloader = Arc::new(Reloader::new(loaded.clone(), settings, sampler.gatherer(), Arc::clone(&own)));
    let exporter = Arc::new(Exporter::new(Box::new(sampler.gatherer()), own));
    let served = runtime.block_on(async {
        tokio::spawn(reload::on_each(hangup, reloader));
        serve(listeners, exporter).await
    });
    // Dropped with its thread, the source detaches every program.
    sampler.stop();
    // A reload whose file does not answer must not hold up the end.
    runtime.shutdown_background();
    served.map_err(system("serving"))
}

async fn serve(listeners: Vec<TcpListener>, exporter: Arc<Exporter>) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (ending, end) = watch::channel(());
    let mut servers = JoinSet::new();
    for listener in listeners {
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        tracing::info!("serving http://{address}/metrics");
        let mut end = end.clone();
        servers.spawn(http::serve(listener, Arc::clone(&exporter), async move {
            // An error means that the sender is gone, which is the end, too.
            let _ = end.changed().await;
        }));
    }
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping");
    drop(ending);
    servers.join_all().await;
    Ok(())
}
