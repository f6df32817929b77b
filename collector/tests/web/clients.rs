//! The five kinds of client authentication against every kind of certificate.

use std::{error::Error, sync::Arc, time::Duration};

use rustls::version::{TLS12, TLS13};
use tokio::time::Instant;

use crate::{
    Outcome,
    certificates::{Authority, Pair},
    rig::{BOTH, Rig, ask, rest},
};

const CA: &str = "client_ca_file: clients.pem";

type Candidate = (&'static str, Option<Pair>);

/// Who tries, in the order of the table below.
fn candidates(rig: &Rig) -> Result<[Candidate; 4], Box<dyn Error>> {
    Ok([
        ("nobody", None),
        ("good", Some(rig.clients.client(&["prom.example.org"])?)),
        ("wrong CA", Some(Authority::new("clients")?.client(&["prom.example.org"])?)),
        ("expired", Some(rig.clients.client_for(&["prom.example.org"], Duration::ZERO)?)),
    ])
}

#[tokio::test]
async fn each_kind_of_client_authentication_lets_in_whom_its_name_says() -> Outcome {
    for (kind, needs_ca, expected) in [
        ("NoClientCert", false, [true; 4]),
        ("RequestClientCert", false, [true; 4]),
        ("RequireAnyClientCert", false, [false, true, true, true]),
        ("VerifyClientCertIfGiven", true, [true, true, false, false]),
        ("RequireAndVerifyClientCert", true, [false, true, false, false]),
    ] {
        let ca = if needs_ca { CA } else { "" };
        let rig = Rig::new(&format!("client_auth_type: {kind}\n{ca}"))?;
        let server = rig.start()?;
        for (version, name) in [(&TLS13, "1.3"), (&TLS12, "1.2")] {
            for ((who, pair), expected) in candidates(&rig)?.into_iter().zip(expected) {
                let client = Arc::new(rig.client(&[version], pair.as_ref())?);
                let told = server.healthy(&client).await;
                assert_eq!(told.is_ok(), expected, "{kind} {who} {name} {told:?}");
                // TLS lets in who shows nothing; but nothing else asks who it is.
                let status = if kind == "VerifyClientCertIfGiven" && who == "nobody" { 401 } else { 200 };
                assert!(told.is_err() || told.is_ok_and(|told| told == status), "{kind} {who} {name}");
            }
        }
        server.stop().await?;
    }
    Ok(())
}

async fn admitted(allowed: &str, names: &[&str]) -> Result<bool, Box<dyn Error>> {
    let rig =
        Rig::new(&format!("client_auth_type: RequireAndVerifyClientCert\n{CA}\nclient_allowed_sans: [{allowed}]"))?;
    let server = rig.start()?;
    let pair = rig.clients.client(names)?;
    let client = Arc::new(rig.client(BOTH, Some(&pair))?);
    let told = server.healthy(&client).await;
    server.stop().await?;
    Ok(told.is_ok())
}

#[tokio::test]
async fn a_certificate_must_have_an_allowed_name() -> Outcome {
    for (allowed, name, expected) in [
        ("prom.example.org", "prom.example.org", true),
        ("prom.example.org", "Prom.EXAMPLE.org", true),
        ("prom.example.org", "other.example.org", false),
        ("'2001:db8:0::A'", "2001:db8::a", true),
        ("'2001:db8::b'", "2001:db8::a", false),
        ("10.0.0.1", "10.0.0.1", true),
        // A name that a certificate for many hosts covers is not the name of one of them, nor the other way round.
        ("prom.example.org", "*.example.org", false),
        ("'*.example.org'", "prom.example.org", false),
        ("'*.example.org'", "*.example.org", true),
        ("ops@example.org", "ops@EXAMPLE.org", true),
        ("'spiffe://example.org/prom'", "spiffe://example.org/prom", true),
        ("'spiffe://example.org/prom'", "spiffe://example.org/other", false),
    ] {
        assert_eq!(admitted(allowed, &[name]).await?, expected, "{allowed} {name}");
    }
    assert!(admitted("a.example, b.example", &["x.example", "b.example"]).await?);
    assert!(!admitted("a.example", &[]).await?, "no name at all");
    Ok(())
}

#[tokio::test]
async fn allowed_names_do_not_make_an_optional_certificate_required_or_the_server_fall() -> Outcome {
    let rig = Rig::new(&format!("client_auth_type: VerifyClientCertIfGiven\n{CA}\nclient_allowed_sans: [a.example]"))?;
    let server = rig.start()?;
    for (pair, expected) in
        [(None, true), (Some(rig.clients.client(&["a.example"])?), true), (Some(rig.clients.client(&["b"])?), false)]
    {
        let client = Arc::new(rig.client(BOTH, pair.as_ref())?);
        assert_eq!(server.healthy(&client).await.is_ok(), expected);
    }
    server.stop().await
}

#[tokio::test]
async fn a_connection_ends_with_its_clients_certificate() -> Outcome {
    let rig = Rig::new(&format!("client_auth_type: RequireAndVerifyClientCert\n{CA}"))?;
    let server = rig.start()?;
    let validity = Duration::from_secs(3);
    let pair = rig.clients.client_for(&["a"], validity)?;
    let begun = Instant::now();
    let mut connections = Vec::new();
    for version in [&TLS13, &TLS12] {
        let client = Arc::new(rig.client(&[version], Some(&pair))?);
        let mut connection = server.connect(&client).await?;
        assert_eq!(ask(&mut connection).await?, 200);
        connections.push((connection, client));
    }
    for (connection, client) in &mut connections {
        assert_eq!(rest(connection).await?, b"");
        assert!(begun.elapsed() < validity + Duration::from_secs(1), "{:?}", begun.elapsed());
        // Neither a new session nor a resumed one.
        assert!(server.healthy(client).await.is_err());
    }
    // A certificate's times are whole seconds.
    assert!(begun.elapsed() + Duration::from_secs(1) > validity, "{:?}", begun.elapsed());
    server.stop().await
}
