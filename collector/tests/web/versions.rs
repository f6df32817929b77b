//! Versions and what is not TLS at all.

use std::sync::Arc;

use rustls::version::{TLS12, TLS13};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::{
    Outcome,
    rig::{HANGS, Rig, rest},
};

#[tokio::test]
async fn only_configured_versions_are_spoken() -> Outcome {
    for (versions, speaks_12, speaks_13) in [
        ("", true, true),
        ("min_version: TLS13", false, true),
        ("max_version: TLS12", true, false),
        ("min_version: TLS12\nmax_version: TLS12", true, false),
    ] {
        let rig = Rig::new(versions)?;
        let server = rig.start()?;
        for (version, expected) in [(&TLS12, speaks_12), (&TLS13, speaks_13)] {
            let client = Arc::new(rig.client(&[version], None)?);
            assert_eq!(server.healthy(&client).await.is_ok(), expected, "{versions} {version:?}");
        }
        server.stop().await?;
    }
    Ok(())
}

#[tokio::test]
async fn suites_and_curves_are_those_configured() -> Outcome {
    let rig = Rig::new(
        "max_version: TLS12\ncipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384]\ncurve_preferences: [CurveP384]",
    )?;
    let server = rig.start()?;
    let connection = server.connect(&Arc::new(rig.client(&[&TLS12], None)?)).await?;
    let (_, session) = connection.get_ref();
    assert_eq!(
        session.negotiated_cipher_suite().map(|suite| suite.suite()),
        Some(rustls::CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384)
    );
    assert_eq!(
        session.negotiated_key_exchange_group().map(rustls::crypto::SupportedKxGroup::name),
        Some(rustls::NamedGroup::secp384r1)
    );
    server.stop().await
}

/// A `ClientHello` of TLS 1.1 (RFC 4346 section 7.4.1.2) with one usual suite.
fn hello_11(extensions: &[u8]) -> Vec<u8> {
    let length = |bytes: &[u8]| u8::try_from(bytes.len()).unwrap_or_default();
    let body = [&[3, 2][..], &[7; 32], &[0, 0, 2, 0xc0, 0x13, 1, 0], extensions].concat();
    let message = [&[1, 0, 0, length(&body)][..], &body].concat();
    [&[22, 3, 1, 0, length(&message)][..], &message].concat()
}

/// `signature_algorithms` (RFC 5246 section 7.4.1.4.1) with one algorithm, which a client that also speaks TLS 1.2 sends.
const SIGNATURES: [u8; 10] = [0, 8, 0, 13, 0, 4, 0, 2, 4, 3];

#[tokio::test]
async fn tls_1_1_is_refused_with_an_alert() -> Outcome {
    let rig = Rig::new("")?;
    let server = rig.start()?;
    // Fatal alerts: handshake_failure, and protocol_version for clients whose reason it can only be.
    for (extensions, alert) in [(&[][..], 40), (&SIGNATURES, 70)] {
        let mut stream = TcpStream::connect(server.address).await?;
        stream.write_all(&hello_11(extensions)).await?;
        let told = rest(&mut stream).await?;
        assert!(matches!(told[..], [21, 3, _, 0, 2, 2, told] if told == alert), "{told:?}");
    }
    server.stop().await
}

#[tokio::test]
async fn plain_http_on_the_tls_port_is_told_so_in_plain_http() -> Outcome {
    let rig = Rig::new("")?;
    let server = rig.start()?;
    for request in ["GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "HEAD", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let mut stream = TcpStream::connect(server.address).await?;
        stream.write_all(request.as_bytes()).await?;
        let told = String::from_utf8(rest(&mut stream).await?)?;
        assert!(told.starts_with("HTTP/1.0 400 Bad Request\r\n"), "{told}");
        assert!(told.ends_with("\r\n\r\nthis port speaks HTTPS: use https:// instead of http://\n"), "{told}");
    }
    server.stop().await
}

#[tokio::test]
async fn what_is_neither_ends_at_once() -> Outcome {
    let rig = Rig::new("")?;
    let server = rig.start()?;
    for nonsense in [&[0_u8; 64][..], &[22, 3, 1, 255, 255, 1, 1, 1, 1], b"\x80\x2e\x01\x03\x01"] {
        let mut stream = TcpStream::connect(server.address).await?;
        stream.write_all(nonsense).await?;
        stream.shutdown().await?;
        let mut told = Vec::new();
        let _ = timeout(HANGS, stream.read_to_end(&mut told)).await?;
        assert!(!told.starts_with(b"HTTP"), "{told:?}");
    }
    let client = Arc::new(rig.client(&[&TLS13], None)?);
    assert_eq!(server.healthy(&client).await?, 200);
    server.stop().await
}
