//! Hostile input by the million, for every parser that strangers reach. Run by hand:
//!
//! ```text
//! cargo test --release -p collector --features fuzz-tests --test fuzz -- --nocapture
//! ```
//!
//! `UIDMETER_FUZZ_EXECUTIONS` changes how many, `UIDMETER_FUZZ_SEED` which. Inputs grow out of `tests/corpus`; what must
//! hold of every answer is checked, and how long the slowest took. A panic prints the input before it fails.

#[path = "fuzz/mutator.rs"]
mod mutator;
#[path = "fuzz/requests.rs"]
mod requests;

use std::{
    error::Error,
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    path::Path,
    time::{Duration, Instant, UNIX_EPOCH},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use collector::{
    export::{
        auth::{
            Settings,
            authorization::{self, Credentials},
            jwt::{Rules, verify},
            keys::{Algorithm, VerifyingKey},
        },
        web_config::WebConfig,
    },
    token,
};
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use jsonwebtoken::{EncodingKey, crypto};
use mutator::Mutator;

type Outcome = Result<(), Box<dyn Error>>;

const SECRET: [u8; 32] = [42; 32];
const NOW: u64 = 1_800_000_000;
/// No input of that size may keep a CPU for longer.
const SLOWEST: Duration = Duration::from_millis(200);

/// What this thread has used: others on the machine do not count.
fn cpu_time() -> Result<Duration, nix::Error> {
    nix::time::clock_gettime(nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from)
}

/// A number from the environment.
fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Feeds `parser` with offspring of the corpus `names`; it says whether it has accepted the input.
fn feed(names: &[&str], longest: usize, mut parser: impl FnMut(&[Vec<u8>]) -> bool) -> Outcome {
    let executions = number("UIDMETER_FUZZ_EXECUTIONS", 1_000_000);
    let mut mutators = Vec::new();
    for (at, name) in names.iter().enumerate() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(name);
        let seed = number("UIDMETER_FUZZ_SEED", 1).wrapping_add(at as u64);
        mutators.push(Mutator::from_corpus(&folder, seed, longest)?);
    }
    let (begun, mut slowest, mut accepted) = (Instant::now(), Duration::ZERO, 0_u64);
    for _ in 0..executions {
        let inputs: Vec<Vec<u8>> = mutators.iter_mut().map(Mutator::next).collect();
        let start = cpu_time()?;
        match catch_unwind(AssertUnwindSafe(|| parser(&inputs))) {
            Ok(fine) => accepted += u64::from(fine),
            Err(panic) => {
                for input in &inputs {
                    let _ = writeln!(std::io::stderr(), "{names:?}: input {:?}", String::from_utf8_lossy(input));
                }
                resume_unwind(panic);
            }
        }
        slowest = slowest.max(cpu_time()?.saturating_sub(start));
    }
    let rate = u128::from(executions) * 1000 / begun.elapsed().as_millis().max(1);
    writeln!(
        std::io::stderr(),
        "{names:?}: {executions} inputs, {rate} a second, {accepted} accepted, slowest {slowest:?}"
    )?;
    assert!(slowest < SLOWEST, "{slowest:?}");
    assert!(accepted > 0, "no input went all the way through");
    assert!(accepted < executions, "nothing was refused");
    Ok(())
}

/// A folder with everything that the corpus names.
fn folder() -> Result<tempfile::TempDir, Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519)?;
    let set =
        r#"{"keys": [{"kty": "oct", "alg": "HS256", "kid": "t", "k": "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"}]}"#;
    for (name, text) in [
        ("cert.pem", made.cert.pem()),
        ("key.pem", made.signing_key.serialize_pem()),
        ("ed.pub", pair.public_key_pem()),
        ("secret", "0123456789abcdef0123456789abcdef".to_owned()),
        ("set.json", set.to_owned()),
    ] {
        let path = folder.path().join(name);
        fs::write(&path, text)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    }
    Ok(folder)
}

#[test]
fn web_configuration() -> Outcome {
    let folder = folder()?;
    let path = folder.path().join("web.yml");
    feed(&["web_config"], 4096, |inputs| match WebConfig::from_bytes(&inputs[0], &path) {
        Ok(config) => {
            if let Some(tls) = config.tls {
                assert!(tls.client_allowed_sans.is_none() || tls.client_auth.verifies());
                assert_eq!(tls.client_ca.is_empty(), !tls.client_auth.verifies());
                assert!(!tls.certificates.is_empty() && tls.min_version <= tls.max_version);
            }
            for user in config.basic.map(|users| users.0).unwrap_or_default() {
                assert!(user.hash.expose().len() == 60 && !user.name.contains(':') && !user.name.is_empty());
            }
            assert!(config.rate_limit.is_none_or(|limit| limit.burst > 0 && !limit.interval.is_zero()));
            true
        }
        Err(error) => {
            assert!(!error.0.is_empty() && error.0.iter().all(|problem| !problem.contains('\n')), "{error:?}");
            false
        }
    })
}

#[test]
fn authentication_file() -> Outcome {
    let folder = folder()?;
    let web = WebConfig::default();
    let path = folder.path().join("auth.toml");
    feed(&["auth_file"], 4096, |inputs| match Settings::parse(&web, &inputs[0], &path) {
        Ok(settings) => {
            let jwt = settings.jwt;
            assert!(jwt.is_none_or(|jwt| !jwt.keys.is_empty()
                && !jwt.rules.issuers.is_empty()
                && !jwt.rules.audiences.is_empty()));
            true
        }
        Err(error) => {
            assert!(!error.0.is_empty() && error.0.iter().all(|problem| !problem.contains('\n')), "{error:?}");
            false
        }
    })
}

fn rules() -> Rules {
    Rules {
        issuers: vec!["fleet".into()],
        audiences: vec!["uidmeter".into()],
        leeway: Duration::from_secs(10),
        max_lifetime: Duration::from_hours(1),
        permissions_claim: "permissions".into(),
    }
}

/// Hostile header and claims under a good signature, so that what comes behind it is reached, too.
#[test]
fn signed_tokens() -> Outcome {
    let keys = [VerifyingKey::from_secret(Algorithm::Hs256, Some("k".into()), &SECRET)?];
    let private = EncodingKey::from_secret(&SECRET);
    let (rules, now) = (rules(), UNIX_EPOCH + Duration::from_secs(NOW));
    feed(&["header", "claims"], 2048, |inputs| {
        let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let signed = format!("{}.{}", part(&inputs[0]), part(&inputs[1]));
        let signature = crypto::sign(signed.as_bytes(), &private, jsonwebtoken::Algorithm::HS256).unwrap_or_default();
        let token = format!("{signed}.{signature}");
        if let Ok(said) = token::describe(&token) {
            assert!(said.bytes().all(|byte| byte == b'\n' || (b' '..=b'~').contains(&byte)), "{said}");
        }
        match verify(&token, &keys, &rules, now) {
            Ok(claims) => {
                assert!(
                    claims.expires + 10 > NOW
                        && claims.issued <= NOW + 10
                        && claims.expires - claims.issued.min(claims.expires) <= 3600
                );
                let claims = String::from_utf8_lossy(&inputs[1]);
                assert!(claims.contains("\"iss\"") || claims.contains('\\'), "{claims}");
                true
            }
            Err(flaw) => {
                assert!(!flaw.sentence().is_empty());
                false
            }
        }
    })
}

/// The text of a token itself; none of these has been signed but the one in the corpus.
#[test]
fn authorization_headers_and_their_tokens() -> Outcome {
    let keys = [VerifyingKey::from_secret(Algorithm::Hs256, None, &SECRET)?];
    let (rules, now) = (rules(), UNIX_EPOCH + Duration::from_secs(NOW));
    feed(&["authorization"], 16 * 1024, |inputs| {
        let Ok(value) = HeaderValue::from_bytes(&inputs[0]) else { return false };
        let mut headers = HeaderMap::new();
        headers.append(AUTHORIZATION, value);
        match authorization::read(&headers) {
            Ok(Some(Credentials::Basic(login))) => {
                assert!((1..=72).contains(&login.password.len()) && !login.password.contains(&0));
                assert!(!login.name.contains(':') && !login.name.chars().any(char::is_control));
                true
            }
            Ok(Some(Credentials::Bearer(token))) => {
                assert!(token.len() <= authorization::LONGEST_TOKEN);
                assert!(verify(token, &keys, &rules, now).is_err(), "a token that nobody has signed came in");
                let _ = token::describe(token);
                true
            }
            Ok(None) => unreachable!("there is a header"),
            Err(_) => false,
        }
    })
}
