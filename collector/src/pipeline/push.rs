//! The push as a part of the daemon: its folder is made while there is a right to, everything else belongs to the ordinary user.

use std::{
    os::unix::fs::{MetadataExt as _, lchown},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{Settings, privileges::Ordinary, sampler::Gatherer};
use crate::{
    config::{Config, Push},
    export::OwnMetrics,
    push::{PushError, Pusher, QueueError, check, make_folder},
};

/// Makes the queue's folder for `ordinary`, if it is not there. To be called before privileges are given up.
pub(super) fn prepare(push: &Push, ordinary: Option<&Ordinary>) -> Result<(), PushError> {
    if push.url.is_none() {
        return Ok(());
    }
    let folder = &push.queue_folder;
    let made = make_folder(folder).and_then(|was_there| match ordinary {
        Some(ordinary) if !was_there => lchown(folder, Some(ordinary.uid()), Some(ordinary.gid())),
        _ => Ok(()),
    });
    made.map_err(|source| QueueError::Unusable { folder: folder.clone(), what: "making it", source }.into())
}

/// Starts to send, if there is a URL. To be called after privileges were given up: what cannot be read then could not be read
/// again later either.
pub(super) fn start(
    settings: &Arc<Settings>,
    gatherer: Gatherer,
    own: &Arc<OwnMetrics>,
) -> Result<Option<Pusher>, PushError> {
    let live = Arc::clone(settings);
    let live = Arc::new(move || live.load().push.clone());
    Pusher::start(&settings.load().push, Box::new(gatherer), Arc::clone(own), live)
}

/// What would keep the daemon from sending: files, labels, the queue's folder, and whether the user that the daemon becomes can use
/// them. Sends nothing.
pub fn check_push(config: &Config) -> Vec<String> {
    let push = &config.push;
    let mut problems = check(push);
    // Who is not root, or does not exist, is told when the daemon starts.
    let ordinary = Ordinary::find(config.process.user.as_deref()).ok().flatten();
    if let Some(ordinary) = ordinary.filter(|_| push.url.is_some()) {
        let secrets = [
            ("push.key_file", &push.key_file),
            ("push.password_file", &push.password_file),
            ("push.bearer_token_file", &push.bearer_token_file),
        ];
        let secrets =
            secrets.into_iter().filter_map(|(name, path): (_, &Option<PathBuf>)| Some((name, path.as_deref()?)));
        for (name, path) in secrets.chain([("push.queue_folder", push.queue_folder.as_path())]) {
            problems.extend(of_another(name, path, &ordinary));
        }
    }
    problems
}

fn of_another(name: &str, path: &Path, ordinary: &Ordinary) -> Option<String> {
    let owner = path.metadata().ok()?.uid();
    let (user, path) = (ordinary.name(), path.display());
    (owner != ordinary.uid()).then(|| {
        format!("{name} {path} belongs to UID {owner}, and the daemon becomes {user}, who alone must own it; run chown {user} {path}")
    })
}

#[cfg(test)]
mod tests {
    use std::{
        error::Error,
        fs,
        os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    };

    use super::{Config, Ordinary, check_push, lchown, prepare};

    #[test]
    fn the_folder_is_made_for_the_user_that_the_daemon_becomes() -> Result<(), Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        let ordinary = Ordinary::find(None)?;
        let mut config = Config::default();
        config.push.queue_folder = folder.path().join("deep/push");
        prepare(&config.push, ordinary.as_ref())?;
        assert!(!config.push.queue_folder.exists(), "there is no push");
        config.push.url = Some("http://127.0.0.1:1/".into());
        prepare(&config.push, ordinary.as_ref())?;
        let made = fs::metadata(&config.push.queue_folder)?;
        assert_eq!(made.permissions().mode() & 0o777, 0o700);
        if let Some(ordinary) = &ordinary {
            assert_eq!(made.uid(), ordinary.uid());
            assert_eq!(check_push(&config), Vec::<String>::new());
            // What is there already keeps its owner, and that is told.
            lchown(&config.push.queue_folder, Some(0), Some(0))?;
            prepare(&config.push, Some(ordinary))?;
            let told = check_push(&config);
            assert!(told.len() == 1 && told[0].contains("belongs to UID 0"), "{told:?}");
        }
        Ok(())
    }
}
