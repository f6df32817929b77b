use std::{error::Error, fmt::Write as _};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rcgen::{KeyPair, PublicKeyData as _, RsaKeySize, SignatureAlgorithm};

use super::{Algorithm, VerifyingKey, from_jwks, from_pem, secret_of_file};

type Outcome = Result<(), Box<dyn Error>>;

fn pair(algorithm: &'static SignatureAlgorithm) -> Result<KeyPair, Box<dyn Error>> {
    Ok(KeyPair::generate_for(algorithm)?)
}

fn flaw<T>(result: Result<T, String>) -> String {
    result.map_or_else(|flaw| flaw, |_| "accepted".to_owned())
}

#[test]
fn a_public_key_serves_its_own_algorithms_only() -> Outcome {
    let rsa = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048)?.public_key_pem();
    let p256 = pair(&rcgen::PKCS_ECDSA_P256_SHA256)?.public_key_pem();
    let p384 = pair(&rcgen::PKCS_ECDSA_P384_SHA384)?.public_key_pem();
    let ed = pair(&rcgen::PKCS_ED25519)?.public_key_pem();
    for algorithm in Algorithm::ALL {
        for (kind, pem, fits) in [
            ("RSA", &rsa, matches!(algorithm, Algorithm::Rs256 | Algorithm::Ps256)),
            ("P-256", &p256, algorithm == Algorithm::Es256),
            ("P-384", &p384, algorithm == Algorithm::Es384),
            ("Ed25519", &ed, algorithm == Algorithm::EdDsa),
        ] {
            let said = flaw(from_pem(algorithm, None, pem.as_bytes()));
            assert_eq!(said == "accepted", fits, "{kind} for {}: {said}", algorithm.name());
            // RS256 to HS256, prepared by a configuration.
            if algorithm.is_symmetric() {
                let said = flaw(VerifyingKey::from_secret(algorithm, None, pem.as_bytes()));
                assert!(said.starts_with("is PEM, and HS"), "{said}");
            }
        }
    }
    Ok(())
}

#[test]
fn what_is_no_public_key_in_pem_is_refused_by_its_name() -> Outcome {
    let ed = pair(&rcgen::PKCS_ED25519)?;
    let ec = pair(&rcgen::PKCS_ECDSA_P256_SHA256)?;
    let certificate = rcgen::generate_simple_self_signed(["a".to_owned()])?.cert.pem();
    let public = ed.public_key_pem();
    for (bytes, wanted) in [
        (ed.serialize_pem().into_bytes(), "is a private key"),
        (ec.serialize_pem().into_bytes(), "is a private key"),
        (certificate.into_bytes(), "is PEM of something else"),
        (ed.subject_public_key_info(), "is not PEM"),
        (ed.der_bytes().to_vec(), "is not PEM"),
        (Vec::new(), "is not PEM"),
        (format!("{public}{public}").into_bytes(), "holds more than one PEM section"),
        (public.replace("BEGIN", "BEGUN").into_bytes(), "is"),
        (public.split_at(60).0.as_bytes().to_vec(), "is"),
        (b"-----BEGIN PUBLIC KEY-----\n!!!!\n-----END PUBLIC KEY-----\n".to_vec(), "is broken PEM"),
        (b"-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n".to_vec(), "is not a public key for EdDSA"),
        (ec.public_key_pem().into_bytes(), "is not a public key for EdDSA"),
    ] {
        let said = flaw(from_pem(Algorithm::EdDsa, None, &bytes));
        assert!(said.starts_with(wanted), "{:?}: {said}", String::from_utf8_lossy(&bytes));
    }
    Ok(())
}

/// Made with `openssl genrsa 1024`.
const SHORT_RSA: &str = include_str!("testdata/rsa1024.pub");

#[test]
fn weak_keys_are_refused() {
    for algorithm in [Algorithm::Rs256, Algorithm::Ps256] {
        let said = flaw(from_pem(algorithm, None, SHORT_RSA.as_bytes()));
        assert!(said.contains("RSA key of 2048 to 8192 bits"), "{said}");
    }
    for (secret, fine) in [
        (&[7_u8; 32][..], true),
        (&[7; 31], false),
        (b"0123456789012345678901234567890\n", false),
        (b"01234567890123456789012345678901\r\n", true),
        (b"", false),
    ] {
        let said = flaw(VerifyingKey::from_secret(Algorithm::Hs256, None, secret_of_file(secret)));
        assert_eq!(said == "accepted", fine, "{said}");
    }
}

#[test]
fn a_newline_belongs_to_a_binary_secret_and_not_to_a_line_of_text() {
    for (file, secret) in [
        (&b"line of text\n"[..], &b"line of text"[..]),
        (b"line of text\r\n", b"line of text"),
        (b"line of text", b"line of text"),
        (b"two\n\n", b"two\n\n"),
        (b"\x80binary\n", b"\x80binary\n"),
        (b"\x00\r\n", b"\x00\r\n"),
        (b"\n", b""),
    ] {
        assert_eq!(secret_of_file(file), secret, "{file:?}");
    }
    // In a key set, the bytes are those that are written down.
    let set = |last: u8| {
        let secret = [&[b'x'; 40][..], &[last]].concat();
        format!(r#"{{"keys": [{{"kty": "oct", "alg": "HS256", "kid": "k", "k": "{}"}}]}}"#, encoded(&secret))
    };
    let fingerprint =
        |text: String| from_jwks(text.as_bytes()).ok().and_then(|keys| Some(*keys.first()?.fingerprint()));
    let exact = VerifyingKey::from_secret(Algorithm::Hs256, None, &[&[b'x'; 40][..], b"\n"].concat());
    assert_eq!(fingerprint(set(b'\n')), exact.ok().map(|key| *key.fingerprint()));
    assert_ne!(fingerprint(set(b'\n')), fingerprint(set(b'\r')));
}

fn encoded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

#[test]
fn key_sets_hold_every_kind() -> Outcome {
    let ed = pair(&rcgen::PKCS_ED25519)?;
    let p256 = pair(&rcgen::PKCS_ECDSA_P256_SHA256)?;
    let p384 = pair(&rcgen::PKCS_ECDSA_P384_SHA384)?;
    let rsa = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048)?;
    // DER of RFC 8017's RSAPublicKey with a modulus of 2048 bits: 9 bytes up to it, then exponent 65537.
    let modulus = &rsa.der_bytes()[9..9 + 256];
    let (x256, y256) = p256.der_bytes()[1..].split_at(32);
    let (x384, y384) = p384.der_bytes()[1..].split_at(48);
    let set = format!(
        r#"{{"keys": [
            {{"kty": "OKP", "crv": "Ed25519", "kid": "a", "x": "{}"}},
            {{"kty": "EC", "crv": "P-256", "kid": "b", "use": "sig", "x": "{}", "y": "{}"}},
            {{"kty": "EC", "crv": "P-384", "kid": "c", "alg": "ES384", "x": "{}", "y": "{}"}},
            {{"kty": "RSA", "alg": "PS256", "kid": "d", "n": "{}", "e": "AQAB"}},
            {{"kty": "oct", "alg": "HS512", "kid": "e", "k": "{}"}}
        ]}}"#,
        encoded(ed.der_bytes()),
        encoded(x256),
        encoded(y256),
        encoded(x384),
        encoded(y384),
        encoded(modulus),
        encoded(&[9; 64]),
    );
    let keys = from_jwks(set.as_bytes()).map_err(|flaws| flaws.join("\n"))?;
    let found: Vec<_> = keys.iter().map(|key| (key.kid().unwrap_or_default(), key.algorithm().name())).collect();
    assert_eq!(found, [("a", "EdDSA"), ("b", "ES256"), ("c", "ES384"), ("d", "PS256"), ("e", "HS512")]);
    Ok(())
}

#[test]
fn key_sets_name_every_key_that_cannot_be_used() -> Outcome {
    let ed = encoded(pair(&rcgen::PKCS_ED25519)?.der_bytes());
    let secret = encoded(&[9; 32]);
    let mut keys = String::new();
    let cases = [
        (format!(r#""kty": "OKP", "crv": "Ed25519", "x": "{ed}""#), "lacks \"kid\""),
        (format!(r#""kid": "", "kty": "OKP", "crv": "Ed25519", "x": "{ed}""#), "lacks \"kid\""),
        (format!(r#""kid": "a", "kty": "OKP", "crv": "Ed25519", "x": "{ed}", "d": "{ed}""#), "is a private key"),
        (format!(r#""kid": "a", "kty": "OKP", "crv": "Ed25519", "x": "{ed}", "use": "enc""#), "is not for signatures"),
        (
            format!(r#""kid": "a", "kty": "OKP", "crv": "Ed25519", "x": "{ed}", "alg": "HS256""#),
            "does not fit its kind",
        ),
        (format!(r#""kid": "a", "kty": "OKP", "crv": "Ed25519", "x": "{ed}=""#), "is not base64url"),
        (r#""kid": "a", "kty": "OKP", "crv": "Ed25519", "x": "AAAA""#.to_owned(), "is not the Ed25519 key"),
        (r#""kid": "a", "kty": "OKP", "crv": "Ed25519""#.to_owned(), "lacks \"x\""),
        (r#""kid": "a", "kty": "OKP", "crv": "Ed448", "x": "AAAA""#.to_owned(), "lacks \"alg\""),
        (
            format!(r#""kid": "a", "kty": "EC", "crv": "P-256", "x": "{ed}", "y": "{ed}""#),
            "is not the point on the curve",
        ),
        (format!(r#""kid": "a", "kty": "oct", "k": "{secret}""#), "lacks \"alg\""),
        (format!(r#""kid": "a", "kty": "oct", "alg": "none", "k": "{secret}""#), "that is not accepted"),
        (format!(r#""kid": "a", "kty": "oct", "alg": "RS256", "k": "{secret}""#), "does not fit its \"alg\""),
        (r#""kid": "a", "kty": "oct", "alg": "HS256", "k": "AAAA""#.to_owned(), "needs at least 32"),
        (
            r#""kid": "a", "kty": "RSA", "alg": "HS256", "n": "AAAA", "e": "AQAB""#.to_owned(),
            "does not fit its \"alg\"",
        ),
        (r#""kid": "a", "kty": "RSA", "alg": "RS256", "n": "AAAA", "e": "AQAB""#.to_owned(), "RSA key"),
        (r#""kid": 7, "kty": "RSA""#.to_owned(), "lacks \"kid\""),
    ];
    for (members, _) in &cases {
        write!(keys, "{}{{{members}}}", if keys.is_empty() { "" } else { "," })?;
    }
    let flaws = from_jwks(format!("{{\"keys\": [{keys}, 7]}}").as_bytes()).err().unwrap_or_default();
    assert_eq!(flaws.len(), cases.len() + 1, "{flaws:#?}");
    for ((_, wanted), flaw) in cases.iter().zip(&flaws) {
        assert!(flaw.contains(wanted), "{flaw} lacks {wanted}");
        assert!(!flaw.contains(&secret), "{flaw}");
    }
    for (text, wanted) in [
        ("", "is not JSON"),
        ("{", "is not JSON"),
        ("[]", "is not a JSON Web Key Set"),
        ("{\"keys\": {}}", "is not a JSON Web Key Set"),
        ("{\"keys\": []}", "holds no key"),
        ("-----BEGIN PUBLIC KEY-----", "is not JSON"),
    ] {
        let flaws = from_jwks(text.as_bytes()).err().unwrap_or_default();
        assert!(flaws.len() == 1 && flaws[0].contains(wanted), "{text}: {flaws:?}");
    }
    Ok(())
}
