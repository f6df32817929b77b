//! What was written is read again by those who will read it.

use std::{error::Error, fs, os::unix::fs::PermissionsExt as _, path::Path, time::SystemTime};

use super::{InitError, InitFlags, Way, run};
use crate::{
    config::{ListenAddress, document},
    export::{auth::Settings, web_config::WebConfig},
};

type Outcome = Result<(), Box<dyn Error>>;

fn flags(folder: &Path, auth: Way) -> InitFlags {
    InitFlags {
        folder: folder.to_owned(),
        auth,
        host: Some("host.example".into()),
        listen: ListenAddress::Ip(([0, 0, 0, 0], 9101).into()),
        owner: None,
    }
}

fn names(folder: &Path) -> std::io::Result<Vec<String>> {
    let mut names: Vec<String> = fs::read_dir(folder)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<std::io::Result<_>>()?;
    names.sort();
    Ok(names)
}

#[test]
fn what_is_written_is_what_the_web_server_asks_for() -> Outcome {
    for way in [Way::Jwt, Way::Basic] {
        let folder = tempfile::tempdir()?;
        let there = folder.path().join("etc");
        run(&flags(&there, way), SystemTime::now())?;
        let web = WebConfig::load(&there.join("web.yml"))?;
        let auth = (way == Way::Jwt).then(|| there.join("auth.toml"));
        let settings = Settings::load(&web, auth.as_deref())?;
        settings.may_listen(([0, 0, 0, 0], 9101).into(), true)?;
        for entry in
            ["tls.key", "for-prometheus/token.key", "for-prometheus/uidmeter.token", "for-prometheus/uidmeter.password"]
        {
            if let Ok(found) = fs::metadata(there.join(entry)) {
                assert_eq!(found.permissions().mode() & 0o777, 0o600, "{entry}");
            }
        }
        assert_eq!(fs::metadata(there.join("for-prometheus"))?.permissions().mode() & 0o777, 0o700);
    }
    Ok(())
}

#[test]
fn the_settings_are_the_sample_with_what_was_asked_for() -> Outcome {
    let folder = tempfile::tempdir()?;
    run(&flags(folder.path(), Way::Jwt), SystemTime::now())?;
    let text = fs::read_to_string(folder.path().join("uidmeter.toml"))?;
    let set: Vec<&str> = text.lines().filter(|line| !line.starts_with(['#', '[']) && !line.is_empty()).collect();
    let path = folder.path().display();
    assert_eq!(
        set,
        [
            "listen_addresses = [\"0.0.0.0:9101\"]".to_owned(),
            format!("config_file = \"{path}/web.yml\""),
            format!("auth_file = \"{path}/auth.toml\""),
        ]
    );
    Ok(())
}

#[test]
fn nothing_that_is_there_is_changed_but_the_sample() -> Outcome {
    let folder = tempfile::tempdir()?;
    let settings = folder.path().join("uidmeter.toml");
    fs::write(&settings, document::sample())?;
    run(&flags(folder.path(), Way::Basic), SystemTime::now())?;
    let before = names(folder.path())?;
    let again = run(&flags(folder.path(), Way::Basic), SystemTime::now());
    assert!(matches!(&again, Err(InitError::File(what)) if what.contains("uidmeter.toml exists already")), "{again:?}");
    assert_eq!(names(folder.path())?, before);

    let other = tempfile::tempdir()?;
    fs::write(other.path().join("tls.key"), "mine")?;
    assert!(run(&flags(other.path(), Way::Jwt), SystemTime::now()).is_err());
    assert_eq!(names(other.path())?, ["tls.key"]);
    assert_eq!(fs::read_to_string(other.path().join("tls.key"))?, "mine");
    Ok(())
}

#[test]
fn if_one_file_cannot_be_written_none_is() -> Outcome {
    let folder = tempfile::tempdir()?;
    // No folder can be made where a file is.
    fs::write(folder.path().join("for-prometheus"), "in the way")?;
    let result = run(&flags(folder.path(), Way::Jwt), SystemTime::now());
    assert!(matches!(&result, Err(InitError::File(what)) if what.contains("for-prometheus")), "{result:?}");
    assert_eq!(names(folder.path())?, ["for-prometheus"]);
    Ok(())
}

#[test]
fn names_that_are_none_are_refused_before_anything_is_made() -> Outcome {
    let folder = tempfile::tempdir()?;
    for name in ["", "a b", "host.example:9101", "-", "a\"b", "a\nb"] {
        let flags = InitFlags { host: Some(name.into()), ..flags(folder.path(), Way::Jwt) };
        let result = run(&flags, SystemTime::now());
        assert!(matches!(&result, Err(InitError::Usage(what)) if what.contains("--host")), "{name:?}: {result:?}");
    }
    assert!(names(folder.path())?.is_empty());
    Ok(())
}

#[test]
fn what_is_printed_holds_no_secret() -> Outcome {
    for way in [Way::Jwt, Way::Basic] {
        let folder = tempfile::tempdir()?;
        let told = run(&flags(folder.path(), way), SystemTime::now())?;
        for file in
            ["tls.key", "for-prometheus/token.key", "for-prometheus/uidmeter.token", "for-prometheus/uidmeter.password"]
        {
            let Ok(secret) = fs::read_to_string(folder.path().join(file)) else { continue };
            for line in secret.lines().filter(|line| !line.starts_with("-----")) {
                assert!(!told.contains(line), "{file}");
            }
        }
    }
    Ok(())
}
