use std::{error::Error, fs, net::SocketAddr, os::unix::fs::PermissionsExt as _, path::PathBuf, time::Duration};

use super::{Mode, Permission, Permissions, Settings};
use crate::export::web_config::WebConfig;

type Outcome = Result<(), Box<dyn Error>>;

const HASH: &str = "$2y$10$abcdefghijklmnopqrstuuIJhD7cBTANNFpxMFd3bbmSoPd2YVz0e";

struct Folder(tempfile::TempDir);

impl Folder {
    /// With certificate, keys for tokens, and a secret.
    fn new() -> Result<Self, Box<dyn Error>> {
        let folder = Self(tempfile::tempdir()?);
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
        folder.write("cert.pem", made.cert.pem())?;
        folder.write("key.pem", made.signing_key.serialize_pem())?;
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519)?;
        folder.write("ed.pub", pair.public_key_pem())?;
        folder.write("ed.key", pair.serialize_pem())?;
        folder.write("secret", "0123456789abcdef0123456789abcdef\n")?;
        folder.write("set.json", r#"{"keys": [{"kty": "oct", "alg": "HS256", "kid": "s", "k": "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"}]}"#)?;
        Ok(folder)
    }

    fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> Result<PathBuf, Box<dyn Error>> {
        let path = self.0.path().join(name);
        fs::write(&path, contents)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        Ok(path)
    }

    fn web(&self, yaml: &str) -> Result<WebConfig, Box<dyn Error>> {
        Ok(WebConfig::load(&self.write("web.yml", yaml)?)?)
    }

    fn load(&self, yaml: &str, toml: impl AsRef<[u8]>) -> Result<Result<Settings, Vec<String>>, Box<dyn Error>> {
        let web = self.web(yaml)?;
        let path = self.write("auth.toml", toml)?;
        Ok(Settings::load(&web, Some(&path)).map_err(|error| error.0))
    }

    fn problems(&self, yaml: &str, toml: impl AsRef<[u8]>) -> Result<Vec<String>, Box<dyn Error>> {
        Ok(self.load(yaml, toml)?.map_or_else(|problems| problems, |_| Vec::new()))
    }
}

fn users() -> String {
    format!("basic_auth_users: {{ann: '{HASH}', bob: '{HASH}'}}\n")
}

const CLIENTS: &str = "tls_server_config: {cert_file: cert.pem, key_file: key.pem, client_ca_file: cert.pem, \
                       client_auth_type: RequireAndVerifyClientCert}\n";
const JWT: &str = "[jwt]\nissuers = ['fleet']\naudiences = ['uidmeter']\n[[jwt.keys]]\nkid = 'a'\nalgorithm = 'EdDSA'\nfile = 'ed.pub'\n";

#[test]
fn the_whole_file_is_read() -> Outcome {
    let folder = Folder::new()?;
    let toml = "mode = 'both'\nopen_health = true\n\
        [jwt]\nissuers = ['fleet', 'spare']\naudiences = ['uidmeter']\nleeway = '5s'\nmax_lifetime = '30days'\n\
        permissions_claim = 'uidmeter_permissions'\n\
        [[jwt.keys]]\nkid = 'a'\nalgorithm = 'EdDSA'\nfile = 'ed.pub'\n\
        [[jwt.keys]]\nkid = 'b'\nalgorithm = 'HS256'\nfile = 'secret'\n\
        [[jwt.key_sets]]\nfile = 'set.json'\n\
        [basic]\ndefault_permissions = ['metrics:read']\n[basic.permissions]\nbob = ['api:read', 'limits:write']\n\
        [certificates]\nsufficient = true\n[certificates.permissions]\n'prometheus.example' = []\n\
        [failures]\nburst = 5\ninterval = '10s'\n";
    let settings = folder.load(&format!("{CLIENTS}{}", users()), toml)?.map_err(|problems| problems.join("\n"))?;
    assert_eq!(settings.mode, Mode::Both);
    assert!(settings.open_health);
    let jwt = settings.jwt.ok_or("no jwt")?;
    assert_eq!(jwt.keys.iter().map(|key| key.kid().unwrap_or_default()).collect::<Vec<_>>(), ["a", "b", "s"]);
    assert_eq!(jwt.rules.issuers, ["fleet", "spare"]);
    assert_eq!((jwt.rules.leeway, jwt.rules.max_lifetime), (Duration::from_secs(5), Duration::from_hours(720)));
    assert_eq!(jwt.rules.permissions_claim, "uidmeter_permissions");
    assert_eq!(settings.user_grants.of("ann"), Permissions::NONE.with(Permission::MetricsRead));
    assert_eq!(
        settings.user_grants.of("bob"),
        Permissions::NONE.with(Permission::ApiRead).with(Permission::LimitsWrite)
    );
    assert!(settings.certificates.sufficient);
    assert_eq!(settings.certificate_grants.of_any(["prometheus.example"].into_iter()), Permissions::NONE);
    assert_eq!(settings.certificate_grants.of_any(["other"].into_iter()), Permissions::READ);
    assert_eq!((settings.failures.burst, settings.failures.interval), (5, Duration::from_secs(10)));
    let names: Vec<_> = settings.files.iter().filter_map(|file| file.file_name()?.to_str()).collect();
    assert_eq!(names, ["auth.toml", "ed.pub", "secret", "set.json"]);
    assert!(settings.warnings.is_empty(), "{:?}", settings.warnings);
    Ok(())
}

#[test]
fn the_mode_follows_from_what_is_configured() -> Outcome {
    let folder = Folder::new()?;
    for (yaml, toml, mode) in [
        (String::new(), "", Mode::None),
        (users(), "", Mode::Basic),
        (String::new(), JWT, Mode::Jwt),
        (users(), JWT, Mode::Both),
    ] {
        assert_eq!(folder.load(&yaml, toml)?.map_err(|problems| problems.join("\n"))?.mode, mode);
    }
    assert_eq!(Settings::load(&folder.web(&users())?, None)?.mode, Mode::Basic, "without a file of its own");
    // Leaving out one way in is a choice; leaving out all is an accident.
    let settings = folder.load(&users(), format!("mode = 'jwt'\n{JWT}"))?.map_err(|problems| problems.join("\n"))?;
    assert!(settings.users.0.is_empty() && settings.warnings[0].contains("leaves basic_auth_users unused"));
    let settings = folder.load(&users(), format!("mode = 'basic'\n{JWT}"))?.map_err(|problems| problems.join("\n"))?;
    assert!(settings.jwt.is_none() && settings.warnings[0].contains("leaves [jwt] unused"));
    for (yaml, toml, wanted) in [
        (users(), "mode = 'none'".to_owned(), "would let everybody in past the configured"),
        (String::new(), format!("mode = 'none'\n{JWT}"), "would let everybody in past the configured"),
        (String::new(), "mode = 'basic'".to_owned(), "needs basic_auth_users"),
        (users(), "mode = 'both'".to_owned(), "needs a section [jwt]"),
        (String::new(), "mode = 'mtls'".to_owned(), "known are none, basic, jwt and both"),
    ] {
        let problems = folder.problems(&yaml, &toml)?;
        assert!(problems.len() == 1 && problems[0].contains(wanted), "{toml}: {problems:#?}");
    }
    Ok(())
}

#[test]
fn mistakes_are_named_with_their_line() -> Outcome {
    let folder = Folder::new()?;
    fs::set_permissions(folder.write("open", "0123456789abcdef0123456789abcdef")?, fs::Permissions::from_mode(0o640))?;
    fs::set_permissions(folder.0.path().join("set.json"), fs::Permissions::from_mode(0o644))?;
    let key = |text: &str| format!("[jwt]\nissuers = ['a']\naudiences = ['b']\n[[jwt.keys]]\n{text}\n");
    for (toml, wanted) in [
        ("mod = 'none'".to_owned(), "auth.toml:1: unknown key \"mod\"; did you mean mode?"),
        ("[jwts]".to_owned(), "did you mean jwt?"),
        ("[failures]\nburst = 0".to_owned(), "auth.toml:2: failures.burst 0 is not between 1 and 1000"),
        ("[failures]\ninterval = '1ms'".to_owned(), "is not a time between 100ms and 1h"),
        ("[failures]\ninterval = 5".to_owned(), "is not a time between 100ms and 1h"),
        ("[basic]\ndefault_permissions = ['metric:read']".to_owned(), "did you mean metrics:read?"),
        ("[basic]\ndefault_permissions = 'metrics:read'".to_owned(), "must be a list of texts"),
        ("[basic.permissions]\nann = 'metrics:read'".to_owned(), "must be a list of texts"),
        ("[certificates]\nsufficient = true".to_owned(), "needs client certificates that are verified"),
        ("open_health = 'perhaps'".to_owned(), "must be true or false"),
        (format!("{JWT}[[jwt.keys]]\nkid = 'a'\nalgorithm = 'HS256'\nfile = 'secret'"), "the kid \"a\" names two keys"),
        (format!("{JWT}[[jwt.keys]]\nalgorithm = 'HS256'\nfile = 'secret'"), "each of several keys needs a kid"),
        (key("algorithm = 'none'\nfile = 'ed.pub'"), "the algorithm \"none\" is not accepted"),
        (key("algorithm = 'HS25'\nfile = 'secret'"), "did you mean HS256?"),
        (key("algorithm = 'ES512'\nfile = 'ed.pub'"), "is not accepted"),
        (key("file = 'ed.pub'"), "a key needs its algorithm"),
        (key("algorithm = 'EdDSA'"), "a key needs its file"),
        (key("algorithm = 'EdDSA'\nfile = 'ed.key'"), "is a private key"),
        (key("algorithm = 'EdDSA'\nfile = 'none.pub'"), "auth.toml:6: the key"),
        (key("algorithm = 'HS256'\nfile = 'ed.pub'"), "is PEM, and HS256 needs a shared secret"),
        (key("algorithm = 'ES256'\nfile = 'ed.pub'"), "is not a public key for ES256"),
        (key("algorithm = 'HS256'\nfile = 'open'"), "is open to others (mode 0640); run chmod 0600"),
        (
            "[jwt]\nissuers = ['a']\naudiences = ['b']\n[[jwt.key_sets]]\nfile = 'set.json'".to_owned(),
            "holds a shared secret and is open to others (mode 0644)",
        ),
        ("[jwt]\nissuers = ['a']\naudiences = ['b']".to_owned(), "jwt needs [[jwt.keys]] or [[jwt.key_sets]]"),
        (
            "[jwt]\nissuers = ['a']\naudiences = ['b']\nkeys = 'ed.pub'".to_owned(),
            "must be a list of at most 64 tables",
        ),
        (JWT.replace("['fleet']", "[]"), "jwt.issuers must list at least one name"),
        (JWT.replace("audiences = ['uidmeter']\n", ""), "jwt.audiences must list at least one name"),
        (JWT.replace("['fleet']", "['']"), "holds a name that is empty"),
        (JWT.replace("[jwt]", "[jwt]\nleeway = '31s'"), "is not a time between 0s and 30s"),
        (JWT.replace("[jwt]", "[jwt]\nmax_lifetime = '91days'"), "is not a time between 1m and 90days"),
        (JWT.replace("[jwt]", "[jwt]\npermissions_claim = 'aud'"), "cannot hold permissions"),
        ("mode = 'none'\nmode = 'basic'".to_owned(), "auth.toml:2 is not TOML that can be used"),
        ("mode = none".to_owned(), "is not TOML that can be used"),
        ("[".repeat(100_000), "is not TOML that can be used"),
        (format!("a = {}1{}", "[".repeat(60), "]".repeat(60)), "is nested deeper than 16 levels"),
    ] {
        let problems = folder.problems("", &toml)?;
        assert!(problems.iter().any(|problem| problem.contains(wanted)), "{toml}: {problems:#?} lack {wanted}");
        assert!(problems.iter().all(|problem| !problem.contains('\n') && problem.len() < 600), "{problems:#?}");
        assert!(problems.iter().all(|problem| !problem.contains("0123456789abcdef")), "{problems:#?}");
    }
    let problems = folder.problems("", b"mode = '\xff'")?;
    assert!(problems[0].contains("auth.toml:1 is not UTF-8"), "{problems:?}");
    Ok(())
}

#[test]
fn all_problems_come_at_once() -> Outcome {
    let folder = Folder::new()?;
    let problems =
        folder.problems("", "mode = 'x'\n[failures]\nburst = 0\n[basic]\nall = true\n[jwt]\nleeway = '1h'\n")?;
    assert_eq!(problems.len(), 7, "{problems:#?}");
    Ok(())
}

#[test]
fn nothing_leaves_loopback_without_authentication_and_tls() -> Outcome {
    let folder = Folder::new()?;
    let optional = CLIENTS.replace("RequireAndVerifyClientCert", "VerifyClientCertIfGiven");
    let unverified =
        "tls_server_config: {cert_file: cert.pem, key_file: key.pem, client_auth_type: RequireAnyClientCert}\n";
    // Web configuration, authentication file, and what may be served to the network: in the clear, with TLS.
    for (yaml, toml, clear, tls) in [
        ("", "", false, false),
        (&*users(), "", false, true),
        ("", JWT, false, true),
        (CLIENTS, "", false, true),
        (&*optional, "", false, true),
        (unverified, "", false, false),
        (&*format!("{CLIENTS}{}", users()), "", false, true),
    ] {
        let settings = folder.load(yaml, toml)?.map_err(|problems| problems.join("\n"))?;
        for address in ["127.0.0.1:9101", "127.1.2.3:1", "[::1]:9101", "[::ffff:127.0.0.1]:1"] {
            let address: SocketAddr = address.parse()?;
            assert!(
                settings.may_listen(address, false).is_ok() && settings.may_listen(address, true).is_ok(),
                "{address}"
            );
        }
        for address in ["0.0.0.0:9101", "[::]:9101", "192.0.2.1:1", "[::ffff:10.0.0.1]:1", "[fe80::1]:1", "128.0.0.1:1"]
        {
            let address: SocketAddr = address.parse()?;
            assert_eq!(settings.may_listen(address, false).is_ok(), clear, "{address} {yaml} {toml}");
            assert_eq!(settings.may_listen(address, true).is_ok(), tls, "{address} {yaml} {toml}");
            let sentence = settings.may_listen(address, false).err().unwrap_or_default();
            assert!(sentence.starts_with(&address.to_string()) && !sentence.contains('\n'), "{sentence}");
        }
    }
    Ok(())
}
