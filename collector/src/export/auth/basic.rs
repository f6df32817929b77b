//! Users and passwords: what has been verified already, and a bounded pool for what has not.
//!
//! bcrypt takes some 50 ms of a CPU. Whoever knows no password must not be able to keep the host busy with it, so few
//! checks run at a time, few more wait, and the rest is sent away. A password that has been right once is remembered as a
//! keyed digest, and never costs that again; one that was wrong is not remembered.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use aws_lc_rs::{digest, hmac};
use subtle::ConstantTimeEq as _;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use super::{
    super::{secret::Secret, web_config::BasicUsers},
    Observer,
    authorization::Login,
};

/// On two CPUs, one is left for everything else.
const AT_A_TIME: usize = 1;
/// At cost 10, the last in line waits for a second.
const MOST_WAITING: usize = 16;

/// A user of the configuration.
pub(super) struct User {
    pub(super) name: Arc<str>,
    hash: Secret,
    /// Digest of name and hash: stands for this user with this password.
    pub(super) credential: [u8; 32],
    /// Keyed digest of the password that has been right.
    verified: Mutex<Option<[u8; 32]>>,
}

/// All users, and the key of the digests.
pub(super) struct Users {
    all: Vec<User>,
    by_name: HashMap<Arc<str>, usize>,
    key: hmac::Key,
}

/// How a login ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Right,
    Wrong,
    /// Too many wait already.
    Busy,
}

impl Users {
    /// Digests are made with `key`, which must stay the same. Passwords that `before` remembers stay remembered if user
    /// and hash are the same as before: a reload must not put those who are in behind those who guess.
    pub(super) fn new(config: &BasicUsers, key: &hmac::Key, before: Option<&Self>) -> Self {
        let all: Vec<User> = config
            .0
            .iter()
            .map(|user| {
                let mut context = digest::Context::new(&digest::SHA256);
                update(&mut |bytes| context.update(bytes), &[user.name.as_bytes(), user.hash.expose()]);
                let mut credential = [0; 32];
                credential.copy_from_slice(context.finish().as_ref());
                let known = before.and_then(|before| before.all.iter().find(|known| known.credential == credential));
                let verified = known.and_then(|known| *known.verified.lock().unwrap_or_else(PoisonError::into_inner));
                User {
                    name: user.name.as_str().into(),
                    hash: user.hash.clone(),
                    credential,
                    verified: Mutex::new(verified),
                }
            })
            .collect();
        let by_name = all.iter().enumerate().map(|(at, user)| (Arc::clone(&user.name), at)).collect();
        Self { all, by_name, key: key.clone() }
    }

    pub(super) fn get(&self, name: &str) -> Option<&User> {
        self.by_name.get(name).and_then(|at| self.all.get(*at))
    }

    pub(super) fn has_credential(&self, credential: &[u8; 32]) -> bool {
        self.all.iter().any(|user| user.credential == *credential)
    }

    /// Whether `login` is what has been right before.
    pub(super) fn remembers(&self, user: &User, login: &Login) -> bool {
        let digest = self.digest(user, login);
        let verified = *user.verified.lock().unwrap_or_else(PoisonError::into_inner);
        verified.is_some_and(|verified| verified.ct_eq(&digest).into())
    }

    pub(super) fn remember(&self, user: &User, login: &Login) {
        *user.verified.lock().unwrap_or_else(PoisonError::into_inner) = Some(self.digest(user, login));
    }

    /// Whose hash is computed for `name`: that of the user, or, so that time does not tell that there is none, that of
    /// another, always the same for one name.
    pub(super) fn hash_for(&self, name: &str) -> Option<Secret> {
        if let Some(user) = self.get(name) {
            return Some(user.hash.clone());
        }
        let tag = hmac::sign(&self.key, name.as_bytes());
        let number = tag.as_ref().iter().take(4).fold(0_usize, |number, byte| number << 8 | usize::from(*byte));
        self.all.get(number.checked_rem(self.all.len())?).map(|user| user.hash.clone())
    }

    fn digest(&self, user: &User, login: &Login) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.key);
        update(&mut |bytes| context.update(bytes), &[&user.credential, &login.password]);
        let mut digest = [0; 32];
        digest.copy_from_slice(context.sign().as_ref());
        digest
    }
}

/// Feeds every part with its length, so that no two lists of parts look the same.
fn update(feed: &mut dyn FnMut(&[u8]), parts: &[&[u8]]) {
    for part in parts {
        feed(&(part.len() as u64).to_be_bytes());
        feed(part);
    }
}

/// Computes bcrypt away from the threads that serve, few at a time.
pub(super) struct Pool {
    running: Arc<Semaphore>,
    waiting: Semaphore,
    observer: Arc<dyn Observer>,
}

impl Pool {
    /// `observer` hears of each one that is computed.
    pub(super) fn new(observer: Arc<dyn Observer>) -> Self {
        let (running, waiting) = (Arc::new(Semaphore::new(AT_A_TIME)), Semaphore::new(MOST_WAITING));
        Self { running, waiting, observer }
    }

    /// Whether `password` is what `hash` was made of. What has been computed is told to `told`, too, even if nobody waits for
    /// it any more; it is dropped if nothing is computed.
    pub(super) async fn verify(
        &self,
        password: Zeroizing<Vec<u8>>,
        hash: Secret,
        told: impl FnOnce(bool) + Send + 'static,
    ) -> Verdict {
        let Ok(_place) = self.waiting.try_acquire() else {
            return Verdict::Busy;
        };
        let Ok(permit) = Arc::clone(&self.running).acquire_owned().await else {
            return Verdict::Busy;
        };
        self.observer.password_check();
        // The permit goes along: a client that hangs up does not make room for another while this is still computed.
        let computed = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let hash = std::str::from_utf8(hash.expose()).unwrap_or_default();
            let right = bcrypt::verify(password.as_slice(), hash).unwrap_or(false);
            told(right);
            right
        });
        if computed.await.unwrap_or(false) { Verdict::Right } else { Verdict::Wrong }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use zeroize::Zeroizing;

    use super::{
        super::super::{http::Unheard, secret::Secret},
        Pool, Verdict,
    };

    /// Made with the bcrypt of OpenBSD's authors, as Python ships it; `$2y$` is what htpasswd writes for the same.
    #[tokio::test]
    async fn hashes_of_other_programs_are_understood() {
        let pool = Pool::new(Arc::new(Unheard));
        for (password, hash) in [
            ("sesame", "$2b$04$EtRPLoL0NsY5Gvb/zkyM9.blOTJBohyCREM3OueRDcbyMrIKHnVTm"),
            ("sesame", "$2y$04$EtRPLoL0NsY5Gvb/zkyM9.blOTJBohyCREM3OueRDcbyMrIKHnVTm"),
            ("sesame", "$2a$04$EtRPLoL0NsY5Gvb/zkyM9.blOTJBohyCREM3OueRDcbyMrIKHnVTm"),
            ("p\u{e4}ssw\u{f6}rd \u{1f41f}", "$2b$04$/YK9u3lGLrvBFQvEwKitQuxsp8ymeZ79OZZsbGww2NpK3ZDr5tRjG"),
            (&"x".repeat(72), "$2b$04$eCJtwhOTRwDm5QMFexnSQOtb.qcCuWdP47SmV50gmHKKm/iz0iOvq"),
        ] {
            let verify = |password: &str| pool.verify(Zeroizing::new(password.into()), Secret::new(hash), |_| {});
            assert_eq!(verify(password).await, Verdict::Right, "{hash}");
            assert_eq!(
                verify(&password.replacen(char::is_alphanumeric, "_", 1).replace('\u{f6}', "o")).await,
                Verdict::Wrong,
                "{hash}"
            );
        }
        // What is no hash fits nothing.
        for hash in ["", "sesame", "$2b$04$", "$2b$99$EtRPLoL0NsY5Gvb/zkyM9.blOTJBohyCREM3OueRDcbyMrIKHnVTm"] {
            let verdict = pool.verify(Zeroizing::new("sesame".into()), Secret::new(hash), |_| {}).await;
            assert_eq!(verdict, Verdict::Wrong, "{hash}");
        }
    }
}
