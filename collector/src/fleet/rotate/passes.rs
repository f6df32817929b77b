//! Tokens in files: what they say of themselves, and what the next one should say. Nothing here believes a signature; hosts do that.

use std::{
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::Value;
use zeroize::Zeroizing;

use super::super::FleetError;
use crate::export::{
    auth::{
        Permission,
        jwt::{Flaw, Parts, decode},
    },
    read_credential, shown,
};

/// A token that was found.
#[derive(Clone)]
pub(super) struct Pass {
    pub(super) text: Zeroizing<String>,
    pub(super) kid: String,
    pub(super) issuer: String,
    pub(super) subject: String,
    pub(super) audience: Vec<String>,
    pub(super) permissions: Vec<String>,
    pub(super) lifetime: Duration,
    pub(super) ends: SystemTime,
}

impl Pass {
    /// Reads the token in `path`.
    ///
    /// # Errors
    /// One sentence.
    pub(super) fn read(path: &Path) -> Result<Self, FleetError> {
        let bytes = read_credential("the token", path).map_err(FleetError::Input)?;
        let unusable =
            |why: &str| FleetError::Input(format!("{} holds no token that can be followed: {why}", shown(path)));
        let text = std::str::from_utf8(&bytes).map_err(|_| unusable("it is not text"))?;
        let text = Zeroizing::new(text.trim().to_owned());
        Self::of(text).map_err(unusable)
    }

    fn of(text: Zeroizing<String>) -> Result<Self, &'static str> {
        let (header, claims) = {
            let parts = Parts::of(&text).map_err(Flaw::sentence)?;
            let header: Value = serde_json::from_slice(&parts.header).map_err(|_| "its header is not JSON")?;
            let claims = decode(parts.payload).map_err(Flaw::sentence)?;
            (header, serde_json::from_slice::<Value>(&claims).map_err(|_| "its claims are not JSON")?)
        };
        let word = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        let seconds = |name: &str| claims.get(name).and_then(Value::as_u64);
        let (issued, ends) = (seconds("iat").ok_or("it has no iat")?, seconds("exp").ok_or("it has no exp")?);
        let permissions = match claims.get("permissions") {
            Some(list) => words(list),
            None => word(&claims, "scope").unwrap_or_default().split(' ').map(str::to_owned).collect(),
        };
        let permissions: Vec<String> =
            permissions.into_iter().filter(|name| Permission::of_name(name).is_some()).collect();
        if permissions.is_empty() {
            return Err("it has no permission that is known here");
        }
        Ok(Self {
            kid: word(&header, "kid").ok_or("it names no key (kid)")?,
            issuer: word(&claims, "iss").ok_or("it has no iss")?,
            subject: word(&claims, "sub").ok_or("it has no sub")?,
            audience: claims.get("aud").map(words).filter(|names| !names.is_empty()).ok_or("it has no aud")?,
            permissions,
            lifetime: Duration::from_secs(ends.saturating_sub(issued)),
            ends: UNIX_EPOCH.checked_add(Duration::from_secs(ends)).ok_or("its exp is beyond all time")?,
            text,
        })
    }
}

/// One text, or a list of texts.
fn words(value: &Value) -> Vec<String> {
    let list = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
    list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Where the token that was in use before is kept, beside the one in use.
pub(super) fn previous(token: &Path) -> PathBuf {
    token.with_added_extension("previous")
}

/// Where a new token is until every host accepts it.
pub(super) fn next(token: &Path) -> PathBuf {
    token.with_added_extension("next")
}
