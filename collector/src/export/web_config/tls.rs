//! `tls_server_config`.

use std::path::PathBuf;

use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};

use super::{
    super::{
        bounded_file::{Readers, shown},
        document::Section,
        secret::Secret,
    },
    ClientAuth, TlsSettings, TlsVersion,
    load::Reading,
    names::{CLIENT_AUTH, CURVES, Meaning, SUITES, Suite, VERSIONS, look_up},
};

/// The section, if anything in it says that TLS is wanted.
pub(super) fn read(root: &mut Section<'_>, reading: &mut Reading) -> Option<TlsSettings> {
    let mut section = root.section("tls_server_config", &mut reading.problems)?;
    let line = section.line;
    let certificates = read_certificates(&mut section, reading);
    let key = read_key(&mut section, reading);
    let client_auth = read_client_auth(&mut section, reading);
    let client_ca = read_client_ca(&mut section, client_auth, reading);
    let client_allowed_sans = read_sans(&mut section, client_auth, reading);
    let (mut min_version, max_version) = read_versions(&mut section, reading);
    let cipher_suites = read_suites(&mut section, &mut min_version, max_version, reading);
    let curves = read_curves(&mut section, reading);
    let prefer = section.bool("prefer_server_cipher_suites", &mut reading.problems);
    let empty = section.entries().is_empty();
    section.finish(&mut reading.problems);
    if empty {
        // As in the original, a section without a word asks for nothing.
        return None;
    }
    if let Absent = certificates {
        reading.problems.at(line, "tls_server_config needs cert_file or cert");
    }
    if let Absent = key {
        reading.problems.at(line, "tls_server_config needs key_file or key");
    }
    let (Found((certificates, certificate_file)), Found(key)) = (certificates, key) else {
        return None;
    };
    Some(TlsSettings {
        certificates,
        key,
        certificate_file,
        client_auth,
        client_ca,
        client_allowed_sans,
        min_version,
        max_version,
        cipher_suites,
        prefer_server_cipher_suites: prefer.unwrap_or(true),
        curves,
    })
}

/// Absence is one problem, and what is there may have another.
enum Sought<T> {
    Found(T),
    Absent,
    Refused,
}

use Sought::{Absent, Found, Refused};

/// A PEM that stands in a file or inline, but not both.
struct Pem {
    bytes: zeroize::Zeroizing<Vec<u8>>,
    file: Option<PathBuf>,
    line: u64,
}

fn read_pem(
    section: &mut Section<'_>,
    (file_key, inline_key): (&'static str, &'static str),
    what: &str,
    readers: Readers,
    reading: &mut Reading,
) -> Sought<Pem> {
    let named = section.text(file_key, &mut reading.problems).filter(|(name, _)| !name.is_empty());
    let inline = section.text(inline_key, &mut reading.problems).filter(|(text, _)| !text.is_empty());
    match (named, inline) {
        (None, None) => Absent,
        (Some((_, line)), Some(_)) => {
            reading.problems.at(line, format!("{file_key} and {inline_key} exclude each other; keep one"));
            Refused
        }
        (Some((name, line)), None) => match reading.file(what, &name, line, readers) {
            Some((path, contents)) => Found(Pem { bytes: contents.bytes, file: Some(path), line }),
            None => Refused,
        },
        (None, Some((text, line))) => {
            if readers == Readers::Owner {
                reading.refuse_inline_secret_for_all(what, line);
            }
            Found(Pem { bytes: text.into_bytes().into(), file: None, line })
        }
    }
}

fn read_certificates(
    section: &mut Section<'_>,
    reading: &mut Reading,
) -> Sought<(Vec<CertificateDer<'static>>, Option<PathBuf>)> {
    let what = "the certificate";
    match read_pem(section, ("cert_file", "cert"), what, Readers::Anybody, reading) {
        Found(pem) => match certificates(what, &pem, reading) {
            Some(certificates) => Found((certificates, pem.file)),
            None => Refused,
        },
        Absent => Absent,
        Refused => Refused,
    }
}

/// At least one certificate, or a problem.
fn certificates(what: &str, pem: &Pem, reading: &mut Reading) -> Option<Vec<CertificateDer<'static>>> {
    let place = pem.file.as_ref().map_or_else(String::new, |path| format!(" {}", shown(path)));
    match CertificateDer::pem_slice_iter(&pem.bytes).collect::<Result<Vec<_>, _>>() {
        Ok(found) if found.is_empty() => {
            let sentence = format!("{what}{place} holds no certificate in PEM (-----BEGIN CERTIFICATE-----)");
            reading.problems.at(pem.line, sentence);
            None
        }
        Ok(found) => Some(found),
        Err(_) => {
            reading.problems.at(pem.line, format!("{what}{place} is broken PEM"));
            None
        }
    }
}

fn read_key(section: &mut Section<'_>, reading: &mut Reading) -> Sought<Secret> {
    let what = "the private key";
    let pem = match read_pem(section, ("key_file", "key"), what, Readers::Owner, reading) {
        Found(pem) => pem,
        Absent => return Absent,
        Refused => return Refused,
    };
    let place = pem.file.as_ref().map_or_else(String::new, |path| format!(" {}", shown(path)));
    let keys = PrivateKeyDer::pem_slice_iter(&pem.bytes).take(2).flatten().count();
    if keys != 1 {
        let found = if keys == 0 { "no" } else { "more than one" };
        let sentence = format!("{what}{place} holds {found} unencrypted key in PEM, and must hold exactly one");
        reading.problems.at(pem.line, sentence);
        return Refused;
    }
    Found(Secret::new(pem.bytes.to_vec()))
}

fn read_client_auth(section: &mut Section<'_>, reading: &mut Reading) -> ClientAuth {
    let Some((name, line)) = section.text("client_auth_type", &mut reading.problems) else {
        return ClientAuth::None;
    };
    match look_up("client_auth_type", &name, &CLIENT_AUTH) {
        Ok(Meaning::Spoken(client_auth)) => {
            if matches!(client_auth, ClientAuth::Request | ClientAuth::RequireAny) {
                reading.warn(
                    line,
                    format!(
                        "client_auth_type {name} verifies nobody: anybody's certificate will do, and none authenticates"
                    ),
                );
            }
            client_auth
        }
        Ok(Meaning::Unspoken) => ClientAuth::None,
        Err(sentence) => {
            reading.problems.at(line, sentence);
            ClientAuth::None
        }
    }
}

fn read_client_ca(
    section: &mut Section<'_>,
    client_auth: ClientAuth,
    reading: &mut Reading,
) -> Vec<CertificateDer<'static>> {
    let what = "the client CA";
    let line = section.line;
    match read_pem(section, ("client_ca_file", "client_ca"), what, Readers::Anybody, reading) {
        Found(pem) if client_auth.verifies() => certificates(what, &pem, reading).unwrap_or_default(),
        Found(pem) => {
            let needed = "client_auth_type must be RequireAndVerifyClientCert or VerifyClientCertIfGiven";
            reading.problems.at(pem.line, format!("a client CA without verification protects nothing: {needed}"));
            Vec::new()
        }
        Absent if client_auth.verifies() => {
            let sentence =
                "client certificates can be verified only against a CA: client_ca_file or client_ca is missing";
            reading.problems.at(line, sentence);
            Vec::new()
        }
        Absent | Refused => Vec::new(),
    }
}

fn read_sans(section: &mut Section<'_>, client_auth: ClientAuth, reading: &mut Reading) -> Option<Vec<String>> {
    let line = section.get("client_allowed_sans").map(|node| node.line)?;
    let sans = section.texts("client_allowed_sans", &mut reading.problems)?;
    if sans.is_empty() {
        reading.problems.at(line, "client_allowed_sans is empty and would admit nobody; list names, or remove it");
    }
    if !client_auth.verifies() {
        let needed = "client_auth_type must be RequireAndVerifyClientCert or VerifyClientCertIfGiven";
        reading.problems.at(line, format!("client_allowed_sans without verification protects nothing: {needed}"));
    }
    for (san, line) in &sans {
        if san.is_empty() {
            reading.problems.at(*line, "client_allowed_sans holds an empty name");
        }
        if let Ok(address) = san.parse::<std::net::IpAddr>()
            && address.to_string() != *san
        {
            reading.warn(*line, format!("client_allowed_sans {san:?} matches no certificate; write {address}"));
        }
    }
    Some(sans.into_iter().map(|(san, _)| san).collect())
}

fn read_versions(section: &mut Section<'_>, reading: &mut Reading) -> (TlsVersion, TlsVersion) {
    let mut min = TlsVersion::Tls12;
    let mut max = TlsVersion::Tls13;
    if let Some((name, line)) = section.text("min_version", &mut reading.problems) {
        match look_up("min_version", &name, &VERSIONS) {
            Ok(Meaning::Spoken(version)) => min = version,
            Ok(Meaning::Unspoken) => {
                reading.warn(line, format!("min_version {name} is not spoken here: TLS12 is the oldest, and is used"));
            }
            Err(sentence) => reading.problems.at(line, sentence),
        }
    }
    if let Some((name, line)) = section.text("max_version", &mut reading.problems) {
        match look_up("max_version", &name, &VERSIONS) {
            Ok(Meaning::Spoken(version)) => max = version,
            Ok(Meaning::Unspoken) => {
                reading.problems.at(line, format!("max_version {name} is not spoken here; the oldest is TLS12"));
            }
            Err(sentence) => reading.problems.at(line, sentence),
        }
        if min > max {
            reading.problems.at(line, "max_version is older than min_version, which leaves no version");
        }
    }
    (min, max)
}

fn read_suites(
    section: &mut Section<'_>,
    min_version: &mut TlsVersion,
    max_version: TlsVersion,
    reading: &mut Reading,
) -> Vec<super::CipherSuite> {
    let line = section.get("cipher_suites").map_or(0, |node| node.line);
    let mut suites = Vec::new();
    let (mut tls13, mut unknown) = (false, false);
    let named = section.texts("cipher_suites", &mut reading.problems).unwrap_or_default();
    for (name, line) in &named {
        match look_up("the cipher suite", name, &SUITES) {
            Ok(Meaning::Spoken(Suite::Tls12(suite))) => {
                if !suites.contains(&suite) {
                    suites.push(suite);
                }
            }
            Ok(Meaning::Spoken(Suite::Tls13)) => tls13 = true,
            Ok(Meaning::Unspoken) => {
                reading.warn(*line, format!("the cipher suite {name} is not spoken here, and is left out"));
            }
            Err(sentence) => {
                reading.problems.at(*line, sentence);
                unknown = true;
            }
        }
    }
    if suites.is_empty() && !named.is_empty() && !unknown && *min_version == TlsVersion::Tls12 {
        if tls13 && max_version == TlsVersion::Tls13 {
            reading.warn(line, "cipher_suites names none of TLS 1.2 that is spoken here: only TLS 1.3 is offered");
            *min_version = TlsVersion::Tls13;
        } else {
            reading
                .problems
                .at(line, "cipher_suites names none that is spoken here; remove it, or add TLS_ECDHE_…_GCM_… suites");
        }
    }
    suites
}

fn read_curves(section: &mut Section<'_>, reading: &mut Reading) -> Vec<super::Curve> {
    let line = section.get("curve_preferences").map_or(0, |node| node.line);
    let mut curves = Vec::new();
    let mut unknown = false;
    let named = section.texts("curve_preferences", &mut reading.problems).unwrap_or_default();
    for (name, line) in &named {
        match look_up("the curve", name, &CURVES) {
            Ok(Meaning::Spoken(curve)) => {
                if !curves.contains(&curve) {
                    curves.push(curve);
                }
            }
            Ok(Meaning::Unspoken) => {
                reading.warn(*line, format!("the curve {name} is not spoken here, and is left out"));
            }
            Err(sentence) => {
                reading.problems.at(*line, sentence);
                unknown = true;
            }
        }
    }
    if curves.is_empty() && !named.is_empty() && !unknown {
        reading
            .problems
            .at(line, "curve_preferences names none that is spoken here; add X25519, CurveP256 or CurveP384");
    }
    curves
}
