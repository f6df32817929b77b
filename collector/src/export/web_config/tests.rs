use std::{error::Error, fmt::Write as _, fs, os::unix::fs::PermissionsExt as _, path::PathBuf, time::Duration};

use hyper::header::{HeaderName, HeaderValue};

use super::{CipherSuite, ClientAuth, Curve, RateLimit, TlsVersion, WebConfig};

type Outcome = Result<(), Box<dyn Error>>;

/// bcrypt of "opensesame", cost 10.
const HASH: &str = "$2y$10$abcdefghijklmnopqrstuuIJhD7cBTANNFpxMFd3bbmSoPd2YVz0e";

/// A folder with `cert.pem`, `key.pem` and `ca.pem`.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Result<Self, Box<dyn Error>> {
        let folder = Self(tempfile::tempdir()?);
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
        folder.write("cert.pem", made.cert.pem())?;
        folder.write("ca.pem", made.cert.pem())?;
        folder.write("key.pem", made.signing_key.serialize_pem())?;
        Ok(folder)
    }

    /// Everything is its owner's alone, until a test says otherwise.
    fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> Result<PathBuf, Box<dyn Error>> {
        let path = self.0.path().join(name);
        fs::write(&path, contents)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        Ok(path)
    }

    fn load(&self, yaml: impl AsRef<[u8]>) -> Result<Result<WebConfig, Vec<String>>, Box<dyn Error>> {
        let path = self.write("web.yml", yaml)?;
        Ok(WebConfig::load(&path).map_err(|error| error.0))
    }

    fn problems(&self, yaml: impl AsRef<[u8]>) -> Result<Vec<String>, Box<dyn Error>> {
        Ok(self.load(yaml)?.map_or_else(|problems| problems, |_| Vec::new()))
    }
}

const TLS: &str = "tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\n";

#[test]
fn the_whole_schema_is_read() -> Outcome {
    let folder = Folder::new()?;
    let config = folder.load(format!(
        "tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\n  client_ca_file: ca.pem\n  \
         client_auth_type: RequireAndVerifyClientCert\n  client_allowed_sans: [prometheus.example, '::1']\n  min_version: TLS12\n  \
         max_version: TLS13\n  prefer_server_cipher_suites: no\n  cipher_suites:\n  \
         - TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384\n  - TLS_AES_128_GCM_SHA256\n  \
         - TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256\n  curve_preferences: [X25519, CurveP384]\n\
         http_server_config:\n  http2: false\n  headers:\n    X-Frame-Options: deny\n    X-XSS-Protection: 0\n    \
         Content-Security-Policy: ''\n\
         basic_auth_users:\n  ann: {HASH}\n  bob: '{HASH}'\n\
         rate_limit:\n  interval: 1s\n  burst: 20\n"
    ))?;
    let config = config.map_err(|problems| problems.join("\n"))?;
    let tls = config.tls.ok_or("no TLS")?;
    assert_eq!(tls.certificates.len(), 1);
    assert_eq!(tls.client_auth, ClientAuth::RequireAndVerify);
    assert_eq!(tls.client_ca.len(), 1);
    assert_eq!(tls.client_allowed_sans, Some(vec!["prometheus.example".into(), "::1".into()]));
    assert_eq!((tls.min_version, tls.max_version), (TlsVersion::Tls12, TlsVersion::Tls13));
    assert_eq!(tls.cipher_suites, [CipherSuite::RsaAes256, CipherSuite::EcdsaChaCha20]);
    assert_eq!(tls.curves, [Curve::X25519, Curve::P384]);
    assert!(!tls.prefer_server_cipher_suites);
    assert!(!config.http.http2);
    assert_eq!(
        config.http.headers,
        [
            (HeaderName::from_static("x-frame-options"), HeaderValue::from_static("deny")),
            (HeaderName::from_static("x-xss-protection"), HeaderValue::from_static("0")),
        ]
    );
    let users = config.basic.ok_or("no users")?.0;
    assert_eq!(users.iter().map(|user| user.name.as_str()).collect::<Vec<_>>(), ["ann", "bob"]);
    assert!(users.iter().all(|user| user.hash.expose() == HASH.as_bytes()));
    assert_eq!(config.rate_limit, Some(RateLimit { interval: Duration::from_secs(1), burst: 20 }));
    let names: Vec<_> = config.files.iter().filter_map(|file| file.file_name()?.to_str()).collect();
    assert_eq!(names, ["web.yml", "cert.pem", "key.pem", "ca.pem"]);
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    Ok(())
}

#[test]
fn an_empty_file_asks_for_nothing() -> Outcome {
    let folder = Folder::new()?;
    for yaml in ["", "# nothing\n", "---\n", "tls_server_config:\nbasic_auth_users: {}\n", "\u{feff}rate_limit: {}\n"] {
        let config = folder.load(yaml)?.map_err(|problems| format!("{yaml:?}: {problems:?}"))?;
        assert!(config.tls.is_none() && config.basic.is_none() && config.rate_limit.is_none(), "{yaml:?}");
        assert!(config.http.http2);
    }
    Ok(())
}

#[test]
fn pem_may_stand_inline() -> Outcome {
    let folder = Folder::new()?;
    let indented = |name: &str| -> Result<String, Box<dyn Error>> {
        let text = fs::read_to_string(folder.0.path().join(name))?;
        Ok(text.lines().flat_map(|line| ["    ", line, "\n"]).collect())
    };
    let yaml = format!("tls_server_config:\n  cert: |\n{}  key: |\n{}", indented("cert.pem")?, indented("key.pem")?);
    let config = folder.load(&yaml)?.map_err(|problems| problems.join("\n"))?;
    assert_eq!(config.tls.ok_or("no TLS")?.certificates.len(), 1);
    // A key in a file that all can read is no secret.
    let path = folder.write("web.yml", &yaml)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644))?;
    let problems = WebConfig::load(&path).map_err(|error| error.0).err().unwrap_or_default();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(
        problems[0].contains("the private key stands in a file that is open to others (mode 0644)"),
        "{problems:?}"
    );
    Ok(())
}

/// What stands below the complete certificate and key, and what must be said about it.
const REFUSED: [(&str, &str); 27] = [
    (
        "client_auth_typ: NoClientCert",
        ":4: unknown key \"client_auth_typ\" in tls_server_config; did you mean client_auth_type?",
    ),
    ("frobnicate: 1", ":4: unknown key \"frobnicate\" in tls_server_config"),
    ("client_auth_type: RequireAndVerifyClientCerts", "did you mean RequireAndVerifyClientCert?"),
    ("client_auth_type: RequireAndVerifyClientCert", "client_ca_file or client_ca is missing"),
    ("client_auth_type: VerifyClientCertIfGiven", "client_ca_file or client_ca is missing"),
    ("client_ca_file: ca.pem", "a client CA without verification protects nothing"),
    (
        "{client_ca_file: ca.pem, client_auth_type: RequireAnyClientCert}",
        "a client CA without verification protects nothing",
    ),
    ("client_allowed_sans: [a]", "client_allowed_sans without verification protects nothing"),
    ("{client_allowed_sans: [a], client_auth_type: RequireAnyClientCert}", "client_allowed_sans without verification"),
    (
        "{client_allowed_sans: [], client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.pem}",
        "would admit nobody",
    ),
    (
        "{client_allowed_sans: [''], client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.pem}",
        "an empty name",
    ),
    ("{client_auth_type: RequireAndVerifyClientCert, client_ca_file: none.pem}", "cannot be read"),
    ("{client_auth_type: RequireAndVerifyClientCert, client_ca_file: empty.pem}", "holds no certificate in PEM"),
    ("{client_auth_type: RequireAndVerifyClientCert, client_ca_file: key.pem}", "holds no certificate in PEM"),
    ("{client_auth_type: RequireAndVerifyClientCert, client_ca_file: broken.pem}", "is broken PEM"),
    ("{client_auth_type: RequireAndVerifyClientCert, client_ca: garbage}", "holds no certificate in PEM"),
    ("{client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.pem, client_ca: x}", "exclude each other"),
    ("cert: x", "cert_file and cert exclude each other"),
    ("key: x", "key_file and key exclude each other"),
    ("max_version: TLS11", "max_version TLS11 is not spoken here"),
    ("{min_version: TLS13, max_version: TLS12}", "leaves no version"),
    ("min_version: TLS14", "min_version \"TLS14\" is unknown; did you mean TLS"),
    ("min_version: 1.2", "min_version \"1.2\" is unknown; known are TLS13, TLS12, TLS11, TLS10"),
    ("cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA]", "names none that is spoken here"),
    ("cipher_suites: [TLS_ECDHE_RSA_WITH_AES_512_GCM_SHA384]", "did you mean TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384?"),
    ("curve_preferences: [CurveP521]", "curve_preferences names none that is spoken here"),
    ("prefer_server_cipher_suites: perhaps", "must be true or false"),
];

#[test]
fn what_would_leave_a_door_open_is_refused() -> Outcome {
    let folder = Folder::new()?;
    folder.write("empty.pem", "")?;
    folder.write("broken.pem", "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n")?;
    for (addition, wanted) in REFUSED {
        let yaml = match addition.strip_prefix('{') {
            Some(flow) => format!("tls_server_config: {{cert_file: cert.pem, key_file: key.pem, {flow}"),
            None => format!("{TLS}  {addition}\n"),
        };
        let problems = folder.problems(&yaml)?;
        assert!(problems.len() == 1 && problems[0].contains(wanted), "{addition}: {problems:#?}");
    }
    Ok(())
}

#[test]
fn a_key_that_others_can_read_is_refused() -> Outcome {
    let folder = Folder::new()?;
    fs::set_permissions(folder.0.path().join("key.pem"), fs::Permissions::from_mode(0o640))?;
    let problems = folder.problems(TLS)?;
    assert!(problems.len() == 1 && problems[0].contains("(mode 0640); run chmod 0600"), "{problems:?}");
    Ok(())
}

#[test]
fn halves_of_a_certificate_are_missed() -> Outcome {
    let folder = Folder::new()?;
    for (yaml, wanted) in [
        ("tls_server_config: {cert_file: cert.pem}", "needs key_file or key"),
        ("tls_server_config: {key_file: key.pem}", "needs cert_file or cert"),
        ("tls_server_config: {key_file: '', cert_file: cert.pem}", "needs key_file or key"),
        ("tls_server_config: {cert_file: cert.pem, key_file: cert.pem}", "holds no unencrypted key"),
        ("tls_server_config: {cert_file: key.pem, key_file: key.pem}", "holds no certificate in PEM"),
        ("tls_server_config: {cert_file: cert.pem, key_file: two.pem}", "holds more than one unencrypted key"),
    ] {
        let key = fs::read_to_string(folder.0.path().join("key.pem"))?;
        folder.write("two.pem", format!("{key}{key}"))?;
        let problems = folder.problems(yaml)?;
        assert!(problems.len() == 1 && problems[0].contains(wanted), "{yaml}: {problems:#?}");
    }
    let problems = folder.problems("tls_server_config: {min_version: TLS12}")?;
    assert_eq!(problems.len(), 2, "{problems:#?}");
    Ok(())
}

#[test]
fn what_the_library_lacks_is_narrowed_with_a_warning() -> Outcome {
    let folder = Folder::new()?;
    for (addition, wanted) in [
        ("min_version: TLS10", "TLS10 is not spoken here: TLS12 is the oldest"),
        (
            "cipher_suites: [TLS_RSA_WITH_AES_128_CBC_SHA, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]",
            "TLS_RSA_WITH_AES_128_CBC_SHA is not spoken",
        ),
        ("cipher_suites: [TLS_AES_128_GCM_SHA256]", "only TLS 1.3 is offered"),
        ("curve_preferences: [CurveP521, CurveP256]", "CurveP521 is not spoken here"),
        ("client_auth_type: RequestClientCert", "verifies nobody"),
        ("client_auth_type: RequireClientCert", "verifies nobody"),
    ] {
        let config = folder.load(format!("{TLS}  {addition}\n"))?.map_err(|problems| problems.join("\n"))?;
        assert!(
            config.warnings.len() == 1 && config.warnings[0].contains(wanted),
            "{addition}: {:#?}",
            config.warnings
        );
        let tls = config.tls.ok_or("no TLS")?;
        assert!(tls.min_version == TlsVersion::Tls12 || addition.contains("TLS_AES"));
        assert!(!tls.client_auth.verifies());
    }
    let sans = "client_allowed_sans: ['0:0::1'], client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.pem";
    let yaml = format!("tls_server_config: {{cert_file: cert.pem, key_file: key.pem, {sans}}}");
    let config = folder.load(yaml)?.map_err(|problems| problems.join("\n"))?;
    assert!(config.warnings[0].contains("matches no certificate; write ::1"), "{:?}", config.warnings);
    Ok(())
}

#[test]
fn passwords_that_are_not_hashes_are_refused_and_never_shown() -> Outcome {
    let folder = Folder::new()?;
    for (value, wanted) in [
        ("opensesame", "has no bcrypt hash"),
        ("'opensesame'", "has no bcrypt hash"),
        ("12345678", "needs a bcrypt hash in quotes"),
        ("[opensesame]", "needs a bcrypt hash in quotes"),
        ("", "needs a bcrypt hash in quotes"),
        ("''", "has an empty hash"),
        ("$2y$15$abcdefghijklmnopqrstuuIJhD7cBTANNFpxMFd3bbmSoPd2YVz0e", "cost 15, which must be between 4 and 14"),
        ("$2y$31$abcdefghijklmnopqrstuuIJhD7cBTANNFpxMFd3bbmSoPd2YVz0e", "cost 31, which must be between 4 and 14"),
        ("$2y$03$abcdefghijklmnopqrstuuIJhD7cBTANNFpxMFd3bbmSoPd2YVz0e", "cost 3, which must be between 4 and 14"),
        ("$2y$-1$abcdefghijklmnopqrstuuIJhD7cBTANNFpxMFd3bbmSoPd2YVz0e", "has no bcrypt hash"),
        ("$2x$10$abcdefghijklmnopqrstuuIJhD7cBTANNFpxMFd3bbmSoPd2YVz0e", "broken kind $2x$"),
        ("$2y$10$abcdefghijklmnopqrstuuIJhD7cBTANNFpxMFd3bbmSoPd2YVz0", "has no bcrypt hash"),
        ("$2y$10$abcdefghijklmnopqrstuu!JhD7cBTANNFpxMFd3bbmSoPd2YVz0e", "has no bcrypt hash"),
        ("$1$abcdefgh$opensesame", "has no bcrypt hash"),
        ("!opensesame", "a text that begins with ! must stand in quotes"),
        ("{SHA}opensesame", "is not YAML that can be used"),
    ] {
        let problems = folder.problems(format!("basic_auth_users:\n  ann: {value}\n"))?;
        assert!(problems.len() == 1 && problems[0].contains(wanted), "{value}: {problems:#?}");
        assert!(!problems[0].contains("opensesame") && !problems[0].contains("12345678"), "{problems:#?}");
    }
    for (name, wanted) in [("a:b", "colon"), ("\"\\x07\"", "control characters"), ("''", "no name")] {
        let problems = folder.problems(format!("basic_auth_users:\n  {name}: {HASH}\n"))?;
        assert!(problems.len() == 1 && problems[0].contains(wanted), "{name}: {problems:#?}");
    }
    let config = folder.load(format!("basic_auth_users: {{ann: '{}'}}", HASH.replace("$10$", "$05$")))?;
    assert!(config.map_err(|problems| problems.join("\n"))?.warnings[0].contains("cost 5; 10 is advisable"));
    Ok(())
}

#[test]
fn nothing_may_stand_twice() -> Outcome {
    let folder = Folder::new()?;
    for yaml in [
        format!("basic_auth_users:\n  ann: {HASH}\n  ann: {HASH}\n"),
        format!("{TLS}  key_file: key.pem\n"),
        "rate_limit: {}\nrate_limit: {}\n".to_owned(),
        "http_server_config: {headers: {X-Frame-Options: deny, X-Frame-Options: sameorigin}}".to_owned(),
    ] {
        let problems = folder.problems(&yaml)?;
        assert!(problems.len() == 1 && problems[0].to_lowercase().contains("duplicate"), "{yaml}: {problems:#?}");
    }
    Ok(())
}

#[test]
fn headers_and_rates_are_those_of_the_schema() -> Outcome {
    let folder = Folder::new()?;
    for (yaml, wanted) in [
        ("http_server_config: {headers: {X-Frame-Option: deny}}", "did you mean X-Frame-Options?"),
        ("http_server_config: {headers: {Set-Cookie: a}}", "\"Set-Cookie\" cannot be configured; known are"),
        ("http_server_config: {headers: {X-Frame-Options: allow}}", "is not one of deny, sameorigin"),
        ("http_server_config: {headers: {X-Content-Type-Options: sniff}}", "is not one of nosniff"),
        ("http_server_config: {headers: {X-XSS-Protection: \"a\\r\\nb: c\"}}", "characters that no header may have"),
        ("http_server_config: {headers: {X-XSS-Protection: [a]}}", "must be text"),
        ("http_server_config: {http2: 1}", "http2 must be true or false"),
        ("http_server_config: [http2]", "must be a section of keys and values"),
        ("rate_limit: {interval: 1s}", "burst 0 would refuse every request"),
        ("rate_limit: {interval: 1s, burst: 0}", "burst 0 would refuse every request"),
        ("rate_limit: {interval: 1s, burst: -1}", "is not between 0 and"),
        ("rate_limit: {interval: -1s, burst: 1}", "is not a time"),
        ("rate_limit: {interval: 1.5, burst: 1}", "is not a time"),
        ("rate_limit: {interval: 25h, burst: 1}", "is not a time"),
        ("rate_limits: {}", "did you mean rate_limit?"),
        ("- a\n- b\n", "the file must be a section of keys and values, and is a list"),
        ("hello", "the file must be a section of keys and values, and is text"),
    ] {
        let problems = folder.problems(yaml)?;
        assert!(!problems.is_empty() && problems[0].contains(wanted), "{yaml}: {problems:#?}");
    }
    let config = folder.load("rate_limit: {interval: 0, burst: 5}")?.map_err(|problems| problems.join("\n"))?;
    assert_eq!(config.rate_limit, None);
    Ok(())
}

#[test]
fn all_problems_come_at_once_with_their_lines() -> Outcome {
    let folder = Folder::new()?;
    let problems = folder.problems(
        "tls_server_config:\n  cert_file: none.pem\n  min_version: TLS9\n  color: red\nbasic_auth_users:\n  ann: plain\n\
         rate_limit:\n  interval: soon\nextra: 1\n",
    )?;
    let lines: Vec<_> = problems
        .iter()
        .map(|problem| problem.split_once("web.yml:").and_then(|(_, rest)| rest.split_once(':')).map(|(line, _)| line))
        .collect();
    assert_eq!(problems.len(), 7, "{problems:#?}");
    for line in ["2", "3", "4", "6", "8", "9"] {
        assert!(lines.contains(&Some(line)), "line {line}: {problems:#?}");
    }
    assert!(problems.iter().all(|problem| !problem.contains('\n')), "{problems:#?}");
    Ok(())
}

#[test]
fn hostile_text_is_refused_and_costs_little() -> Outcome {
    let folder = Folder::new()?;
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..10 {
        let items = vec![format!("*a{}", level - 1); 10].join(", ");
        writeln!(bomb, "a{level}: &a{level} [{items}]")?;
    }
    let deep = "[".repeat(100_000);
    let nested: String = (0..200).flat_map(|depth| [" ".repeat(depth), "a:\n".to_owned()]).collect();
    let long_key = format!("{}: 1\n", "k".repeat(100_000));
    let huge = "#".repeat(10 * 1024 * 1024);
    let list = format!("a: [{}]", "1,".repeat(100_000));
    let valid = format!("{TLS}basic_auth_users:\n  ann: {HASH}\n");
    let mut cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("bomb of aliases", bomb.into(), "is not YAML that can be used"),
        ("deep flow", deep.into(), "is not YAML that can be used"),
        ("deep block", nested.into(), "is not YAML that can be used"),
        ("long key", long_key.into(), "web.yml"),
        ("10 MB", huge.into(), "has more than 1048576 bytes"),
        ("long list", list.into(), "is not YAML that can be used"),
        ("not UTF-8", b"rate_limit:\n  burst: \xff\xfe\n".to_vec(), "web.yml:2 is not UTF-8"),
        ("UTF-16", b"\xff\xfer\0a\0".to_vec(), "is not UTF-8"),
        ("tabs", b"rate_limit:\n\tburst: 1\n".to_vec(), "is not YAML that can be used"),
        ("merge key", b"a: &a {burst: 1}\nrate_limit:\n  <<: *a\n".to_vec(), "is not YAML that can be used"),
        ("two documents", b"rate_limit: {}\n---\nrate_limit: {}\n".to_vec(), "is not YAML that can be used"),
        ("tag", b"rate_limit: !!python/object:os.system {}\n".to_vec(), "is not YAML that can be used"),
        ("self-reference", b"rate_limit: &a\n  burst: *a\n".to_vec(), "web.yml"),
        ("null key", b"? \n: 1\n".to_vec(), "web.yml"),
        ("map as key", b"? {a: b}\n: 1\n".to_vec(), "is not YAML that can be used"),
        ("NUL", b"rate_limit: \"\0\"\n".to_vec(), "web.yml"),
        ("unclosed quote", b"basic_auth_users: {ann: \"opensesame".to_vec(), "is not YAML that can be used"),
    ];
    // A file that was cut off is refused, or says less than before, but never opens what was closed.
    for end in 0..valid.len() {
        if let Ok(config) = folder.load(&valid[..end])?
            && end > TLS.len() + "basic_auth_users:\n  ann:".len()
        {
            assert!(config.basic.is_some(), "{:?}", &valid[..end]);
        }
    }
    for (name, yaml, wanted) in cases.drain(..) {
        let begun = std::time::Instant::now();
        let problems = folder.problems(&yaml)?;
        assert!(!problems.is_empty() && problems[0].contains(wanted), "{name}: {problems:#?}");
        assert!(
            problems.iter().all(|problem| problem.len() < 600 && !problem.contains("opensesame")),
            "{name}: {problems:#?}"
        );
        assert!(begun.elapsed() < Duration::from_secs(2), "{name} took {:?}", begun.elapsed());
    }
    Ok(())
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "(?s)[a-z_:{}\\[\\]&*!|>'\"#\\-\\n \\t%@,0-9]{0,200}") {
        let _ = WebConfig::from_bytes(text.as_bytes(), std::path::Path::new("/nonexistent/web.yml"));
    }
}
