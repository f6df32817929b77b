//! A token, keys and a moment → claims, or the flaw. Pure: the clock is passed in.
//!
//! Signatures are the library's. Everything else is decided here, since its defaults let a token through without `aud`
//! or `iss`, with an `nbf` in the future or with `crit` that nobody understands, and its clock cannot be passed in.
//! Headers and claims are read strictly: no name twice, times as whole seconds, nothing that would point to a key.

mod object;

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;

use self::object::Object;
use super::{
    authorization::LONGEST_TOKEN,
    keys::VerifyingKey,
    permissions::{Permission, Permissions},
};

/// Names in tokens: keys, issuers, audiences, subjects.
pub const LONGEST_NAME: usize = 256;
/// Real tokens have one to three.
const MOST_AUDIENCES: usize = 16;
/// The last second of the year 9999: what comes later is a mistake, and cannot be written as a date.
const LAST_SECOND: u64 = 253_402_300_799;
/// Header parameters that carry or point to a key, or that would make the token something else than a signed one.
const REFUSED_PARAMETERS: [&str; 7] = ["crit", "jku", "jwk", "x5u", "x5c", "enc", "zip"];

/// What a token must say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// One of them must have issued it.
    pub issuers: Vec<String>,
    /// It must be meant for one of them.
    pub audiences: Vec<String>,
    /// By how much clocks may differ; at most 30 s.
    pub leeway: Duration,
    /// From `iat` to `exp`, at most.
    pub max_lifetime: Duration,
    /// The claim with a list of permissions.
    pub permissions_claim: String,
}

impl Rules {
    /// Digest of everything that decides whether a token is let in.
    pub fn digest(&self) -> [u8; 32] {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(format!("{:?}", (&self.issuers, &self.audiences, self.leeway, self.max_lifetime)).as_bytes());
        let mut digest = [0; 32];
        digest.copy_from_slice(context.finish().as_ref());
        digest
    }
}

/// What a good token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// Who it is about. Text of its issuer: escape before printing.
    pub subject: Arc<str>,
    /// Seconds since the epoch.
    pub expires: u64,
    /// Seconds since the epoch, if it says so.
    pub not_before: Option<u64>,
    /// Seconds since the epoch.
    pub issued: u64,
    /// What its bearer may.
    pub permissions: Permissions,
    /// Of the key that has signed it.
    pub key: [u8; 32],
}

/// Why a token is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// It is not a token.
    Malformed(&'static str),
    /// No key may verify it.
    Key(&'static str),
    /// Nobody whom we trust has signed it.
    Signature,
    /// It is not valid now.
    Time(&'static str),
    /// It says too little, or something else than it must.
    Claims(&'static str),
}

impl Flaw {
    /// As a label of a metric.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Malformed(_) => "token_malformed",
            Self::Key(_) => "token_key",
            Self::Signature => "token_signature",
            Self::Time(_) => "token_time",
            Self::Claims(_) => "token_claims",
        }
    }

    /// For the log.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Malformed(what) | Self::Key(what) | Self::Time(what) | Self::Claims(what) => what,
            Self::Signature => "the token's signature is not that of its key",
        }
    }
}

/// The claims of `token`, if a key of `keys` has signed it and it satisfies `rules` at `now`.
///
/// # Errors
/// The first flaw that is found.
pub fn verify(token: &str, keys: &[VerifyingKey], rules: &Rules, now: SystemTime) -> Result<Claims, Flaw> {
    let parts = Parts::of(token)?;
    let header =
        Object::parse(&parts.header).map_err(|()| Flaw::Malformed("the token's header is no plain JSON object"))?;
    let key = choose(&header, keys)?;
    if !key.verifies(parts.signed.as_bytes(), parts.signature) {
        return Err(Flaw::Signature);
    }
    let payload = decode(parts.payload)?;
    let payload = Object::parse(&payload).map_err(|()| Flaw::Claims("the token's claims are no plain JSON object"))?;
    let claims = read_claims(&payload, rules, key)?;
    check_times(&claims, rules, now)?;
    Ok(claims)
}

/// A token as it is written down.
pub struct Parts<'a> {
    /// The header, decoded.
    pub header: Vec<u8>,
    /// The claims, still encoded.
    pub payload: &'a str,
    /// The signature, still encoded; not empty.
    pub signature: &'a str,
    /// What is signed.
    pub signed: &'a str,
}

impl<'a> Parts<'a> {
    /// Splits `token` and decodes its header.
    ///
    /// # Errors
    /// It does not have three parts of base64url.
    pub fn of(token: &'a str) -> Result<Self, Flaw> {
        if token.len() > LONGEST_TOKEN {
            return Err(Flaw::Malformed("the token is too long"));
        }
        let mut parts = token.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Flaw::Malformed("the token does not have three parts"));
        };
        if signature.is_empty() {
            return Err(Flaw::Malformed("the token is not signed"));
        }
        // Checked here so that what is no base64url is told apart from a signature that is wrong.
        decode(signature)?;
        let signed = &token[..header.len() + 1 + payload.len()];
        Ok(Self { header: decode(header)?, payload, signature, signed })
    }
}

/// Strict base64url: without padding, and with no bits left over in which two tokens could differ.
pub fn decode(part: &str) -> Result<Vec<u8>, Flaw> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Flaw::Malformed("a part of the token is not base64url"))
}

/// The key that the header asks for, if it may be used as the header says.
fn choose<'k>(header: &Object, keys: &'k [VerifyingKey]) -> Result<&'k VerifyingKey, Flaw> {
    if REFUSED_PARAMETERS.iter().any(|name| header.get(name).is_some()) {
        return Err(Flaw::Key(
            "the token's header asks for something that is refused (crit, jku, jwk, x5u, x5c, enc, zip)",
        ));
    }
    if let Some(kind) = header.get("typ") {
        let known = kind.as_str().is_some_and(|kind| {
            let kind = kind.strip_prefix("application/").unwrap_or(kind);
            kind.eq_ignore_ascii_case("JWT") || kind.eq_ignore_ascii_case("at+jwt")
        });
        if !known {
            return Err(Flaw::Key("the token's typ is not JWT"));
        }
    }
    let kid = match header.get("kid") {
        None => None,
        Some(Value::String(kid)) if kid.len() <= LONGEST_NAME => Some(kid.as_str()),
        Some(_) => return Err(Flaw::Key("the token's kid is not a text of at most 256 bytes")),
    };
    let key = match (kid, keys) {
        (None, [only]) => only,
        (None, _) => return Err(Flaw::Key("the token names no key (kid), and there are several")),
        // A single key without a name serves tokens whatever they call it.
        (Some(_), [only]) if only.kid().is_none() => only,
        (Some(kid), keys) => keys
            .iter()
            .find(|key| key.kid() == Some(kid))
            .ok_or(Flaw::Key("the token names a key (kid) that is not configured"))?,
    };
    match header.get("alg") {
        Some(Value::String(name)) if name == key.algorithm().name() => Ok(key),
        _ => Err(Flaw::Key("the token's alg is not that of its key")),
    }
}

fn read_claims(payload: &Object, rules: &Rules, key: &VerifyingKey) -> Result<Claims, Flaw> {
    let expires = seconds(payload, "exp", "the token's exp is not a whole number of seconds")?
        .ok_or(Flaw::Claims("the token has no exp"))?;
    let begins = seconds(payload, "iat", "the token's iat is not a whole number of seconds")?
        .ok_or(Flaw::Claims("the token has no iat, so its lifetime is unknown"))?;
    let not_before = seconds(payload, "nbf", "the token's nbf is not a whole number of seconds")?;
    match payload.get("iss") {
        Some(Value::String(name)) if rules.issuers.contains(name) => {}
        Some(Value::String(_)) => return Err(Flaw::Claims("the token's iss is not an accepted issuer")),
        Some(_) => return Err(Flaw::Claims("the token's iss is no text")),
        None => return Err(Flaw::Claims("the token has no iss")),
    }
    check_audience(payload.get("aud"), rules)?;
    let subject = match payload.get("sub") {
        None => "",
        Some(Value::String(subject)) if subject.len() <= LONGEST_NAME => subject,
        Some(_) => return Err(Flaw::Claims("the token's sub is not a text of at most 256 bytes")),
    };
    let permissions = permissions(payload, &rules.permissions_claim)?;
    Ok(Claims { subject: subject.into(), expires, not_before, issued: begins, permissions, key: *key.fingerprint() })
}

/// RFC 7519, section 2 allows fractions; nobody needs them, and readers differ in how they round.
fn seconds(payload: &Object, name: &str, flaw: &'static str) -> Result<Option<u64>, Flaw> {
    match payload.get(name) {
        None => Ok(None),
        Some(value) => match value.as_u64() {
            Some(seconds) if seconds <= LAST_SECOND => Ok(Some(seconds)),
            _ => Err(Flaw::Claims(flaw)),
        },
    }
}

fn check_audience(audience: Option<&Value>, rules: &Rules) -> Result<(), Flaw> {
    let accepted = |value: &Value| value.as_str().is_some_and(|name| rules.audiences.iter().any(|known| known == name));
    let fits = match audience {
        None => return Err(Flaw::Claims("the token has no aud")),
        Some(Value::Array(names)) if names.len() <= MOST_AUDIENCES && names.iter().all(Value::is_string) => {
            names.iter().any(accepted)
        }
        Some(name @ Value::String(_)) => accepted(name),
        Some(_) => return Err(Flaw::Claims("the token's aud is neither text nor a short list of texts")),
    };
    if fits { Ok(()) } else { Err(Flaw::Claims("the token is meant for another audience (aud)")) }
}

/// From the configured claim, or from `scope` (RFC 8693, section 4.2) if it is absent. Names of other services are
/// no concern of ours.
fn permissions(payload: &Object, claim: &str) -> Result<Permissions, Flaw> {
    let wrong = Flaw::Claims("the token's permissions are no list of texts");
    match (payload.get(claim), payload.get("scope")) {
        (Some(Value::Array(names)), _) => {
            let names: Option<Vec<&str>> = names.iter().map(Value::as_str).collect();
            Ok(names.ok_or(wrong)?.into_iter().filter_map(Permission::of_name).collect())
        }
        (Some(_), _) => Err(wrong),
        (None, Some(Value::String(scope))) => Ok(scope.split(' ').filter_map(Permission::of_name).collect()),
        (None, Some(_)) => Err(Flaw::Claims("the token's scope is no text")),
        (None, None) => Ok(Permissions::NONE),
    }
}

/// Whether `claims` hold at `now`: for a token that has been verified before, too.
///
/// # Errors
/// Too early, too late, or for too long.
pub fn check_times(claims: &Claims, rules: &Rules, now: SystemTime) -> Result<(), Flaw> {
    let now = now.duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    let leeway = rules.leeway.as_secs();
    if now >= claims.expires.saturating_add(leeway) {
        return Err(Flaw::Time("the token has expired"));
    }
    if claims.not_before.is_some_and(|not_before| not_before > now.saturating_add(leeway)) {
        return Err(Flaw::Time("the token is not valid yet (nbf)"));
    }
    if claims.issued > now.saturating_add(leeway) {
        return Err(Flaw::Time("the token was issued in the future (iat)"));
    }
    if claims.expires.saturating_sub(claims.issued) > rules.max_lifetime.as_secs() {
        return Err(Flaw::Time("the token lives longer than max_lifetime allows"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
