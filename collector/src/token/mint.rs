//! Signs a token with a private key.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{EncodingKey, crypto};
use serde_json::{Value, json};

use super::{
    MintFlags, TokenError, check_name,
    place::{Owner, Present, put},
};
use crate::export::{
    auth::{
        Permission,
        keys::{Algorithm, secret_of_file},
    },
    read_private,
};

/// A host may allow less, never more.
const LIFETIMES: std::ops::RangeInclusive<Duration> = Duration::from_mins(1)..=Duration::from_hours(24 * 90);

pub(super) fn run(flags: &MintFlags, now: SystemTime) -> Result<String, TokenError> {
    for (flag, name) in [("--kid", &flags.kid), ("--subject", &flags.subject), ("--issuer", &flags.issuer)] {
        check_name(flag, name)?;
    }
    flags.audience.iter().try_for_each(|name| check_name("--audience", name))?;
    if let Some(unknown) = flags.permissions.iter().find(|name| Permission::of_name(name).is_none()) {
        let known = Permission::ALL.map(Permission::name).join(", ");
        return Err(TokenError::Usage(format!("--permissions {unknown:?} is unknown; known are {known}")));
    }
    let lifetime = humantime::parse_duration(&flags.lifetime).ok().filter(|lifetime| LIFETIMES.contains(lifetime));
    let lifetime = lifetime.ok_or_else(|| {
        TokenError::Usage(format!("--lifetime {:?} is not a time between 1m and 90days", flags.lifetime))
    })?;
    let owner = flags.owner.as_deref().map(Owner::parse).transpose()?;
    let issued = now.duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    let expires = issued + lifetime.as_secs();
    let token = sign(flags, issued, expires)?;
    put(&flags.out, token.as_bytes(), 0o600, owner, Present::Replaced)?;
    let end = humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(expires));
    Ok(format!(
        "# The token is in {out} and ends at {end}.\n# In Prometheus' configuration:\nauthorization:\n  credentials_file: {out}\n",
        out = flags.out.display()
    ))
}

fn sign(flags: &MintFlags, issued: u64, expires: u64) -> Result<String, TokenError> {
    let key = read_private("the key", &flags.key).map_err(TokenError::File)?;
    let unusable = || {
        let (key, name) = (flags.key.display(), flags.algorithm.name());
        TokenError::File(format!(
            "the key {key} is not a private key for {name}; a key of another form is turned into one by openssl pkcs8 -topk8 -nocrypt"
        ))
    };
    let key = match flags.algorithm {
        Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512 => {
            let secret = secret_of_file(&key);
            if secret.len() < 32 || secret.starts_with(b"-----BEGIN") {
                return Err(unusable());
            }
            EncodingKey::from_secret(secret)
        }
        Algorithm::EdDsa => EncodingKey::from_ed_pem(&key).map_err(|_| unusable())?,
        Algorithm::Es256 | Algorithm::Es384 => EncodingKey::from_ec_pem(&key).map_err(|_| unusable())?,
        Algorithm::Rs256 | Algorithm::Ps256 => EncodingKey::from_rsa_pem(&key).map_err(|_| unusable())?,
    };
    let audience = match flags.audience.as_slice() {
        [only] => json!(only),
        several => json!(several),
    };
    // Sorted, so that the same flags at the same moment make the same token.
    let claims: BTreeMap<&str, Value> = [
        ("iss", json!(flags.issuer)),
        ("sub", json!(flags.subject)),
        ("aud", audience),
        ("iat", json!(issued)),
        ("exp", json!(expires)),
        ("permissions", json!(flags.permissions)),
    ]
    .into();
    let header = json!({"alg": flags.algorithm.name(), "kid": flags.kid, "typ": "JWT"});
    let part = |value: String| URL_SAFE_NO_PAD.encode(value);
    let signed = format!("{}.{}", part(header.to_string()), part(json!(claims).to_string()));
    let signature = crypto::sign(signed.as_bytes(), &key, flags.algorithm.of_library()).map_err(|_| unusable())?;
    Ok(format!("{signed}.{signature}"))
}
