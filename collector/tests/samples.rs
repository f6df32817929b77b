//! What is shipped as an example is what the daemon accepts.

#[path = "support/samples.rs"]
mod support;

use std::{error::Error, fs, path::Path};

use collector::export::{
    auth::{Mode, Settings},
    web_config::WebConfig,
};
use support::samples;

type Outcome = Result<(), Box<dyn Error>>;

#[test]
fn every_sample_is_accepted_and_may_leave_loopback() -> Outcome {
    let folder = samples()?;
    let mut tried = Vec::new();
    for (web, auth, mode) in [
        ("tls.yml", Some("jwt.toml"), Mode::Jwt),
        ("basic.yml", None, Mode::Basic),
        ("basic.yml", Some("permissions.toml"), Mode::Basic),
        ("basic.yml", Some("jwt.toml"), Mode::Both),
        ("mtls.yml", None, Mode::None),
        ("mtls.yml", Some("permissions.toml"), Mode::None),
        ("mtls.yml", Some("jwt.toml"), Mode::Jwt),
        ("mtls-basic.yml", None, Mode::Basic),
        ("certificate-or-basic.yml", Some("sufficient.toml"), Mode::Basic),
    ] {
        let config = WebConfig::load(&folder.path().join(web)).map_err(|error| format!("{web}: {error}"))?;
        let path = auth.map(|name| folder.path().join(name));
        let settings = Settings::load(&config, path.as_deref()).map_err(|error| format!("{web} {auth:?}: {error}"))?;
        assert_eq!(settings.mode, mode, "{web} {auth:?}");
        assert!(settings.may_listen("192.0.2.1:9101".parse()?, config.tls.is_some()).is_ok(), "{web} {auth:?}");
        tried.extend([Some(web), auth].into_iter().flatten());
    }
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/web"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        assert!(name == "README.md" || tried.contains(&&*name), "{name} is not tried here");
    }
    Ok(())
}
