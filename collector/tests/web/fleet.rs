//! `uidmeter fleet verify` with real servers: what is wrong with a host is told, and what a host says can do no harm.

use std::{
    error::Error,
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use collector::{
    export::http::Address,
    fleet::{
        FleetError,
        ask::AskFlags,
        inventory::SourceFlags,
        verify::{Verified, VerifyFlags, run},
    },
};
use serde_json::Value;
use tokio::time::timeout;

use crate::{
    Outcome,
    certificates::Authority,
    rig::{HANGS, Rig, start},
};

/// As asked for on the command line, of the hosts in `folder`.
pub(crate) fn ask_flags(ca: Option<PathBuf>) -> AskFlags {
    AskFlags {
        plain: ca.is_none(),
        ca,
        cert: None,
        key: None,
        metrics_path: "/metrics".into(),
        timeout: Duration::from_secs(1),
        jobs: 8,
    }
}

/// A host list.
pub(crate) fn sources(folder: &Path, hosts: &[String]) -> Result<SourceFlags, Box<dyn Error>> {
    let path = folder.join("hosts");
    fs::write(&path, hosts.join("\n"))?;
    Ok(SourceFlags { hosts: Some(path), port: 9101, ..SourceFlags::default() })
}

fn flags(folder: &Path, hosts: &[String], ca: Option<PathBuf>) -> Result<VerifyFlags, Box<dyn Error>> {
    Ok(VerifyFlags {
        sources: sources(folder, hosts)?,
        file_sd: None,
        ask: ask_flags(ca),
        token_file: None,
        user: None,
        password_file: None,
        warn_days: 1,
        max_skew: Duration::from_secs(5),
        json: true,
    })
}

/// Verifies beside the servers of this test.
async fn verified(flags: &VerifyFlags) -> Result<Verified, Box<dyn Error>> {
    let flags = flags.clone();
    let verifying = tokio::task::spawn_blocking(move || run(&flags, None, &mut |_, _| {}));
    Ok(timeout(HANGS, verifying).await???)
}

/// The findings by target, and whether all are healthy.
async fn findings(flags: &VerifyFlags) -> Result<(Vec<Value>, bool), Box<dyn Error>> {
    let verified = verified(flags).await?;
    let report: Value = serde_json::from_str(&verified.text)?;
    Ok((report["findings"].as_array().cloned().unwrap_or_default(), verified.healthy))
}

/// What is wrong with a single host, and what was found.
async fn finding(flags: &VerifyFlags) -> Result<(String, Value), Box<dyn Error>> {
    let (findings, healthy) = findings(flags).await?;
    let [finding] = <[Value; 1]>::try_from(findings).map_err(|all| format!("{} findings", all.len()))?;
    assert_eq!(finding["healthy"], Value::Bool(healthy));
    assert_eq!(finding["problems"].as_array().is_some_and(Vec::is_empty), healthy, "{finding}");
    Ok((finding["problems"].to_string(), finding))
}

fn secret(path: &Path, text: &str) -> Outcome {
    use std::os::unix::fs::PermissionsExt as _;
    fs::write(path, text)?;
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o600))?)
}

#[tokio::test]
async fn a_host_that_is_well_is_healthy_and_one_that_refuses_the_password_is_not() -> Outcome {
    let rig = Rig::new("")?;
    let mut text = fs::read_to_string(rig.path("web.yml"))?;
    // The password is "change-me", as in packaging/web/basic.yml.
    text.push_str("basic_auth_users:\n  prometheus: $2y$10$SjSYx8SSIfwNl.D/PZFSG.CY5YMxuqTfTm74hmmuUQO1bTZsaAdN2\n");
    fs::write(rig.path("web.yml"), text)?;
    fs::write(rig.path("ca.pem"), rig.servers.pem())?;
    let server = rig.start()?;
    let mut flags = flags(rig.folder.path(), &[server.address.to_string()], Some(rig.path("ca.pem")))?;
    flags.ask.timeout = HANGS;
    let (problems, found) = finding(&flags).await?;
    assert!(problems.contains("refuses the credentials (401)"), "{problems}");
    assert_eq!((&found["version"], &found["ready"]), (&Value::Null, &Value::Null));
    secret(&rig.path("password"), "change-me\n")?;
    (flags.user, flags.password_file) = (Some("prometheus".into()), Some(rig.path("password")));
    let (_, found) = finding(&flags).await?;
    assert_eq!(found["healthy"], true, "{found}");
    assert_eq!((&found["version"], &found["ready"]), (&env!("CARGO_PKG_VERSION").into(), &true.into()));
    assert_eq!((&found["clock_skew_seconds"], &found["status"]), (&0.into(), &200.into()));
    assert_eq!(found["certificate_days"], 1);
    assert!(found["answer_seconds"].as_f64().is_some_and(|seconds| seconds > 0.0), "{found}");
    secret(&rig.path("password"), "wrong")?;
    assert!(finding(&flags).await?.0.contains("refuses the credentials"));
    // The certificate has two days.
    secret(&rig.path("password"), "change-me")?;
    flags.warn_days = 3;
    let (problems, _) = finding(&flags).await?;
    assert!(problems.contains("ends in 1 days"), "{problems}");
    server.stop().await
}

#[tokio::test]
async fn a_certificate_that_is_not_believed_is_told_apart_and_gets_no_credential() -> Outcome {
    let rig = Rig::new("")?;
    fs::write(rig.path("ca.pem"), rig.servers.pem())?;
    fs::write(rig.path("other.pem"), Authority::new("other")?.pem())?;
    secret(&rig.path("token"), "secret")?;
    let server = rig.start()?;
    let ours = server.address.to_string();
    for (host, ca, expected) in [
        (ours.clone(), "other.pem", "is of a CA that is not trusted here"),
        (ours.replace("127.0.0.1", "127.0.0.2"), "ca.pem", "cannot be connected to"),
    ] {
        let mut flags = flags(rig.folder.path(), &[host], Some(rig.path(ca)))?;
        flags.token_file = Some(rig.path("token"));
        let (problems, found) = finding(&flags).await?;
        assert!(problems.contains(expected), "{found}");
        assert_eq!(found["status"], Value::Null);
    }
    rig.write_server(&rig.servers.client_for(&["127.0.0.1"], Duration::ZERO)?)?;
    server.stop().await?;
    let expired = rig.start()?;
    let flags = flags(rig.folder.path(), &[expired.address.to_string()], Some(rig.path("ca.pem")))?;
    let (problems, found) = finding(&flags).await?;
    assert!(problems.contains("has a certificate that has expired"), "{found}");
    assert_eq!((&found["certificate_days"], &found["certificate_valid"]), (&(-1).into(), &false.into()));
    expired.stop().await
}

#[tokio::test]
async fn a_client_certificate_is_shown_to_hosts_that_want_one() -> Outcome {
    let rig = Rig::new("client_auth_type: RequireAndVerifyClientCert\nclient_ca_file: clients.pem")?;
    fs::write(rig.path("ca.pem"), rig.servers.pem())?;
    let pair = rig.clients.client(&["prometheus.example"])?;
    fs::write(rig.path("client.pem"), pair.certificate.pem())?;
    rig.write_key("client.key", &pair.key.serialize_pem())?;
    let server = rig.start()?;
    let mut flags = flags(rig.folder.path(), &[server.address.to_string()], Some(rig.path("ca.pem")))?;
    let (problems, found) = finding(&flags).await?;
    assert!(problems.contains("certificate required") || problems.contains("CertificateRequired"), "{found}");
    (flags.ask.cert, flags.ask.key) = (Some(rig.path("client.pem")), Some(rig.path("client.key")));
    assert_eq!(finding(&flags).await?.1["healthy"], true);
    server.stop().await
}

/// Every connection gets `answer` written again and again until the client has had enough.
fn hostile(answer: impl Fn(&mut TcpStream) -> std::io::Result<()> + Send + 'static) -> Result<String, Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    // Ends with the process: it waits for clients, and for nothing else.
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.set_read_timeout(Some(HANGS));
            let _ = stream.read(&mut [0; 4096]);
            // An error is a client that has gone.
            let _ = answer(&mut stream);
        }
    });
    Ok(address.to_string())
}

fn page(head: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\n{head}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

#[tokio::test]
async fn no_host_can_hang_exhaust_or_garble_us() -> Outcome {
    let folder = tempfile::tempdir()?;
    let endless = |begin: &'static str, more: &'static str| {
        move |stream: &mut TcpStream| {
            stream.write_all(begin.as_bytes())?;
            let more = more.repeat(1000);
            loop {
                stream.write_all(more.as_bytes())?;
            }
        }
    };
    let escape = "uidmeter_build_info{version=\"\u{1b}[2J\u{1b}]0;x\u{7}\u{202e}\"} 1\n";
    let cases: Vec<(String, &str)> = vec![
        (hostile(endless("HTTP/1.1 200 OK\r\nX: ", "a"))?, "does not answer as an HTTP server should"),
        (hostile(endless("HTTP/1.1 200 OK\r\n", "X: a\r\n"))?, "does not answer as an HTTP server should"),
        (hostile(endless("", "HTTP/1.1 100 Continue\r\n\r\n"))?, "sends far more than was asked for"),
        (hostile(endless("HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n", "x"))?, "answers with more than"),
        (
            hostile(endless("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "4\r\nxxxx\r\n"))?,
            "sends far more than was asked for",
        ),
        (
            hostile(|stream| {
                stream.read_to_end(&mut Vec::new())?;
                Ok(())
            })?,
            "has not answered within 4s: it stopped at its metrics",
        ),
        (
            hostile(|stream| {
                for byte in b"HTTP/1.1 200 OK\r\n".iter().cycle() {
                    stream.write_all(&[*byte])?;
                    thread::sleep(Duration::from_millis(100));
                }
                Ok(())
            })?,
            "has not answered within 4s",
        ),
        (hostile(|stream| stream.write_all(b"\x16\x03\x01 what?\r\n\r\n"))?, "does not answer as an HTTP server"),
        (hostile(|_| Ok(()))?, "does not answer as an HTTP server should"),
        (hostile(move |stream| stream.write_all(&page("", escape)))?, "answers, but not as uidmeter"),
        (hostile(|stream| stream.write_all(&page("", "<html>")))?, "answers, but not as uidmeter"),
        (hostile(|stream| stream.write_all(&page("Date: Tue, 01 Jan 2019 00:00:00 GMT\r\n", "")))?, "behind ours"),
        (TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string(), "cannot be connected to"),
    ];
    let rig = Rig::new("")?;
    fs::write(rig.path("web.yml"), "")?;
    let well = rig.start()?;
    let mut hosts: Vec<String> = cases.iter().map(|(host, _)| host.clone()).collect();
    hosts.push(well.address.to_string());
    let mut flags = flags(folder.path(), &hosts, None)?;
    flags.ask.timeout = Duration::from_secs(4);
    let (found, healthy) = findings(&flags).await?;
    assert!(!healthy && found.len() == hosts.len());
    for finding in &found {
        let target = finding["target"].as_str().unwrap_or_default();
        let problems = finding["problems"].to_string();
        match cases.iter().find(|(host, _)| host == target) {
            Some((_, expected)) => assert!(problems.contains(expected), "{expected}: {finding}"),
            None => assert_eq!(finding["healthy"], true, "{finding}"),
        }
    }
    flags.json = false;
    let table = verified(&flags).await?.text;
    assert!(table.ends_with("1 of 14 targets are healthy\n"), "{table}");
    assert!(table.chars().all(|letter| letter == '\n' || (' '..='~').contains(&letter)), "{table:?}");
    well.stop().await
}

#[tokio::test]
async fn credentials_go_nowhere_without_tls_but_to_this_machine() -> Outcome {
    let folder = tempfile::tempdir()?;
    secret(&folder.path().join("token"), "secret")?;
    // Documentation addresses (RFC 5737) lead nowhere, and nobody tries.
    let mut flags = flags(folder.path(), &["192.0.2.1".to_owned()], None)?;
    flags.token_file = Some(folder.path().join("token"));
    let (problems, found) = finding(&flags).await?;
    assert!(problems.contains("over TLS only") && found["reachable"] == false, "{found}");
    Ok(())
}

#[tokio::test]
async fn a_target_file_says_how_its_targets_are_asked() -> Outcome {
    let rig = Rig::new("")?;
    fs::write(rig.path("web.yml"), "")?;
    let address = Address::Tcp(SocketAddr::from(([127, 0, 0, 1], 0)));
    let mut settings = rig.settings(vec![address]);
    settings.telemetry_path = collector::export::http::TelemetryPath::new("/own/metrics")?;
    let server = start(settings)?;
    let targets = rig.path("targets.json");
    let mut flags = flags(rig.folder.path(), &[], None)?;
    (flags.sources.hosts, flags.file_sd) = (None, Some(targets.clone()));
    for (labels, expected) in [
        ("{\"__metrics_path__\": \"/own/metrics\"}", ""),
        ("{}", "has no metrics there (404)"),
        ("{\"__metrics_path__\": \"/a?b\"}", "could not be asked"),
        ("{\"__scheme__\": \"https\"}", "--plain speaks no TLS"),
    ] {
        fs::write(&targets, format!("[{{\"targets\": [\"{}\"], \"labels\": {labels}}}]", server.address))?;
        let (problems, found) = finding(&flags).await?;
        assert!(problems.contains(expected) && found["healthy"] == expected.is_empty(), "{labels}: {found}");
    }
    fs::write(&targets, "[{\"targets\": [\"a:1\"]}, // no\n]")?;
    let refused = run(&flags, None, &mut |_, _| {}).err();
    assert!(matches!(refused, Some(FleetError::Input(said)) if said.contains("targets.json:1: ")));
    server.stop().await
}
