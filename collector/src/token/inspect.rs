//! Shows a token without trusting it, and checks it if told how. Never shows the signature.

use std::{
    fmt::Write as _,
    io::Read as _,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::Value;

use super::{InspectFlags, TokenError};
use crate::export::{
    auth::{
        authorization::LONGEST_TOKEN,
        jwt::{Flaw, Parts, decode, verify},
        settings::read_jwt_settings,
    },
    read_private,
};

/// Claims that are moments.
const MOMENTS: [&str; 3] = ["exp", "iat", "nbf"];

pub(super) fn run(flags: &InspectFlags, now: SystemTime) -> Result<String, TokenError> {
    let bytes = read(&flags.token)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| TokenError::Usage("the token is not text".to_owned()))?;
    // As Prometheus reads a credentials file.
    let token = text.trim();
    let mut said = describe(token).map_err(|flaw| TokenError::Usage(flaw.sentence().to_owned()))?;
    let Some(path) = &flags.auth_file else {
        said.push_str("signature: not checked; name the host's --web.auth-file to check it\n");
        return Ok(said);
    };
    let jwt = read_jwt_settings(path).map_err(|error| TokenError::File(error.0.join("; ")))?;
    let claims = verify(token, &jwt.keys, &jwt.rules, now).map_err(|flaw| TokenError::Refused(flaw.sentence()))?;
    let _ = writeln!(said, "signature: good\nthe host would let it in, with the permissions {:?}", claims.permissions);
    Ok(said)
}

fn read(path: &Path) -> Result<Vec<u8>, TokenError> {
    if path == Path::new("-") {
        let mut bytes = Vec::new();
        let most = LONGEST_TOKEN as u64 + 64;
        std::io::stdin().take(most).read_to_end(&mut bytes).map_err(|error| TokenError::File(error.to_string()))?;
        return Ok(bytes);
    }
    let contents = read_private("the token", path).map_err(TokenError::File)?;
    Ok(contents.to_vec())
}

/// What `token` says, whoever may have made it: header and claims as JSON in ASCII, moments as dates.
///
/// # Errors
/// It is no token.
pub fn describe(token: &str) -> Result<String, Flaw> {
    let parts = Parts::of(token)?;
    let header: Value =
        serde_json::from_slice(&parts.header).map_err(|_| Flaw::Malformed("the token's header is not JSON"))?;
    let claims = decode(parts.payload)?;
    let claims: Value =
        serde_json::from_slice(&claims).map_err(|_| Flaw::Malformed("the token's claims are not JSON"))?;
    let mut said = String::new();
    for (name, value) in [("header", &header), ("claims", &claims)] {
        let _ = writeln!(said, "{name}: {}", ascii(&format!("{value:#}")));
    }
    for name in MOMENTS {
        if let Some(seconds) = claims.get(name).and_then(Value::as_u64)
            && let Some(date) = date(seconds)
        {
            let _ = writeln!(said, "{name}: {date}");
        }
    }
    Ok(said)
}

/// JSON escapes what a terminal obeys below 128; letters beyond that can turn the direction of a line.
fn ascii(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter == '\n' || (' '..='~').contains(&letter) {
            plain.push(letter);
        } else {
            plain.extend(letter.escape_unicode());
        }
    }
    plain
}

/// Within the years that have four digits.
fn date(seconds: u64) -> Option<String> {
    let moment = UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).filter(|_| seconds <= 253_402_300_799)?;
    Some(humantime::format_rfc3339_seconds(moment).to_string())
}
