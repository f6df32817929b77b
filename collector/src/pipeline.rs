//! Puts the stages together and alone knows their cadence: sockets, source, sampler, exporter, reloads,
//! and an orderly end.

mod limits;
mod privileges;
mod push;
mod reload;
mod sampler;
mod service;
pub mod web;

use std::{io, sync::Arc, time::SystemTime};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::Notify,
};

use self::{limits::Limiter, privileges::Ordinary, reload::Reloader};
pub use self::{
    limits::{LimitsError, SystemDirectory, enforcer_settings, guard, policy},
    privileges::PrivilegeError,
    push::check_push,
    reload::{Settings, merge},
    sampler::{Sampler, SteppedSampler},
};
use crate::{
    config::{Loaded, Observe, Probes},
    export::{Exporter, OwnMetrics, Part, auth::Observer},
    push::PushError,
    source::{
        ProbeGroup, ProbeState, Source,
        ebpf::{EbpfSource, LoadError, Options, TableSize, let_go_of_code, require_host, table_size},
    },
    users::Users,
};

/// Why the daemon could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// TLS, authentication or sockets.
    #[error(transparent)]
    Web(#[from] web::OpenError),
    /// The kernel programs cannot be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Privileges cannot be given up.
    #[error(transparent)]
    Privileges(#[from] PrivilegeError),
    /// Policy, enforcer or control socket.
    #[error(transparent)]
    Limits(#[from] LimitsError),
    /// What is sent to a hub.
    #[error(transparent)]
    Push(#[from] PushError),
    /// The enforcer has ended by itself. A process without privileges cannot start another one.
    #[error("the enforcer has ended, and only a new start of the daemon gives back what it left; see the log for why")]
    EnforcerLost,
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
    // First of all: the libraries behind TLS may wait for randomness, in vain on a host that cannot be observed.
    require_host(&config.observe.btf).map_err(LoadError::from)?;
    let ordinary = Ordinary::find(config.process.user.as_deref())?;
    let own = Arc::new(OwnMetrics::new()?);
    // Files and sockets come first: a port that is taken is found out before anything is loaded.
    let web = web::open(web::Settings::new(&config.web)?, Arc::clone(&own) as Arc<dyn Observer>)?;
    let limits = limits::prepare(&config.limits, loaded.arguments())?;
    push::prepare(&config.push, ordinary.as_ref())?;
    let mut source = EbpfSource::load_on_fit_host(&options(&config.observe, config.probes))?;
    for probe in source.probes().iter().filter(|probe| matches!(probe.state, ProbeState::Failed(_))) {
        tracing::warn!(probe = probe.name, hook = probe.hook, state = %probe.state, "goes on without this probe");
    }
    privileges::give_up(ordinary.as_ref(), || source.can_go_on())?;
    own.config_reload(Part::Settings, true, SystemTime::now());
    let users = Users::from_system().map_err(system("the thread that looks up names"))?;
    let settings = Arc::new(Settings::new(config.clone()));
    let sampler = Sampler::start(Box::new(source), users, Arc::clone(&own), Arc::clone(&settings))
        .map_err(system("the sampler's thread"))?;
    let pusher = push::start(&settings, sampler.gatherer(), &own)?;
    let lost = Arc::new(Notify::new());
    let tell = Arc::clone(&lost);
    let limiter =
        Limiter::start(limits, Arc::clone(&settings), sampler.gatherer(), Box::new(move || tell.notify_one()))
            .map_err(system("the thread that limits"))?;
    let exporter = Arc::new(Exporter::new(Box::new(sampler.gatherer()), Arc::clone(&own)));
    let scheme = if web.is_encrypted() { "https" } else { "http" };
    let mut places = Vec::new();
    for address in web.addresses() {
        let place = format!("{scheme}://{address}{}", config.web.telemetry_path);
        tracing::info!("serving {place}");
        places.push(place);
    }
    let status = format!("serving {}", places.join(" "));
    let reports = Arc::clone(&own);
    let report = Arc::new(move |successful| reports.config_reload(Part::Web, successful, SystemTime::now()));
    let served = runtime.block_on(async {
        let serving = web.into_server(exporter, report, own.expiry());
        let reloader =
            Reloader::new(loaded.clone(), Arc::clone(&settings), sampler.gatherer(), own).with_web(serving.reloader());
        let reloader = reloader.with_limits(limiter.as_ref().map(Limiter::messages));
        tokio::spawn(service::keep_alive(sampler.gatherer(), settings));
        tokio::spawn(reload::on_each(hangup, Arc::new(reloader)));
        service::ready(&status);
        let_go_of_code();
        serve(serving, &lost).await
    });
    if let Some(limiter) = limiter {
        limiter.stop();
    }
    // While the sampler still answers.
    if let Some(pusher) = pusher {
        pusher.stop();
    }
    // Dropped with its thread, the source detaches every program.
    sampler.stop();
    // A reload whose file does not answer must not hold up the end.
    runtime.shutdown_background();
    if served.map_err(system("serving"))? { Err(RunError::EnforcerLost) } else { Ok(()) }
}

/// Until SIGTERM or SIGINT, or until the enforcer is lost: tells whether that was it.
async fn serve(serving: web::Serving, lost: &Notify) -> io::Result<bool> {
    let mut is_lost = false;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    serving
        .run(async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
                () = lost.notified() => is_lost = true,
            }
            service::stopping();
            tracing::info!("stopping");
        })
        .await;
    Ok(is_lost)
}
