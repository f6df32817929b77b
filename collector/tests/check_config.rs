//! `uidmeter check-config`: every mistake of the configuration and of the web server's files at once, in the daemon's words.

#[path = "support/samples.rs"]
mod support;

use std::{error::Error, fs, os::unix::fs::PermissionsExt as _, process::Command, sync::Arc};

use collector::{
    config::Config,
    export::http::Unheard,
    pipeline::web::{Settings, open},
};
use support::samples;

type Outcome = Result<(), Box<dyn Error>>;

/// Exit code, standard output, standard error.
fn check_config(arguments: &[&str]) -> Result<(Option<i32>, String, String), Box<dyn Error>> {
    let output = Command::new(env!("CARGO_BIN_EXE_uidmeter")).arg("check-config").args(arguments).output()?;
    Ok((output.status.code(), String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?))
}

#[test]
fn check_config_tells_every_mistake_on_a_line_of_its_own() -> Outcome {
    let file = tempfile::NamedTempFile::new()?;
    fs::write(file.path(), "[users]\ntopp = 1\nnames = 2\n")?;
    let path = file.path().to_string_lossy().into_owned();
    let (code, out, said) = check_config(&["--config", &path, "--web.listen-address", "0.0.0.0:1"])?;
    assert_eq!((code, out.as_str()), (Some(2), ""));
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(lines.len(), 3, "{said}");
    assert_eq!(lines[0], format!("uidmeter: {path}:2: there is no setting users.topp; did you mean users.top?"));
    Ok(())
}

#[test]
fn check_config_shows_what_is_in_force_as_a_file_that_can_be_used() -> Outcome {
    let file = tempfile::NamedTempFile::new()?;
    fs::write(file.path(), "[users]\ntop = 5\n")?;
    let path = file.path().to_string_lossy().into_owned();
    let (code, out, said) = check_config(&["--config", &path])?;
    assert_eq!((code, out, said.as_str()), (Some(0), format!("fine: {path}\n"), ""));
    let (code, effective, said) = check_config(&["--config", &path, "--effective", "--max-users", "9"])?;
    assert_eq!((code, said.as_str()), (Some(0), ""));
    assert!(effective.contains("top = 5  # line 2\n") && effective.contains("max_users = 9  # flag\n"), "{effective}");
    fs::write(file.path(), &effective)?;
    assert_eq!(check_config(&["--config", &path])?.0, Some(0));
    Ok(())
}

#[test]
fn files_of_the_web_server_are_read_too_and_all_their_mistakes_told_as_the_daemon_would() -> Outcome {
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name);
    fs::write(path("web.yml"), "tls_server_config:\n  cert_fil: a\n  key_file: missing.key\n")?;
    fs::write(
        path("auth.toml"),
        "mode = \"basic\"\n[jwt]\nissuers = []\naudiences = [\"a\"]\n[[jwt.keys]]\nalgorithm = \"none\"\nfile = \"k\"\n",
    )?;
    fs::write(path("uidmeter.toml"), "[users]\nnames = 2\n")?;
    let [config, web, auth] = ["uidmeter.toml", "web.yml", "auth.toml"].map(|name| path(name).display().to_string());
    let (code, out, said) = check_config(&["--config", &config, "--web.config.file", &web, "--web.auth-file", &auth])?;
    assert_eq!((code, out.as_str()), (Some(2), ""));
    let mut told: Vec<&str> = said.lines().map(|line| line.trim_start_matches("uidmeter: ")).collect();
    assert!(told.remove(0).starts_with(&format!("{config}:2: users.names is ")), "{said}");

    let mut wanted = Config::default().web;
    (wanted.config_file, wanted.auth_file) = (Some(path("web.yml")), Some(path("auth.toml")));
    let daemons = open(Settings::new(&wanted)?, Arc::new(Unheard)).err().ok_or("the daemon would start")?;
    assert_eq!(told, daemons.problems());
    for (file, mistake) in [(&web, "cert_fil"), (&auth, "issuers"), (&auth, "none")] {
        assert!(told.iter().any(|line| line.starts_with(file.as_str()) && line.contains(mistake)), "{mistake}: {said}");
    }
    // Whether the two fit together is not known.
    assert!(!said.contains("basic_auth_users"), "{said}");
    Ok(())
}

#[test]
fn files_that_fit_are_fine_and_what_is_unwise_in_them_is_told() -> Outcome {
    let folder = samples()?;
    let path = |name: &str| folder.path().join(name).display().to_string();
    let [empty, web, auth] = ["empty.toml", "basic.yml", "jwt.toml"].map(path);
    fs::write(&empty, "")?;
    let check =
        |more: &[&str]| check_config(&[&["--config", &empty, "--web.listen-address", "0.0.0.0:9101"], more].concat());
    let both = ["--web.config.file", &*web, "--web.auth-file", &*auth];
    let fine = format!("fine: {empty}\nfine: {web}\nfine: {auth}\n");
    let (code, out, said) = check(&both)?;
    assert!(code == Some(0) && out.ends_with(&fine) && said.is_empty(), "{out}{said}");
    assert!(out.starts_with(&format!("warning: {web}:7: everybody on this host can read the hashes")), "{out}");
    fs::set_permissions(&web, fs::Permissions::from_mode(0o640))?;
    assert_eq!(check(&both)?, (Some(0), fine.clone(), String::new()));
    let jwt = fs::read_to_string(&auth)?;
    fs::write(&auth, format!("mode = \"basic\"\n{jwt}"))?;
    let warning = format!("warning: {auth}:1: mode basic leaves [jwt] unused\n");
    assert_eq!(check(&both)?, (Some(0), format!("{warning}{fine}"), String::new()));
    Ok(())
}

#[test]
fn what_would_be_open_to_the_network_is_told_once() -> Outcome {
    let folder = samples()?;
    let path = |name: &str| folder.path().join(name).display().to_string();
    let [empty, tls] = ["empty.toml", "tls.yml"].map(path);
    fs::write(&empty, "")?;
    // Encrypted for everybody, or with nothing at all.
    for web in [&["--web.config.file", &*tls][..], &[]] {
        let address = ["--config", &*empty, "--web.listen-address", "192.0.2.1:9101"];
        let (code, out, said) = check_config(&[&address[..], web].concat())?;
        assert_eq!((code, out.as_str(), said.lines().count()), (Some(2), "", 1), "{said}");
        assert!(said.contains("network") && said.contains("192.0.2.1:9101"), "{said}");
    }
    Ok(())
}

#[test]
fn the_policy_is_read_too() -> Outcome {
    let folder = tempfile::tempdir()?;
    let policy = folder.path().join("policy.toml");
    fs::write(&policy, "[[rule]]\nname = 1\n[users]\nmin_uidd = 5\n")?;
    let path = policy.display().to_string();
    let arguments = ["--users.top=x", "--limits.policy-file", &path];
    let (code, out, said) = check_config(&arguments)?;
    assert_eq!((code, out.as_str()), (Some(2), ""));
    assert!(said.contains("--users.top") && said.contains("min_uid") && said.contains(&format!("{path}:2:")), "{said}");
    fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/policy/build-server.toml"), &policy)?;
    let (code, out, said) = check_config(&arguments[1..])?;
    assert_eq!((code, said.as_str()), (Some(0), ""));
    assert!(out.contains(&format!("fine: {path}\n")), "{out}");
    Ok(())
}

#[test]
fn the_push_is_checked_with_its_files() -> Outcome {
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name);
    let sample = include_str!("../../packaging/config/push.toml");
    let here = sample.replace("/etc/uidmeter", &folder.path().display().to_string());
    fs::write(path("push.toml"), here)?;
    let config = path("push.toml").display().to_string();
    // Whoever runs this, the files are his.
    let user = nix::unistd::User::from_uid(nix::unistd::geteuid())?.ok_or("nobody")?.name;
    let check = |more: &[&str]| check_config(&[&["--config", &config, "--process.user", &user], more].concat());
    let (code, out, said) = check(&[])?;
    assert_eq!((code, out.as_str(), said.lines().count()), (Some(2), "", 3), "{said}");
    let made = rcgen::generate_simple_self_signed(["host1.example".to_owned()])?;
    fs::write(path("hub-ca.crt"), made.cert.pem())?;
    fs::write(path("push.crt"), made.cert.pem())?;
    fs::write(path("push.key"), made.signing_key.serialize_pem())?;
    let (code, _, said) = check(&[])?;
    assert!(code == Some(2) && said.contains("push.key is open to others (mode 0644)"), "{said}");
    fs::set_permissions(path("push.key"), fs::Permissions::from_mode(0o600))?;
    assert_eq!(check(&[])?, (Some(0), format!("fine: {config}\n"), String::new()));
    let (code, _, said) = check(&["--push.label", "uid=7"])?;
    assert!(code == Some(2) && said.contains("push.labels has uid"), "{said}");
    let (code, _, said) = check(&["--push.url", "http://hub.example/"])?;
    assert!(code == Some(2) && said.contains("--push.url is \"http://hub.example/\", but must be"), "{said}");
    let (code, _, said) = check(&["--push.queue-folder", &config])?;
    assert!(code == Some(2) && said.contains("is not a folder"), "{said}");
    Ok(())
}
