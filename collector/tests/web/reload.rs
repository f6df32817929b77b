//! Files that change while the server runs.

use std::{
    fs,
    os::unix::fs::symlink,
    sync::Arc,
    time::{Duration, SystemTime},
};

use rustls::{HandshakeKind, pki_types::CertificateDer};
use tokio::time::{Instant, sleep};

use crate::{
    Outcome,
    certificates::Authority,
    rig::{BOTH, HANGS, Rig, Running, ask, rest},
};

const MUTUAL: &str = "client_auth_type: RequireAndVerifyClientCert\nclient_ca_file: clients.pem";

/// What the server shows to a new client.
async fn shown(rig: &Rig, server: &Running) -> Result<CertificateDer<'static>, Box<dyn std::error::Error>> {
    let connection = server.connect(&Arc::new(rig.client(BOTH, None)?)).await?;
    let (_, session) = connection.get_ref();
    Ok(session.peer_certificates().and_then(|chain| chain.first()).ok_or("no certificate")?.clone().into_owned())
}

/// Waits until the watcher has acted.
async fn noticed(server: &Running, reloads: (usize, usize)) -> Outcome {
    let begun = Instant::now();
    while server.reloads() != reloads {
        if begun.elapsed() > HANGS {
            return Err(format!("{:?} instead of {reloads:?}", server.reloads()).into());
        }
        sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

#[tokio::test]
async fn a_certificate_behind_a_link_that_is_swapped_is_noticed() -> Outcome {
    let rig = Rig::new("")?;
    let next = rig.servers.server()?;
    // As Kubernetes does it: a folder for each generation, and one link that is renamed.
    for (name, pair) in [("one", rig.servers.server()?), ("two", next)] {
        fs::create_dir(rig.path(name))?;
        fs::write(rig.path(name).join("server.pem"), pair.certificate.pem())?;
        rig.write_key(&format!("{name}/server.key"), &pair.key.serialize_pem())?;
    }
    for file in ["server.pem", "server.key"] {
        fs::remove_file(rig.path(file))?;
        symlink(format!("now/{file}"), rig.path(file))?;
    }
    symlink("one", rig.path("now"))?;
    let server = rig.start()?;
    let first = shown(&rig, &server).await?;
    symlink("two", rig.path("next"))?;
    fs::rename(rig.path("next"), rig.path("now"))?;
    noticed(&server, (1, 0)).await?;
    assert_ne!(shown(&rig, &server).await?, first);
    server.stop().await
}

#[tokio::test]
async fn an_edit_that_leaves_the_time_alone_is_noticed() -> Outcome {
    let rig = Rig::new("")?;
    let server = rig.start()?;
    let first = shown(&rig, &server).await?;
    let times: Vec<SystemTime> = ["server.pem", "server.key"]
        .iter()
        .map(|file| fs::metadata(rig.path(file))?.modified())
        .collect::<Result<_, _>>()?;
    rig.write_server(&rig.servers.server()?)?;
    for (file, time) in ["server.pem", "server.key"].iter().zip(times) {
        fs::File::options().write(true).open(rig.path(file))?.set_modified(time)?;
    }
    noticed(&server, (1, 0)).await?;
    assert_ne!(shown(&rig, &server).await?, first);
    server.stop().await
}

#[tokio::test]
async fn files_that_a_reload_names_for_the_first_time_are_watched_too() -> Outcome {
    let rig = Rig::new("client_auth_type: NoClientCert")?;
    let server = rig.start()?;
    let config = fs::read_to_string(rig.path("web.yml"))?;
    fs::rename(rig.path("server.pem"), rig.path("other.pem"))?;
    fs::write(rig.path("web.yml"), config.replace("server.pem", "other.pem"))?;
    server.reloader.reload()?;
    let whole = fs::read(rig.path("other.pem"))?;
    fs::write(rig.path("other.pem"), "nonsense")?;
    let begun = Instant::now();
    while server.reloads() == (1, 0) {
        assert!(begun.elapsed() < HANGS, "not noticed");
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(server.reloads().0, 1);
    fs::write(rig.path("other.pem"), whole)?;
    server.stop().await
}

#[tokio::test]
async fn broken_files_change_nothing_and_are_told_of() -> Outcome {
    let rig = Rig::new("")?;
    let server = rig.start()?;
    let first = shown(&rig, &server).await?;
    let (config, certificate) = (fs::read(rig.path("web.yml"))?, fs::read(rig.path("server.pem"))?);
    let foreign = rig.servers.server()?;
    let key = fs::read_to_string(rig.path("server.key"))?;
    for (file, broken, says) in [
        ("web.yml", &config[..config.len() / 2], "web.yml"),
        ("web.yml", b"tls_server_config: {cert_fil: x}\n", "cert_fil"),
        ("web.yml", b"", "tls"),
        ("server.pem", &certificate[..certificate.len() / 2], "server.pem"),
        ("server.pem", b"", "server.pem"),
        ("server.pem", foreign.certificate.pem().as_bytes(), "server.pem"),
        ("server.key", &key.as_bytes()[..key.len() / 2], "server.key"),
    ] {
        let whole = fs::read(rig.path(file))?;
        fs::write(rig.path(file), broken)?;
        let outcome = server.reloader.reload();
        if broken.is_empty() && file == "web.yml" {
            // Not broken but another configuration: plain HTTP, on the loopback address.
            assert!(outcome.is_ok(), "{outcome:?}");
        } else {
            let problems = outcome.err().ok_or(format!("{file} was taken"))?.to_string();
            assert!(problems.contains(says), "{problems}");
            assert!(!problems.contains("PRIVATE"), "{problems}");
            assert_eq!(shown(&rig, &server).await?, first);
        }
        fs::write(rig.path(file), whole)?;
        server.reloader.reload()?;
    }
    assert_eq!(shown(&rig, &server).await?, first);
    server.stop().await
}

#[tokio::test]
async fn a_key_of_another_certificate_is_refused_by_name_at_the_start() -> Outcome {
    let rig = Rig::new("")?;
    rig.write_key("server.key", &rig.servers.server()?.key.serialize_pem())?;
    let problem = rig.start().err().ok_or("it started")?.to_string();
    assert!(problem.contains("server.pem") && problem.contains("pair"), "{problem}");
    Ok(())
}

#[tokio::test]
async fn connections_go_on_if_nothing_of_theirs_has_changed_and_end_if_it_has() -> Outcome {
    let rig = Rig::new(MUTUAL)?;
    let server = rig.start()?;
    let pair = rig.clients.client(&["a.example"])?;
    let client = Arc::new(rig.client(BOTH, Some(&pair))?);
    let mut connection = server.connect(&client).await?;
    assert_eq!(ask(&mut connection).await?, 200);
    // Touched, and another section added.
    rig.write_config(&format!("{MUTUAL}\nmin_version: TLS12"))?;
    server.reloader.reload()?;
    assert_eq!(ask(&mut connection).await?, 200);
    // Another list of names.
    rig.write_config(&format!("{MUTUAL}\nclient_allowed_sans: [b.example]"))?;
    server.reloader.reload()?;
    assert_eq!(rest(&mut connection).await?, b"");
    assert!(server.healthy(&client).await.is_err());
    server.stop().await
}

#[tokio::test]
async fn a_connection_under_a_replaced_certificate_ends() -> Outcome {
    let rig = Rig::new("")?;
    let server = rig.start()?;
    let client = Arc::new(rig.client(BOTH, None)?);
    let mut connection = server.connect(&client).await?;
    assert_eq!(ask(&mut connection).await?, 200);
    rig.write_server(&rig.servers.server()?)?;
    server.reloader.reload()?;
    assert_eq!(rest(&mut connection).await?, b"");
    assert_eq!(server.healthy(&client).await?, 200);
    server.stop().await
}

#[tokio::test]
async fn a_session_cannot_be_resumed_once_its_authority_is_gone() -> Outcome {
    for version in BOTH {
        let rig = Rig::new(MUTUAL)?;
        let server = rig.start()?;
        let pair = rig.clients.client(&["a.example"])?;
        let client = Arc::new(rig.client(&[version], Some(&pair))?);
        let kind = |connection: &tokio_rustls::client::TlsStream<_>| connection.get_ref().1.handshake_kind();
        let mut first = server.connect(&client).await?;
        assert_eq!(ask(&mut first).await?, 200);
        let mut second = server.connect(&client).await?;
        assert_eq!(ask(&mut second).await?, 200);
        // Else the rest of this test shows nothing.
        assert_eq!(kind(&second), Some(HandshakeKind::Resumed), "{version:?}");
        fs::write(rig.path("clients.pem"), Authority::new("others")?.pem())?;
        server.reloader.reload()?;
        assert!(server.healthy(&client).await.is_err(), "{version:?}");
        assert_eq!(rest(&mut first).await?, b"");
        // Nor when it comes back: the session is forgotten.
        fs::write(rig.path("clients.pem"), rig.clients.pem())?;
        server.reloader.reload()?;
        let mut third = server.connect(&client).await?;
        assert_eq!(ask(&mut third).await?, 200);
        assert_eq!(kind(&third), Some(HandshakeKind::Full), "{version:?}");
        server.stop().await?;
    }
    Ok(())
}

#[tokio::test]
async fn the_end_of_the_certificate_is_known_and_follows_reloads() -> Outcome {
    let rig = Rig::new("")?;
    let server = rig.start()?;
    let hours =
        |hours: u64| SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map(|now| now.as_secs() + hours * 3600);
    let end = server.expiry.timestamp().and_then(|end| u64::try_from(end).ok()).ok_or("no end")?;
    assert!((hours(47)?..=hours(48)?).contains(&end), "{end}");
    fs::write(rig.path("web.yml"), "")?;
    server.reloader.reload()?;
    assert_eq!(server.expiry.timestamp(), None);
    server.stop().await
}
