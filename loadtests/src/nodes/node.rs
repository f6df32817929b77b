//! One simulated host: source, sampler, exporter and web server.

use std::{net::SocketAddr, sync::Arc};

use anyhow::{Context as _, Result};
use collector::{
    config::{Config, ListenAddress},
    export::{Exporter, OwnMetrics, auth::Observer},
    pipeline::{
        Settings, SteppedSampler,
        web::{self, Serving},
    },
    source::simulated::Simulated,
    users::Users,
};
use tokio::sync::watch;

use super::Flags;
use crate::simulate::{host, name};

/// A host with its socket open.
pub(super) struct Node {
    sampler: SteppedSampler,
    serving: Serving,
}

impl Node {
    /// A host at `address` with the users that `seed` gives.
    pub(super) fn open(flags: &Flags, (address, seed): (SocketAddr, u64)) -> Result<Self> {
        let mut config = Config::default();
        config.web.listen_addresses = vec![ListenAddress::Ip(address)];
        config.web.config_file.clone_from(&flags.web_config);
        config.web.auth_file.clone_from(&flags.auth_file);
        let own = Arc::new(OwnMetrics::new()?);
        let web = web::open(web::Settings::new(&config.web)?, Arc::clone(&own) as Arc<dyn Observer>)
            .with_context(|| format!("the host at {address} cannot serve"))?;
        let source = Box::new(Simulated::new(&host(flags.users, seed)));
        let users = Users::at_once(Box::new(|uid| Some(name(uid).to_string().into())));
        let sampler = SteppedSampler::new(source, users, Arc::clone(&own), Arc::new(Settings::new(config)));
        let exporter = Arc::new(Exporter::new(Box::new(sampler.clone()), Arc::clone(&own)));
        Ok(Self { sampler, serving: web.into_server(exporter, Arc::new(|_| {}), own.expiry()) })
    }

    pub(super) fn sampler(&self) -> SteppedSampler {
        self.sampler.clone()
    }

    /// Serves until `stopped` says that nobody wants it any more.
    pub(super) async fn serve(self, mut stopped: watch::Receiver<()>) {
        self.serving
            .run(async {
                // Nothing is ever sent: this is the end of the sender.
                while stopped.changed().await.is_ok() {}
            })
            .await;
    }
}
