//! A local JSON Web Key Set (RFC 7517). Never fetched: who can answer for a name must not decide who comes in.

use aws_lc_rs::{encoding::AsDer as _, signature::RsaPublicKeyComponents};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::DecodingKey;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::{Algorithm, VerifyingKey};

/// Parameters that only the private half has (RFC 7518, section 6).
const PRIVATE: [&str; 7] = ["d", "p", "q", "dp", "dq", "qi", "oth"];

/// Every key of the set.
///
/// # Errors
/// Continues a sentence that begins with the name of the file; one for each key that cannot be used.
pub fn from_jwks(bytes: &[u8]) -> Result<Vec<VerifyingKey>, Vec<String>> {
    let set: Value = serde_json::from_slice(bytes).map_err(|_| vec!["is not JSON".to_owned()])?;
    let Some(keys) = set.get("keys").and_then(Value::as_array) else {
        return Err(vec!["is not a JSON Web Key Set: it has no list \"keys\"".to_owned()]);
    };
    if keys.is_empty() {
        return Err(vec!["holds no key".to_owned()]);
    }
    let mut found = Vec::new();
    let mut problems = Vec::new();
    for (at, key) in keys.iter().enumerate() {
        match key.as_object().ok_or("is no object".to_owned()).and_then(from_jwk) {
            Ok(key) => found.push(key),
            Err(flaw) => problems.push(format!("holds key {} of {}, which {flaw}", at + 1, keys.len())),
        }
    }
    if problems.is_empty() { Ok(found) } else { Err(problems) }
}

fn from_jwk(jwk: &Map<String, Value>) -> Result<VerifyingKey, String> {
    let text = |name: &str| jwk.get(name).and_then(Value::as_str);
    let bytes = |name: &str| -> Result<Zeroizing<Vec<u8>>, String> {
        let text = text(name).ok_or_else(|| format!("lacks {name:?}"))?;
        URL_SAFE_NO_PAD.decode(text).map(Zeroizing::new).map_err(|_| format!("has {name:?} that is not base64url"))
    };
    if PRIVATE.iter().any(|name| jwk.contains_key(*name)) {
        return Err("is a private key: keep the public half alone".to_owned());
    }
    if text("use").is_some_and(|purpose| purpose != "sig") {
        return Err("is not for signatures (\"use\")".to_owned());
    }
    let kid = text("kid").filter(|kid| !kid.is_empty()).ok_or("lacks \"kid\"")?.to_owned();
    let (family, curve) = (text("kty").unwrap_or_default(), text("crv").unwrap_or_default());
    let implied = match (family, curve) {
        ("OKP", "Ed25519") => Some(Algorithm::EdDsa),
        ("EC", "P-256") => Some(Algorithm::Es256),
        ("EC", "P-384") => Some(Algorithm::Es384),
        _ => None,
    };
    let algorithm = match (text("alg"), implied) {
        (Some(name), _) => Algorithm::of_name(name).ok_or("has an \"alg\" that is not accepted")?,
        (None, Some(algorithm)) => algorithm,
        (None, None) => return Err("lacks \"alg\"".to_owned()),
    };
    if implied.is_some_and(|implied| implied != algorithm) {
        return Err("has an \"alg\" that does not fit its kind".to_owned());
    }
    match family {
        "oct" if algorithm.is_symmetric() => VerifyingKey::from_secret(algorithm, Some(kid), &bytes("k")?),
        "RSA" if matches!(algorithm, Algorithm::Rs256 | Algorithm::Ps256) => {
            let (modulus, exponent) = (bytes("n")?, bytes("e")?);
            let components = RsaPublicKeyComponents { n: modulus.as_slice(), e: exponent.as_slice() };
            let encoded = components.as_der().map_err(|_| "is not an RSA key")?;
            let key = DecodingKey::from_rsa_raw_components(&modulus, &exponent);
            VerifyingKey::from_public(algorithm, Some(kid), key, encoded.as_ref())
        }
        "EC" if implied.is_some() => {
            // SEC 1, section 2.3.3: an uncompressed point.
            let point = [&[4], bytes("x")?.as_slice(), bytes("y")?.as_slice()].concat();
            VerifyingKey::from_public(algorithm, Some(kid), DecodingKey::from_ec_der(&point), &point)
        }
        "OKP" if implied.is_some() => {
            let point = bytes("x")?;
            VerifyingKey::from_public(algorithm, Some(kid), DecodingKey::from_ed_der(&point), &point)
        }
        _ => Err("is of a kind (\"kty\", \"crv\") that does not fit its \"alg\"".to_owned()),
    }
}
