//! curl: what somebody at a terminal is told.

use std::{error::Error, fs, net::SocketAddr, process::Command};

use crate::{Outcome, host::Host, site::Site};

/// What came of a call.
#[derive(Debug)]
struct Told {
    exit: Option<i32>,
    status: u16,
    /// As curl writes it: 1.1, 2.
    http: String,
    head_and_body: String,
    /// The whole conversation.
    said: String,
}

/// curl's exit codes.
const FINE: Option<i32> = Some(0);
const NO_HANDSHAKE: Option<i32> = Some(35);
const UNKNOWN_ISSUER: Option<i32> = Some(60);

fn curl(site: &Site, arguments: &[&str], url: &str) -> Result<Told, Box<dyn Error>> {
    let output = Command::new("curl")
        // Neither the configuration of whoever runs this nor a proxy of the machine.
        .args(["--disable", "--noproxy", "*", "--no-progress-meter", "--verbose", "--include", "--max-time", "20"])
        .args(["--write-out", "\n%{http_code} %{http_version}"])
        .arg("--cacert")
        .arg(site.path("uidmeter-ca.crt"))
        .args(arguments)
        .arg(url)
        .output()?;
    let text = String::from_utf8(output.stdout)?;
    let (head_and_body, written) = text.rsplit_once('\n').ok_or("curl wrote nothing")?;
    let (status, http) = written.split_once(' ').ok_or("curl wrote no status")?;
    Ok(Told {
        exit: output.status.code(),
        status: status.parse()?,
        http: http.to_owned(),
        head_and_body: head_and_body.to_owned(),
        said: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

fn metrics(address: SocketAddr) -> String {
    format!("https://{address}/metrics")
}

#[test]
fn curl_is_let_in_with_tls_1_2_and_1_3_and_told_why_not_with_older_ones() -> Outcome {
    let site = Site::new()?;
    let host = Host::start_guarded(Some(site.path("basic.yml")), None)?;
    let ask = |version: &str| {
        // OpenSSL of today does not even try old versions unless it is told to.
        let only = ["--tlsv1.0", "--tls-max", version, "--ciphers", "DEFAULT@SECLEVEL=0"];
        curl(&site, &[&only[..], &["--user", "prometheus:change-me"]].concat(), &metrics(host.address))
    };
    for version in ["1.0", "1.1"] {
        let told = ask(version)?;
        assert_eq!((told.exit, told.status), (NO_HANDSHAKE, 0), "{told:?}");
        // Without extensions, a client's version cannot be told from its other shortcomings.
        assert!(["protocol version", "handshake failure"].iter().any(|alert| told.said.contains(alert)), "{told:?}");
    }
    for version in ["1.2", "1.3"] {
        let told = ask(version)?;
        assert_eq!((told.exit, told.status), (FINE, 200), "{told:?}");
        assert!(told.said.contains(&format!("SSL connection using TLSv{version}")), "{told:?}");
    }
    Ok(())
}

#[test]
fn curl_speaks_http_1_and_http_2_and_sees_the_same_page() -> Outcome {
    let site = Site::new()?;
    let host = Host::start_guarded(Some(site.path("basic.yml")), None)?;
    for (flag, http) in [("--http1.1", "1.1"), ("--http2", "2")] {
        let told = curl(&site, &[flag, "--user", "prometheus:change-me"], &metrics(host.address))?;
        assert_eq!((told.exit, told.status, told.http.as_str()), (FINE, 200, http), "{told:?}");
        assert!(told.head_and_body.contains("uidmeter_cpu_seconds_total{uid=\"20001\""), "{told:?}");
    }
    Ok(())
}

#[test]
fn curl_is_told_in_plain_http_that_the_port_speaks_https() -> Outcome {
    let site = Site::new()?;
    let host = Host::start_guarded(Some(site.path("basic.yml")), None)?;
    for flag in ["--http1.1", "--http1.0", "--http2-prior-knowledge"] {
        let told = curl(&site, &[flag], &format!("http://{}/metrics", host.address))?;
        if flag == "--http2-prior-knowledge" {
            // Answered in HTTP/1: whoever is sure of the other end speaking HTTP/2 cannot read it.
            assert_ne!(told.exit, FINE, "{told:?}");
            continue;
        }
        assert_eq!((told.exit, told.status), (FINE, 400), "{told:?}");
        assert!(told.head_and_body.contains("this port speaks HTTPS: use https:// instead of http://"), "{told:?}");
    }
    Ok(())
}

#[test]
fn curl_does_not_trust_a_server_of_another_authority() -> Outcome {
    let site = Site::new()?;
    let host = Host::start_guarded(Some(site.path("basic.yml")), None)?;
    let other = site.path("other-ca.crt");
    let told = curl(&site, &["--cacert", &other.to_string_lossy()], &metrics(host.address))?;
    assert_eq!((told.exit, told.status), (UNKNOWN_ISSUER, 0), "{told:?}");
    Ok(())
}

#[test]
fn curl_is_asked_for_what_would_let_it_in() -> Outcome {
    let site = Site::new()?;
    let host = Host::start_guarded(Some(site.path("basic.yml")), Some(site.path("jwt.toml")))?;
    let token = fs::read_to_string(site.path("uidmeter.token"))?;
    let (bearer, stripped) = (token.trim(), token.trim().rsplit_once('.').ok_or("no token")?.0);
    let line = format!("authorization: bearer {bearer}");
    for (arguments, status) in [
        (&["--user", "prometheus:change-me"][..], 200),
        (&["--oauth2-bearer", bearer], 200),
        (&["--header", &line], 200),
        (&[], 401),
        (&["--user", "prometheus:wrong"], 401),
        (&["--user", "nobody:change-me"], 401),
        (&["--oauth2-bearer", &format!("{stripped}.")], 401),
        // Twice the same, and both are right.
        (&["--header", &line, "--header", &line], 401),
    ] {
        let told = curl(&site, arguments, &metrics(host.address))?;
        assert_eq!((told.exit, told.status), (FINE, status), "{arguments:?} {told:?}");
        let asks = told.head_and_body.to_ascii_lowercase();
        let asks = [asks.contains("www-authenticate: bearer"), asks.contains("www-authenticate: basic")];
        assert_eq!(asks, [status == 401; 2], "{told:?}");
    }
    Ok(())
}

#[test]
fn curl_needs_a_certificate_of_the_right_authority_where_one_is_demanded() -> Outcome {
    let site = Site::new()?;
    let host = Host::start_guarded(Some(site.path("mtls.yml")), None)?;
    let ask = |version: &str, pair: Option<&str>| {
        let mut arguments = vec!["--tls-max".to_owned(), version.to_owned()];
        if let Some(pair) = pair {
            let path = |extension: &str| site.path(&format!("{pair}.{extension}")).to_string_lossy().into_owned();
            arguments.extend(["--cert".into(), path("crt"), "--key".into(), path("key")]);
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        curl(&site, &arguments, &metrics(host.address))
    };
    for version in ["1.2", "1.3"] {
        assert_eq!(ask(version, Some("uidmeter-client"))?.status, 200);
        for (pair, alert) in [(None, "certificate required"), (Some("other-client"), "unknown ca")] {
            let told = ask(version, pair)?;
            // The exit code depends on curl's version, and on whether the handshake is over for the client.
            assert!(told.exit != FINE && told.status == 0, "{version} {pair:?} {told:?}");
            assert!(told.said.contains(alert), "{version} {pair:?} {told:?}");
        }
    }
    Ok(())
}
