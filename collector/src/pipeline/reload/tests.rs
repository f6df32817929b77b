//! Reloads of a file that changes, without a signal.

use std::{
    error::Error,
    fs,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use clap::{Args as _, Command, FromArgMatches as _};
use tempfile::TempDir;

use super::{Config, Loaded, Reload, Reloader, SETTINGS, Settings, merge};
use crate::{
    config::RunFlags,
    export::{Gather as _, OwnMetrics, Part, catalog::CONFIG_RELOAD},
    pipeline::{Sampler, sampler::tests::Clockwork},
    users::Users,
};

type Outcome = Result<(), Box<dyn Error>>;

/// A reloader and everything behind it, with a file of its own.
struct Rig {
    _folder: TempDir,
    file: PathBuf,
    settings: Arc<Settings>,
    sampler: Sampler,
    own: Arc<OwnMetrics>,
    reloader: Reloader,
}

impl Rig {
    fn new(file: &str, arguments: &[&str]) -> Result<Self, Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("uidmeter.toml");
        fs::write(&path, file)?;
        let path_text = path.to_string_lossy().into_owned();
        let command = RunFlags::augment_args(Command::new("run")).no_binary_name(true);
        let named = ["--config", &path_text].into_iter().chain(arguments.iter().copied());
        let loaded = Loaded::new(&RunFlags::from_arg_matches(&command.try_get_matches_from(named)?)?)?;
        let settings = Arc::new(Settings::new(loaded.config.clone()));
        let own = Arc::new(OwnMetrics::new()?);
        own.config_reload(Part::Settings, true, SystemTime::UNIX_EPOCH);
        let users = Users::with_lookup(Box::new(|_| None))?;
        let sampler = Sampler::start(Box::new(Clockwork::default()), users, Arc::clone(&own), Arc::clone(&settings))?;
        let reloader = Reloader::new(loaded, Arc::clone(&settings), sampler.gatherer(), Arc::clone(&own));
        Ok(Self { _folder: folder, file: path, settings, sampler, own, reloader })
    }

    fn reload(&self, file: &str) -> std::io::Result<Arc<Config>> {
        fs::write(&self.file, file)?;
        self.reloader.reload();
        Ok(self.settings.load())
    }

    fn successful(&self) -> bool {
        let families = self.own.gather();
        let family = families.iter().find(|family| family.name() == CONFIG_RELOAD.name);
        family.is_some_and(|family| family.get_metric()[0].get_gauge().get_value() > 0.5)
    }
}

#[test]
fn what_can_change_at_once_does_and_the_rest_stays() -> Outcome {
    let rig = Rig::new("[users]\ntop = 3\n", &["--max-users=5"])?;
    let config = rig.reload("[users]\ntop = 4\nnames = false\n[probes]\nexecs = false\n[web]\nmax_requests = 1\n")?;
    assert_eq!((config.users.top, config.users.names, config.observe.max_users), (4, false, 5));
    assert_eq!((config.probes.execs, config.web.max_requests), (true, 40));
    assert!(rig.successful());
    // A setting that is no longer in the file has its default again.
    assert_eq!(rig.reload("")?.users.top, 0);
    Ok(())
}

#[test]
fn flags_still_win_after_a_reload() -> Outcome {
    let rig = Rig::new("", &["--users.top=9"])?;
    assert_eq!(rig.reload("[users]\ntop = 4\n")?.users.top, 9);
    Ok(())
}

#[test]
fn a_file_with_mistakes_changes_nothing_and_that_can_be_seen() -> Outcome {
    let rig = Rig::new("[users]\ntop = 3\n", &[])?;
    let config = rig.reload("[users]\ntop = 4\nnames = 'perhaps'\n")?;
    assert_eq!((config.users.top, rig.successful()), (3, false));
    fs::remove_file(&rig.file)?;
    rig.reloader.reload();
    assert_eq!((rig.settings.load().users.top, rig.successful()), (3, false));
    assert_eq!((rig.reload("[users]\ntop = 5\n")?.users.top, rig.successful()), (5, true));
    Ok(())
}

#[test]
fn a_shorter_interval_counts_from_now_on_and_not_after_the_long_one() -> Outcome {
    let rig = Rig::new("[observe]\nsample_interval = '10s'\n", &[])?;
    let gatherer = rig.sampler.gatherer();
    let began = Instant::now();
    rig.reload("[observe]\nsample_interval = '10ms'\n")?;
    while gatherer.published().generation < 4 {
        assert!(began.elapsed() < Duration::from_secs(9), "still at the old pace");
        std::thread::yield_now();
    }
    Ok(())
}

#[test]
fn counters_go_on_across_a_reload() -> Outcome {
    let rig = Rig::new("", &[])?;
    let before = rig.sampler.gatherer().published();
    rig.reload("[users]\ntop = 1\n[observe]\nmax_users = 1\n")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let after = runtime.block_on(rig.sampler.gatherer().fresh()).ok_or("no view")?;
    assert!(after.generation > before.generation && after.snapshot.taken > before.snapshot.taken);
    Ok(())
}

#[test]
fn merging_keeps_exactly_what_needs_a_restart() {
    let running = Config::default();
    let mut wanted = running.clone();
    wanted.observe.sample_interval *= 2;
    wanted.observe.max_users = 1;
    wanted.bursts.peak_window *= 2;
    wanted.web.open_health = false;
    let (merged, changed) = merge(&running, &wanted);
    let names: Vec<_> = changed.iter().map(|setting| (setting.name(), setting.reload == Reload::Restart)).collect();
    let expected = [
        ("observe.sample_interval", false),
        ("observe.max_users", true),
        ("bursts.peak_window", false),
        ("web.open_health", true),
    ];
    assert_eq!(names, expected.map(|(name, restart)| (name.to_owned(), restart)));
    let mut expected = running.clone();
    expected.observe.sample_interval *= 2;
    expected.bursts.peak_window *= 2;
    assert_eq!(merged, expected);
    assert!(merge(&running, &running).1.is_empty());
}

#[test]
fn what_the_programs_are_loaded_with_needs_a_restart() {
    for setting in SETTINGS {
        let fixed = setting.section == "web"
            || setting.section == "probes"
            || setting.section == "process"
            || ["max_users", "kernel_memory", "btf"].contains(&setting.key)
            // What is sent can change at once, to whom and as whom cannot.
            || (setting.section == "push"
                && !["interval", "timeout", "max_samples", "queue_max_size", "queue_max_age"].contains(&setting.key))
            // What the enforcer is started with.
            || ["policy_file", "driver", "cgroup_root", "lease", "journal", "audit_log", "control_socket"].contains(&setting.key);
        assert_eq!(setting.reload == Reload::Restart, fixed, "{}", setting.name());
    }
}
