//! Reading the configuration again while everything goes on. What can change at once is published to those who work by
//! it; what cannot stays as it was, and the log says so. A configuration with mistakes changes nothing.

use std::{
    sync::{Arc, mpsc::Sender},
    time::SystemTime,
};

use arc_swap::ArcSwap;
use tokio::signal::unix::Signal;

use super::{limits, sampler::Gatherer, web};
use crate::{
    config::{
        Config, Loaded,
        settings::{Reload, SETTINGS, Setting},
    },
    export::{OwnMetrics, Part},
};

/// The settings in force. Reading them never waits.
#[derive(Debug)]
pub struct Settings(ArcSwap<Config>);

impl Settings {
    /// With these to begin with.
    pub fn new(config: Config) -> Self {
        Self(ArcSwap::from_pointee(config))
    }

    /// Those of this moment. Whoever works for a while should ask anew each time.
    pub fn load(&self) -> Arc<Config> {
        self.0.load_full()
    }

    fn store(&self, config: Config) {
        self.0.store(Arc::new(config));
    }
}

/// What is in force after `wanted` was read while `running` was in force, and the settings in which they differ,
/// whose [`Setting::reload`] tells what became of them.
pub fn merge(running: &Config, wanted: &Config) -> (Config, Vec<&'static Setting>) {
    let mut merged = running.clone();
    let mut changes = Vec::new();
    for setting in SETTINGS {
        let mut tried = merged.clone();
        if setting.kind.copy(wanted, &mut tried) {
            changes.push(setting);
            if setting.reload != Reload::Restart {
                merged = tried;
            }
        }
    }
    (merged, changes)
}

/// Reads the configuration again when it is told to.
pub(super) struct Reloader {
    at_start: Loaded,
    settings: Arc<Settings>,
    sampler: Gatherer,
    own: Arc<OwnMetrics>,
    web: Option<Arc<web::Reloader>>,
    limits: Option<Sender<limits::Message>>,
}

impl Reloader {
    pub(super) fn new(at_start: Loaded, settings: Arc<Settings>, sampler: Gatherer, own: Arc<OwnMetrics>) -> Self {
        Self { at_start, settings, sampler, own, web: None, limits: None }
    }

    /// Reads the web server's files again, too.
    pub(super) fn with_web(self, web: Arc<web::Reloader>) -> Self {
        Self { web: Some(web), ..self }
    }

    /// Reads the policy again, too.
    pub(super) fn with_limits(self, limits: Option<Sender<limits::Message>>) -> Self {
        Self { limits, ..self }
    }

    /// Reads everything again; what has mistakes stays as it is, and does not keep back the rest.
    fn reload_all(&self) {
        self.reload();
        if let Some(web) = &self.web {
            // The log has been told.
            let _ = web.reload();
        }
        if let Some(limits) = &self.limits {
            // Fails only if the thread has ended, and then nothing is to be done.
            let _ = limits.send(limits::Message::Reload);
        }
    }

    /// Reads file and flags, and logs what came of it. Blocks while the file is read.
    fn reload(&self) {
        let loaded = match self.at_start.again() {
            Ok(loaded) => loaded,
            Err(error) => {
                for problem in &error.0 {
                    tracing::error!("{problem}");
                }
                tracing::error!("the configuration stays as it was: it has mistakes");
                self.own.config_reload(Part::Settings, false, SystemTime::now());
                return;
            }
        };
        let (merged, changes) = merge(&self.settings.load(), &loaded.config);
        for setting in changes {
            let name = setting.name();
            let value = |config| setting.kind.values(config).join(", ");
            let (old, new) = (value(&self.settings.load()), value(&loaded.config));
            match setting.reload {
                Reload::AtOnce => tracing::info!("{name} is {new} now, and was {old}"),
                Reload::InPart(what) => tracing::warn!("{name} is {new} now, and was {old}; {what}"),
                Reload::Restart => tracing::warn!("{name} stays {old}: {new} needs a restart"),
            }
        }
        self.settings.store(merged);
        self.sampler.settings_changed();
        self.own.config_reload(Part::Settings, true, SystemTime::now());
        let file = loaded.file.map(|path| path.display().to_string());
        let file = file.as_deref().unwrap_or("nowhere: there is no file, so flags and defaults are in force");
        tracing::info!("the configuration was read again from {file}");
    }
}

/// Reloads at each `hangup`. Those that come during a reload are served by one more.
pub(super) async fn on_each(mut hangup: Signal, reloader: Arc<Reloader>) {
    while hangup.recv().await.is_some() {
        let reloader = Arc::clone(&reloader);
        // A file may lie on a slow disk, and scrapes go on meanwhile.
        if let Err(error) = tokio::task::spawn_blocking(move || reloader.reload_all()).await {
            tracing::error!(%error, "the configuration could not be read again");
        }
    }
}

#[cfg(test)]
mod tests;
