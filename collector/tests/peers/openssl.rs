//! `openssl s_client`: handshakes as they are on the wire.

use std::{
    error::Error,
    io::Write as _,
    net::SocketAddr,
    process::{Command, Stdio},
};

use crate::{Outcome, host::Host, site::Site};

/// What came of a connection.
#[derive(Debug)]
struct Told {
    fine: bool,
    /// Its report, and what the server answered.
    out: String,
    said: String,
}

const REQUEST: &[u8] = b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
/// Anybody may ask for this, so that the handshake alone decides.
const OPEN_HEALTH: &str = "open_health = true\n";

fn s_client(site: &Site, address: SocketAddr, arguments: &[&str]) -> Result<Told, Box<dyn Error>> {
    let mut client = Command::new("timeout")
        .args(["20", "openssl", "s_client", "-connect", &address.to_string(), "-ign_eof"])
        .args(["-verify_return_error", "-verify_ip", "127.0.0.1", "-CAfile"])
        .arg(site.path("uidmeter-ca.crt"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    // One that was refused may be gone already.
    let _ = client.stdin.take().ok_or("no input")?.write_all(REQUEST);
    let output = client.wait_with_output()?;
    Ok(Told {
        fine: output.status.success(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        said: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// A host whose `tls_server_config` has these further lines.
fn host_with(site: &Site, lines: &[&str]) -> Result<Host, Box<dyn Error>> {
    let lines = lines.iter().fold(String::new(), |all, line| all + "  " + line + "\n");
    site.write("web.yml", &format!("tls_server_config:\n  cert_file: tls.crt\n  key_file: tls.key\n{lines}"))?;
    site.write("health.toml", OPEN_HEALTH)?;
    Host::start_guarded(Some(site.path("web.yml")), Some(site.path("health.toml")))
}

impl Told {
    fn is_healthy(&self) -> bool {
        self.fine && self.out.contains("HTTP/1.1 200 OK") && self.out.contains("Verify return code: 0 (ok)")
    }
}

#[test]
fn versions_are_those_of_the_web_configuration_file_and_never_older_than_1_2() -> Outcome {
    let site = Site::new()?;
    for (lines, speaks_12, speaks_13) in [
        (&[][..], true, true),
        (&["min_version: TLS10"], true, true),
        (&["min_version: TLS13"], false, true),
        (&["max_version: TLS12"], true, false),
        (&["min_version: TLS12", "max_version: TLS13"], true, true),
    ] {
        let host = host_with(&site, lines)?;
        for (flag, name, speaks) in [
            ("-tls1", "TLSv1", false),
            ("-tls1_1", "TLSv1.1", false),
            ("-tls1_2", "TLSv1.2", speaks_12),
            ("-tls1_3", "TLSv1.3", speaks_13),
        ] {
            // OpenSSL of today does not even try old versions unless it is told to.
            let told = s_client(&site, host.address, &[flag, "-cipher", "DEFAULT@SECLEVEL=0"])?;
            assert_eq!(told.is_healthy(), speaks, "{lines:?} {flag} {told:?}");
            if speaks {
                assert!(told.out.contains(&format!("New, {name}, Cipher is ")), "{lines:?} {flag} {told:?}");
            } else {
                // Without extensions, a client's version cannot be told from its other shortcomings.
                let alerts = ["alert protocol version", "alert handshake failure"];
                assert!(alerts.iter().any(|alert| told.said.contains(alert)), "{lines:?} {flag} {told:?}");
            }
        }
    }
    Ok(())
}

#[test]
fn suites_without_forward_secrecy_or_authenticated_encryption_are_refused() -> Outcome {
    let site = Site::new()?;
    let all = host_with(&site, &[])?;
    let some = host_with(&site, &["max_version: TLS12", "cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384]"])?;
    for (suite, by_all, by_some) in [
        ("ECDHE-ECDSA-AES256-GCM-SHA384", true, true),
        ("ECDHE-ECDSA-AES128-GCM-SHA256", true, false),
        ("ECDHE-ECDSA-AES128-SHA", false, false),
        ("AES128-GCM-SHA256", false, false),
    ] {
        for (host, fine) in [(&all, by_all), (&some, by_some)] {
            let told = s_client(&site, host.address, &["-tls1_2", "-cipher", &format!("{suite}:@SECLEVEL=0")])?;
            assert_eq!(told.is_healthy(), fine, "{suite} {told:?}");
            assert_eq!(told.said.contains("alert handshake failure"), !fine, "{suite} {told:?}");
        }
    }
    Ok(())
}

#[test]
fn a_server_of_another_authority_is_not_taken_for_this_one() -> Outcome {
    let site = Site::new()?;
    let host = host_with(&site, &[])?;
    let other = site.path("other-ca.crt");
    let told = s_client(&site, host.address, &["-CAfile", &other.to_string_lossy()])?;
    assert!(!told.fine && !told.out.contains("HTTP/1.1"), "{told:?}");
    assert!(told.said.contains("unable to get local issuer certificate"), "{told:?}");
    Ok(())
}

#[test]
fn without_the_demanded_certificate_not_one_byte_of_http_is_answered() -> Outcome {
    let site = Site::new()?;
    let host = host_with(&site, &["client_ca_file: clients.crt", "client_auth_type: RequireAndVerifyClientCert"])?;
    for flag in ["-tls1_2", "-tls1_3"] {
        for (pair, alert) in [
            (Some("uidmeter-client"), None),
            (None, Some("alert certificate required")),
            (Some("other-client"), Some("alert unknown ca")),
        ] {
            let files = pair.map(|pair| ["crt", "key"].map(|extension| site.path(&format!("{pair}.{extension}"))));
            let files = files.map(|files| files.map(|file| file.to_string_lossy().into_owned()));
            let mut arguments = vec![flag];
            if let Some([certificate, key]) = &files {
                arguments.extend(["-cert", certificate, "-key", key]);
            }
            let told = s_client(&site, host.address, &arguments)?;
            assert_eq!(told.is_healthy(), alert.is_none(), "{flag} {pair:?} {told:?}");
            if let Some(alert) = alert {
                assert!(told.said.contains(alert) && !told.out.contains("HTTP/1.1"), "{flag} {pair:?} {told:?}");
            }
        }
    }
    Ok(())
}
