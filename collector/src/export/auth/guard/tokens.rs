//! Tokens that have been verified: Prometheus sends the same one at every scrape, and a signature costs more than the
//! rest of the request.
//!
//! Keeps a keyed digest of the token, never the token. Whether it holds *now* is asked each time.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use aws_lc_rs::hmac;

use super::super::{
    authorization::LONGEST_TOKEN,
    jwt::{Claims, Flaw, check_times, verify},
    settings::JwtSettings,
};

/// Clients of one host are few; some 150 bytes each.
const MOST_TOKENS: usize = 256;

/// What has been verified under one configuration.
pub(super) struct Tokens {
    key: hmac::Key,
    verified: Mutex<HashMap<[u8; 32], Arc<Claims>>>,
}

impl Tokens {
    pub(super) fn new(key: &hmac::Key) -> Self {
        Self { key: key.clone(), verified: Mutex::new(HashMap::new()) }
    }

    /// The claims of a good token.
    pub(super) fn verify(&self, token: &str, jwt: &JwtSettings, now: SystemTime) -> Result<Arc<Claims>, Flaw> {
        if token.len() > LONGEST_TOKEN {
            return Err(Flaw::Malformed("the token is too long"));
        }
        let mut digest = [0; 32];
        digest.copy_from_slice(hmac::sign(&self.key, token.as_bytes()).as_ref());
        let known = self.verified.lock().unwrap_or_else(PoisonError::into_inner).get(&digest).cloned();
        if let Some(claims) = known {
            check_times(&claims, &jwt.rules, now)?;
            return Ok(claims);
        }
        let claims = Arc::new(verify(token, &jwt.keys, &jwt.rules, now)?);
        let mut verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        if verified.len() >= MOST_TOKENS {
            // Whoever sends that many good tokens is no stranger: starting over costs one signature each.
            verified.clear();
        }
        verified.insert(digest, Arc::clone(&claims));
        Ok(claims)
    }
}
