//! The table of what is not let in. Every case differs from a good token in one thing.

mod signer;

use std::{
    error::Error,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};

use self::signer::{Signer, part};
use super::{Claims, Flaw, Permission, Permissions, Rules, VerifyingKey, verify};
use crate::export::auth::keys::Algorithm;

type Outcome = Result<(), Box<dyn Error>>;

const NOW: u64 = 1_800_000_000;

fn rules() -> Rules {
    Rules {
        issuers: vec!["fleet".into(), "spare".into()],
        audiences: vec!["uidmeter".into()],
        leeway: Duration::from_secs(30),
        max_lifetime: Duration::from_hours(1),
        permissions_claim: "permissions".into(),
    }
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

/// What a good token says.
fn claims() -> Value {
    json!({"iss": "fleet", "aud": "uidmeter", "sub": "prometheus", "iat": NOW - 60, "nbf": NOW - 60, "exp": NOW + 600,
        "permissions": ["metrics:read"]})
}

/// The good claims with one of them changed, or removed if it is null.
fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    if let Some(members) = claims.as_object_mut() {
        if value.is_null() {
            members.remove(name);
        } else {
            members.insert(name.to_owned(), value);
        }
    }
    claims
}

fn check(token: &str, keys: &[VerifyingKey]) -> Result<Claims, Flaw> {
    verify(token, keys, &rules(), at(NOW))
}

/// What is said about a token with these claims.
fn verdict(claims: &Value) -> Result<Claims, Flaw> {
    let signer = Signer::shared();
    check(&signer.token(&json!({"alg": "HS256", "kid": "k"}), claims), signer.only())
}

/// The same with a header of its own.
fn verdict_on_header(header: &Value) -> Result<Claims, Flaw> {
    let signer = Signer::shared();
    check(&signer.token(header, &claims()), signer.only())
}

fn sentence(verdict: &Result<Claims, Flaw>) -> &'static str {
    verdict.as_ref().map_or_else(|flaw| flaw.sentence(), |_| "let in")
}

#[test]
fn every_algorithm_lets_its_own_token_in_and_no_other() -> Outcome {
    let signers = Algorithm::ALL.map(|algorithm| Signer::new(algorithm, "k"));
    let signers: Vec<Signer> = signers.into_iter().collect::<Result<_, _>>()?;
    for signer in &signers {
        let token = signer.token(&json!({"alg": signer.algorithm.name(), "kid": "k"}), &claims());
        for other in &signers {
            let verdict = check(&token, other.only());
            assert_eq!(verdict.is_ok(), signer.algorithm == other.algorithm, "{:?} {verdict:?}", other.key);
        }
        let found = check(&token, signer.only()).map_err(Flaw::sentence)?;
        assert_eq!((&*found.subject, found.expires, found.issued), ("prometheus", NOW + 600, NOW - 60));
        assert_eq!(found.permissions, Permissions::NONE.with(Permission::MetricsRead));
        assert_eq!(found.key, *signer.key.fingerprint());
        // One bit of the signature.
        let (signed, signature) = token.rsplit_once('.').ok_or("no signature")?;
        let mut bytes = super::decode(signature).map_err(Flaw::sentence)?;
        bytes[7] ^= 1;
        assert_eq!(check(&format!("{signed}.{}", part(&bytes)), signer.only()), Err(Flaw::Signature));
        // A key of the same kind that is another's.
        let stranger = Signer::new(signer.algorithm, "k")?;
        assert_eq!(check(&token, &[stranger.key]), Err(Flaw::Signature));
    }
    Ok(())
}

#[test]
fn alg_none_in_any_spelling_is_refused() {
    let signer = Signer::shared();
    for name in ["none", "None", "NONE", "nOnE", "none ", " none", "", "null", "\u{ff4e}one", "none\0"] {
        let header = json!({"alg": name, "kid": "k"});
        let complete = signer.token(&header, &claims());
        let unsigned = format!("{}.{}.", part(header.to_string().as_bytes()), part(claims().to_string().as_bytes()));
        assert_eq!(sentence(&check(&complete, signer.only())), "the token's alg is not that of its key", "{name:?}");
        assert_eq!(sentence(&check(&unsigned, signer.only())), "the token is not signed", "{name:?}");
        let pretended = format!("{unsigned}AAAA");
        assert_eq!(sentence(&check(&pretended, signer.only())), "the token's alg is not that of its key");
    }
    for header in [
        json!({"kid": "k"}),
        json!({"alg": null, "kid": "k"}),
        json!({"alg": ["HS256"], "kid": "k"}),
        json!({"alg": 1, "kid": "k"}),
    ] {
        assert_eq!(sentence(&verdict_on_header(&header)), "the token's alg is not that of its key", "{header}");
    }
}

#[test]
fn names_of_algorithms_have_case() {
    for name in ["hs256", "Hs256", "HS256 ", "HMAC-SHA256", "HS384", "HS512"] {
        let found = verdict_on_header(&json!({"alg": name, "kid": "k"}));
        assert_eq!(sentence(&found), "the token's alg is not that of its key", "{name}");
    }
}

#[test]
fn a_public_key_does_not_serve_as_a_shared_secret() -> Outcome {
    for algorithm in [Algorithm::Rs256, Algorithm::Ps256, Algorithm::Es256, Algorithm::EdDsa] {
        let victim = Signer::new(algorithm, "k")?;
        let public = victim.public.clone();
        // With the PEM as it is, and without the newline at its end.
        for secret in [public.as_bytes(), public.trim_end().as_bytes()] {
            let token = Signer::of_secret(secret)?.token(&json!({"alg": "HS256", "kid": "k"}), &claims());
            let verdict = check(&token, victim.only());
            assert_eq!(sentence(&verdict), "the token's alg is not that of its key", "{algorithm:?}");
            // The same signature under the right name.
            let token = Signer::of_secret(secret)?.token(&json!({"alg": algorithm.name(), "kid": "k"}), &claims());
            assert_eq!(check(&token, victim.only()), Err(Flaw::Signature), "{algorithm:?}");
        }
    }
    Ok(())
}

#[test]
fn a_stripped_signature_is_refused() {
    let signer = Signer::shared();
    let token = signer.token(&json!({"alg": "HS256", "kid": "k"}), &claims());
    let (head, signature) = token.rsplit_once('.').unwrap_or_default();
    for (token, wanted) in [
        (format!("{head}."), "the token is not signed"),
        (head.to_owned(), "the token does not have three parts"),
        (format!("{token}.{signature}"), "the token does not have three parts"),
        (format!("{head}.{}", &signature[..20]), "the token's signature is not that of its key"),
        (format!("{head}.{}", &signature[..1]), "a part of the token is not base64url"),
        (format!("{token}="), "a part of the token is not base64url"),
        (format!("{token}\n"), "a part of the token is not base64url"),
        (format!("{token}A"), "the token's signature is not that of its key"),
        (format!("{token}AA"), "a part of the token is not base64url"),
        (format!(" {token}"), "a part of the token is not base64url"),
        (format!(".{head}"), "the token's header is no plain JSON object"),
        (format!("{head}.{}", signature.replacen(['A', '_'], "+", 1)), "a part of the token is not base64url"),
        (String::new(), "the token does not have three parts"),
        ("..".to_owned(), "the token is not signed"),
        ("....".to_owned(), "the token does not have three parts"),
        ("a".repeat(8193), "the token is too long"),
        (format!("{}.{}.{}", "a".repeat(4000), "a".repeat(4000), "a".repeat(400)), "the token is too long"),
    ] {
        assert_eq!(sentence(&check(&token, signer.only())), wanted, "{token}");
    }
}

#[test]
fn tokens_end_one_second_past_the_leeway() {
    let ends = |exp: u64| verdict(&with("exp", json!(exp)));
    assert_eq!(sentence(&ends(NOW - 29)), "let in");
    assert_eq!(sentence(&ends(NOW - 30)), "the token has expired");
    assert_eq!(sentence(&ends(NOW - 31)), "the token has expired");
    assert_eq!(sentence(&ends(0)), "the token has expired");
}

#[test]
fn a_token_from_the_future_waits_for_its_time() {
    for (name, flaw) in
        [("nbf", "the token is not valid yet (nbf)"), ("iat", "the token was issued in the future (iat)")]
    {
        assert_eq!(sentence(&verdict(&with(name, json!(NOW + 30)))), "let in", "{name}");
        assert_eq!(sentence(&verdict(&with(name, json!(NOW + 31)))), flaw, "{name}");
    }
    assert_eq!(sentence(&verdict(&with("nbf", Value::Null))), "let in");
}

#[test]
fn times_are_whole_seconds_that_a_calendar_has() {
    for (name, flaw) in [
        ("exp", "the token's exp is not a whole number of seconds"),
        ("nbf", "the token's nbf is not a whole number of seconds"),
        ("iat", "the token's iat is not a whole number of seconds"),
    ] {
        for text in [
            "1800000300.5",
            "1800000300.0",
            "1.8e9",
            "1e300",
            "-1",
            "-0.0",
            "\"1800000300\"",
            "true",
            "[1800000300]",
            "{}",
            "18446744073709551615",
            "18446744073709551616",
            "99999999999999999999999999",
            "253402300800",
        ] {
            let claims = claims().to_string();
            let value = claims.split_once(&format!("\"{name}\":")).and_then(|(_, rest)| rest.split([',', '}']).next());
            let hostile =
                claims.replace(&format!("\"{name}\":{}", value.unwrap_or_default()), &format!("\"{name}\":{text}"));
            let signer = Signer::shared();
            let token = signer.raw(br#"{"alg":"HS256","kid":"k"}"#, hostile.as_bytes());
            assert_eq!(sentence(&check(&token, signer.only())), flaw, "{name} {text}");
        }
    }
    // Not JSON at all.
    for text in ["1e400", "0x10", "01", "NaN", "Infinity", "1_000"] {
        let signer = Signer::shared();
        let token = signer.raw(br#"{"alg":"HS256","kid":"k"}"#, format!("{{\"exp\":{text}}}").as_bytes());
        let wanted = "the token's claims are no plain JSON object";
        assert_eq!(sentence(&check(&token, signer.only())), wanted, "{text}");
    }
}

#[test]
fn required_claims_are_required() {
    for (name, flaw) in [
        ("exp", "the token has no exp"),
        ("iss", "the token has no iss"),
        ("aud", "the token has no aud"),
        ("iat", "the token has no iat, so its lifetime is unknown"),
    ] {
        assert_eq!(sentence(&verdict(&with(name, Value::Null))), flaw);
    }
    let explicit = claims().to_string().replace("\"fleet\"", "null");
    let signer = Signer::shared();
    let token = signer.raw(br#"{"alg":"HS256","kid":"k"}"#, explicit.as_bytes());
    assert_eq!(sentence(&check(&token, signer.only())), "the token's iss is no text");
}

#[test]
fn issuers_and_audiences_match_as_a_whole() {
    for (iss, fine) in [
        (json!("fleet"), true),
        (json!("spare"), true),
        (json!("Fleet"), false),
        (json!("fleet "), false),
        (json!("fleets"), false),
        (json!(""), false),
        (json!(["fleet"]), false),
        (json!(7), false),
    ] {
        assert_eq!(verdict(&with("iss", iss.clone())).is_ok(), fine, "{iss}");
    }
    let many: Vec<String> = (0..17).map(|number| format!("other{number}")).chain(["uidmeter".into()]).collect();
    for (aud, fine) in [
        (json!("uidmeter"), true),
        (json!(["uidmeter"]), true),
        (json!(["other", "uidmeter"]), true),
        (json!("other"), false),
        (json!("uidmeter other"), false),
        (json!("UIDMETER"), false),
        (json!(["other"]), false),
        (json!([]), false),
        (json!(["uidmeter", 7]), false),
        (json!([["uidmeter"]]), false),
        (json!({"uidmeter": true}), false),
        (json!(true), false),
        (json!(many), false),
    ] {
        assert_eq!(verdict(&with("aud", aud.clone())).is_ok(), fine, "{aud}");
    }
}

#[test]
fn lifetimes_are_bounded_by_iat_and_not_by_nbf() {
    assert_eq!(sentence(&verdict(&with("exp", json!(NOW - 60 + 3600)))), "let in");
    assert_eq!(
        sentence(&verdict(&with("exp", json!(NOW - 60 + 3601)))),
        "the token lives longer than max_lifetime allows"
    );
    assert_eq!(sentence(&verdict(&with("iat", json!(0)))), "the token lives longer than max_lifetime allows");
    assert_eq!(
        sentence(&verdict(&with("exp", json!(253_402_300_799_u64)))),
        "the token lives longer than max_lifetime allows"
    );
    // It ends before it begins: as good as expired.
    assert_eq!(
        sentence(&verdict(&json!({"iss": "fleet", "aud": "uidmeter", "iat": NOW, "exp": NOW - 40}))),
        "the token has expired"
    );
}

#[test]
fn headers_that_carry_or_point_to_keys_are_refused() -> Outcome {
    let attacker = Signer::new(Algorithm::EdDsa, "k")?;
    for (name, value) in [
        ("crit", json!(["exp"])),
        ("crit", json!(["b64"])),
        ("crit", json!([])),
        ("crit", json!(null)),
        ("jwk", json!({"kty": "OKP", "crv": "Ed25519", "x": part(&[1; 32])})),
        ("jku", json!("https://attacker.example/keys")),
        ("x5u", json!("https://attacker.example/chain")),
        ("x5c", json!(["MIIB"])),
        ("zip", json!("DEF")),
        ("enc", json!("A128GCM")),
    ] {
        let wanted = "the token's header asks for something that is refused (crit, jku, jwk, x5u, x5c, enc, zip)";
        let mut header = json!({"alg": "HS256", "kid": "k"});
        header[name] = value.clone();
        assert_eq!(sentence(&verdict_on_header(&header)), wanted, "{name}: {value}");
        // The attack proper: signed with the attacker's key, which the header brings along.
        header["alg"] = json!("EdDSA");
        assert!(check(&attacker.token(&header, &claims()), Signer::shared().only()).is_err());
    }
    Ok(())
}

#[test]
fn kid_chooses_the_key_and_nothing_else() -> Outcome {
    let old = Signer::new(Algorithm::EdDsa, "old")?;
    let new = Signer::new(Algorithm::EdDsa, "new")?;
    let keys = [old.key.clone(), new.key.clone()];
    let token = |signer: &Signer, header: Value| check(&signer.token(&header, &claims()), &keys);
    assert!(token(&old, json!({"alg": "EdDSA", "kid": "old"})).is_ok(), "both serve during rotation");
    assert!(token(&new, json!({"alg": "EdDSA", "kid": "new"})).is_ok());
    assert_eq!(token(&new, json!({"alg": "EdDSA", "kid": "old"})), Err(Flaw::Signature));
    for (kid, wanted) in [
        (json!("stranger"), "the token names a key (kid) that is not configured"),
        (json!("../../etc/passwd"), "the token names a key (kid) that is not configured"),
        (json!("NEW"), "the token names a key (kid) that is not configured"),
        (json!(""), "the token names a key (kid) that is not configured"),
        (json!("k".repeat(257)), "the token's kid is not a text of at most 256 bytes"),
        (json!(7), "the token's kid is not a text of at most 256 bytes"),
        (json!(["new"]), "the token's kid is not a text of at most 256 bytes"),
        (json!(null), "the token's kid is not a text of at most 256 bytes"),
        (json!("k".repeat(10_000)), "the token is too long"),
    ] {
        assert_eq!(sentence(&token(&new, json!({"alg": "EdDSA", "kid": kid}))), wanted, "{kid}");
    }
    let anonymous = new.token(&json!({"alg": "EdDSA"}), &claims());
    assert_eq!(sentence(&check(&anonymous, &keys)), "the token names no key (kid), and there are several");
    assert!(check(&anonymous, &keys[1..]).is_ok(), "a single key needs no name");
    assert_eq!(sentence(&check(&anonymous, &[])), "the token names no key (kid), and there are several");
    // A removed key is gone.
    let token = old.token(&json!({"alg": "EdDSA", "kid": "old"}), &claims());
    assert_eq!(sentence(&check(&token, &keys[1..])), "the token names a key (kid) that is not configured");
    Ok(())
}

#[test]
fn a_key_without_a_name_serves_whatever_the_token_calls_it() -> Outcome {
    let signer = Signer::unnamed(Algorithm::Es256)?;
    for header in [json!({"alg": "ES256"}), json!({"alg": "ES256", "kid": "whatever"})] {
        assert!(check(&signer.token(&header, &claims()), signer.only()).is_ok(), "{header}");
    }
    Ok(())
}

#[test]
fn nothing_may_be_said_twice() {
    let signer = Signer::shared();
    let header = br#"{"alg":"HS256","kid":"k"}"#;
    let good = claims().to_string();
    for (header, claims, wanted) in [
        (&header[..], good.replace('{', r#"{"exp":1,"#), "the token's claims are no plain JSON object"),
        (header, good.replace('}', r#","iss":"fleet"}"#), "the token's claims are no plain JSON object"),
        (header, good.replace('}', r#","\u0069ss":"fleet"}"#), "the token's claims are no plain JSON object"),
        (br#"{"alg":"HS256","alg":"none","kid":"k"}"#, good.clone(), "the token's header is no plain JSON object"),
        (br#"{"alg":"HS256","kid":"k","kid":"k"}"#, good.clone(), "the token's header is no plain JSON object"),
        (br#"{"alg":"HS256","kid":"k"} "#, good.clone(), "let in"),
        (br#"{"alg":"HS256","kid":"k"}{}"#, good.clone(), "the token's header is no plain JSON object"),
        (br#"["alg","HS256"]"#, good.clone(), "the token's header is no plain JSON object"),
        (b"null", good.clone(), "the token's header is no plain JSON object"),
        (b"\xef\xbb\xbf{\"alg\":\"HS256\",\"kid\":\"k\"}", good.clone(), "the token's header is no plain JSON object"),
        (b"{\"alg\":\"HS256\",\"kid\":\"\xff\"}", good.clone(), "the token's header is no plain JSON object"),
        (header, "[]".to_owned(), "the token's claims are no plain JSON object"),
        (header, String::new(), "the token's claims are no plain JSON object"),
        (
            header,
            format!("{{\"a\":{}1{}}}", "[".repeat(2000), "]".repeat(2000)),
            "the token's claims are no plain JSON object",
        ),
    ] {
        let token = signer.raw(header, claims.as_bytes());
        assert_eq!(sentence(&check(&token, signer.only())), wanted, "{} {claims}", String::from_utf8_lossy(header));
    }
}

#[test]
fn typ_is_that_of_a_token() {
    for (kind, fine) in [
        (json!("JWT"), true),
        (json!("jwt"), true),
        (json!("at+jwt"), true),
        (json!("application/at+jwt"), true),
        (json!("JWE"), false),
        (json!("dpop+jwt"), false),
        (json!("id+jwt"), false),
        (json!(""), false),
        (json!(1), false),
    ] {
        assert_eq!(verdict_on_header(&json!({"alg": "HS256", "kid": "k", "typ": kind})).is_ok(), fine, "{kind}");
    }
}

#[test]
fn permissions_come_from_their_claim_or_from_scope() {
    let read = Permissions::NONE.with(Permission::MetricsRead);
    let said = |name: &str, value: Value| {
        let mut claims = with("permissions", Value::Null);
        claims[name] = value;
        verdict(&claims).map(|claims| claims.permissions).map_err(Flaw::sentence)
    };
    assert_eq!(said("permissions", json!([])), Ok(Permissions::NONE));
    assert_eq!(said("permissions", json!(["limits:write", "metrics:read"])), Ok(read.with(Permission::LimitsWrite)));
    assert_eq!(said("permissions", json!(["metrics:*", "METRICS:READ", "metrics:read "])), Ok(Permissions::NONE));
    assert_eq!(said("permissions", json!("metrics:read")), Err("the token's permissions are no list of texts"));
    assert_eq!(said("permissions", json!([1])), Err("the token's permissions are no list of texts"));
    assert_eq!(said("scope", json!("openid metrics:read")), Ok(read));
    assert_eq!(said("scope", json!("metrics:read\tapi:read")), Ok(Permissions::NONE));
    assert_eq!(said("scope", json!(["metrics:read"])), Err("the token's scope is no text"));
    assert_eq!(said("unrelated", json!(1)), Ok(Permissions::NONE));
    let mut both = claims();
    both["scope"] = json!("limits:write");
    assert_eq!(verdict(&both).map(|claims| claims.permissions), Ok(read), "scope adds nothing to the claim");
}

#[test]
fn subjects_are_short_text_or_absent() {
    assert_eq!(verdict(&with("sub", Value::Null)).map(|claims| claims.subject.to_string()), Ok(String::new()));
    for subject in [json!(7), json!(["a"]), json!("s".repeat(257))] {
        assert_eq!(sentence(&verdict(&with("sub", subject))), "the token's sub is not a text of at most 256 bytes");
    }
}

proptest::proptest! {
    #[test]
    fn no_text_is_let_in_or_panics(text in "[A-Za-z0-9_\\-.=]{0,300}") {
        proptest::prop_assert!(check(&text, Signer::shared().only()).is_err());
    }

    #[test]
    fn no_change_of_one_byte_is_let_in(place in 0_usize..200, byte in proptest::sample::select(b"ABYZabyz0189-_.=".to_vec())) {
        let signer = Signer::shared();
        let good = signer.token(&json!({"alg": "HS256", "kid": "k"}), &claims());
        let mut bytes = good.clone().into_bytes();
        let place = place % bytes.len();
        bytes[place] = byte;
        let changed = String::from_utf8(bytes).unwrap_or_default();
        proptest::prop_assert_eq!(check(&changed, signer.only()).is_ok(), changed == good);
    }
}
