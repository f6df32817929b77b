//! Credentials and reloads together: what is removed stops working at once, over open connections, too.

use std::{error::Error, fs, sync::Arc};

use collector::export::http::Address;

use crate::{
    Outcome,
    rig::{BOTH, Rig, ask, ask_with, rest, start},
};

/// One user. The cost is the lowest that bcrypt has: this is about what happens around it.
fn user(name: &str, password: &str) -> Result<String, Box<dyn Error>> {
    Ok(format!("  {name}: {}\n", bcrypt::hash(password, 4)?))
}

fn basic(name: &str, password: &str) -> String {
    let login = format!("{name}:{password}");
    format!("Authorization: Basic {}\r\n", base64::Engine::encode(&base64::engine::general_purpose::STANDARD, login))
}

/// The configuration with further lines after `tls_server_config`.
fn extend(rig: &Rig, lines: &str) -> Outcome {
    rig.write_config("")?;
    let config = fs::read_to_string(rig.path("web.yml"))?;
    rig.write_key("web.yml", &format!("{config}{lines}"))?;
    Ok(())
}

#[tokio::test]
async fn a_connection_of_a_user_who_is_removed_ends_and_those_of_others_go_on() -> Outcome {
    let rig = Rig::new("")?;
    let (one, other) = (user("one", "first")?, user("other", "second")?);
    extend(&rig, &format!("basic_auth_users:\n{one}{other}"))?;
    let server = rig.start()?;
    let client = Arc::new(rig.client(BOTH, None)?);
    let mut connections =
        [server.connect(&client).await?, server.connect(&client).await?, server.connect(&client).await?];
    assert_eq!(ask_with(&mut connections[0], &basic("one", "first")).await?, 200);
    assert_eq!(ask_with(&mut connections[1], &basic("other", "second")).await?, 200);
    assert_eq!(ask(&mut connections[2]).await?, 401);
    extend(&rig, &format!("basic_auth_users:\n{other}"))?;
    server.reloader.reload()?;
    assert_eq!(rest(&mut connections[0]).await?, b"");
    assert_eq!(ask_with(&mut connections[1], &basic("other", "second")).await?, 200);
    // Who has not come in with anything has nothing to lose.
    assert_eq!(ask_with(&mut connections[2], &basic("one", "first")).await?, 401);
    // After a reload, new connections are as good as before.
    let mut new = server.connect(&client).await?;
    for _ in 0..2 {
        assert_eq!(ask(&mut new).await?, 401);
        assert_eq!(ask_with(&mut new, &basic("other", "second")).await?, 200);
    }
    server.stop().await
}

#[tokio::test]
async fn headers_are_on_every_answer_and_strict_transport_security_only_if_configured() -> Outcome {
    let rig = Rig::new("")?;
    let users = user("one", "first")?;
    let asked = |rig: &Rig| {
        let started = rig.start();
        let client = rig.client(BOTH, None);
        async move {
            let server = started?;
            let mut connection = server.connect(&Arc::new(client?)).await?;
            tokio::io::AsyncWriteExt::write_all(
                &mut connection,
                b"GET / HTTP/1.1\r\nConnection: close\r\nHost: x\r\n\r\n",
            )
            .await?;
            let text = String::from_utf8(rest(&mut connection).await?)?.to_ascii_lowercase();
            server.stop().await?;
            Ok::<_, Box<dyn Error>>(text)
        }
    };
    extend(&rig, &format!("basic_auth_users:\n{users}"))?;
    let without = asked(&rig).await?;
    assert!(without.starts_with("http/1.1 401") && without.contains("\r\nwww-authenticate: basic"), "{without}");
    assert!(!without.contains("strict-transport-security"), "{without}");
    extend(
        &rig,
        &format!(
            "http_server_config:\n  headers:\n    Strict-Transport-Security: max-age=60\nbasic_auth_users:\n{users}"
        ),
    )?;
    let with = asked(&rig).await?;
    assert!(with.contains("\r\nstrict-transport-security: max-age=60\r\n"), "{with}");
    Ok(())
}

#[tokio::test]
async fn a_rate_limit_bounds_those_who_were_let_in() -> Outcome {
    let rig = Rig::new("")?;
    let users = user("one", "first")?;
    extend(&rig, &format!("rate_limit:\n  interval: 1h\n  burst: 2\nbasic_auth_users:\n{users}"))?;
    let server = rig.start()?;
    let mut connection = server.connect(&Arc::new(rig.client(BOTH, None)?)).await?;
    for expected in [401, 401, 401] {
        assert_eq!(ask(&mut connection).await?, expected);
    }
    for expected in [200, 200, 429] {
        assert_eq!(ask_with(&mut connection, &basic("one", "first")).await?, expected);
    }
    // A reload of the same limit does not fill the bucket.
    server.reloader.reload()?;
    assert_eq!(ask_with(&mut connection, &basic("one", "first")).await?, 429);
    server.stop().await
}

#[tokio::test]
async fn a_reload_cannot_open_to_the_network_what_was_guarded() -> Outcome {
    let rig = Rig::new("")?;
    extend(&rig, &format!("basic_auth_users:\n{}", user("one", "first")?))?;
    let server = start(rig.settings(vec![Address::Tcp(([0, 0, 0, 0], 0).into())]))?;
    rig.write_config("")?;
    let problem = server.reloader.reload().err().ok_or("reloaded")?.to_string();
    assert!(problem.contains("open to the network"), "{problem}");
    assert_eq!(server.reloads(), (0, 1));
    server.stop().await?;
    // Nor can it be started like that.
    assert!(start(rig.settings(vec![Address::Tcp(([0, 0, 0, 0], 0).into())])).is_err());
    Ok(())
}

/// As an editor or a copy leaves it that was interrupted: after each of its bytes.
#[tokio::test]
async fn a_file_that_was_cut_off_anywhere_lets_nobody_in() -> Outcome {
    let rig = Rig::new("")?;
    extend(&rig, &format!("basic_auth_users:\n{}", user("one", "first")?))?;
    let mut server = start(rig.settings(vec![Address::Tcp(([0, 0, 0, 0], 0).into())]))?;
    let whole = fs::read(rig.path("web.yml"))?;
    let client = Arc::new(rig.client(BOTH, None)?);
    let mut taken = Vec::new();
    for end in 0..=whole.len() {
        fs::write(rig.path("web.yml"), &whole[..end])?;
        if server.reloader.reload().is_ok() {
            taken.push(end);
        }
    }
    // Without the newline at its end it says the same.
    assert_eq!(taken, [whole.len() - 1, whole.len()]);
    server.address.set_ip([127, 0, 0, 1].into());
    let mut connection = server.connect(&client).await?;
    assert_eq!(ask(&mut connection).await?, 401);
    assert_eq!(ask_with(&mut connection, &basic("one", "first")).await?, 200);
    server.stop().await
}
