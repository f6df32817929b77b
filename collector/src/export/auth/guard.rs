//! Puts the parts together for each request, and is swapped as a whole on reload.
//!
//! What has been learned outlives a reload where it is still true: verified passwords of users whose hash is the same,
//! and failures of addresses. Tokens are verified anew.

mod tokens;

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwap;
use aws_lc_rs::{
    digest,
    hmac::{self, HMAC_SHA256},
    rand::SystemRandom,
};
use hyper::{StatusCode, header::HeaderValue, http::request::Parts};

use self::tokens::Tokens;
use super::{
    CredentialId, Identity, Observer, Peer, Permission, Permissions, Refusal, VerifiedCertificate,
    audit::{Audit, describe},
    authorization::{self, Credentials, Login, Unusable},
    basic::{Pool, User, Users, Verdict},
    jwt::Claims,
    limiter::{Limiter, Origin},
    settings::{JwtSettings, Mode, Settings},
};

/// How long somebody is asked to wait while too many passwords are being checked.
const BUSY: Duration = Duration::from_secs(1);

/// Checks credentials.
pub struct Guard {
    state: ArcSwap<State>,
    /// Held while the state is replaced, so that no two reloads mix.
    replacing: Mutex<()>,
    key: hmac::Key,
    limiter: Arc<Limiter>,
    pool: Pool,
    audit: Audit,
    observer: Arc<dyn Observer>,
}

/// What one configuration means.
struct State {
    settings: Settings,
    users: Users,
    tokens: Tokens,
    challenges: Vec<HeaderValue>,
}

/// The system has no randomness to give.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the system yields no random numbers, without which no credential can be remembered")]
pub struct NoRandomness;

/// Why somebody is refused, before it is known how to say it.
struct Denial {
    status: StatusCode,
    reason: &'static str,
    sentence: String,
    retry_after: Option<Duration>,
}

impl Denial {
    fn unauthorized(reason: &'static str, sentence: impl Into<String>) -> Self {
        Self { status: StatusCode::UNAUTHORIZED, reason, sentence: sentence.into(), retry_after: None }
    }

    fn limited(sentence: &str, retry_after: Duration) -> Self {
        let status = StatusCode::TOO_MANY_REQUESTS;
        Self { status, reason: "limited", sentence: sentence.to_owned(), retry_after: Some(retry_after) }
    }
}

impl State {
    fn new(settings: Settings, key: &hmac::Key, before: Option<&Self>) -> Self {
        let users = Users::new(&settings.users, key, before.map(|before| &before.users));
        let mut challenges = Vec::new();
        if settings.mode.takes_tokens() {
            challenges.push(HeaderValue::from_static("Bearer realm=\"uidmeter\""));
        }
        if settings.mode.takes_passwords() {
            challenges.push(HeaderValue::from_static("Basic realm=\"uidmeter\", charset=\"UTF-8\""));
        }
        Self { settings, users, tokens: Tokens::new(key), challenges }
    }
}

impl Guard {
    /// Guards according to `settings`; `observer` hears of every refusal and of every password that is computed.
    ///
    /// # Errors
    /// There is no randomness.
    pub fn new(settings: Settings, observer: Arc<dyn Observer>) -> Result<Self, NoRandomness> {
        let key = hmac::Key::generate(HMAC_SHA256, &SystemRandom::new()).map_err(|_| NoRandomness)?;
        Ok(Self {
            limiter: Arc::new(Limiter::new(settings.failures)),
            state: ArcSwap::from_pointee(State::new(settings, &key, None)),
            replacing: Mutex::new(()),
            key,
            pool: Pool::new(Arc::clone(&observer)),
            audit: Audit::new(),
            observer,
        })
    }

    /// From now on according to `settings`; requests under way end under the old ones. Whether they suffice for the
    /// addresses listened on must have been asked before ([`Settings::may_listen`]).
    pub fn replace(&self, settings: Settings) {
        let _alone = self.replacing.lock().unwrap_or_else(PoisonError::into_inner);
        self.limiter.change(settings.failures);
        let before = self.state.load_full();
        self.state.store(Arc::new(State::new(settings, &self.key, Some(&before))));
    }

    /// Whether `/-/healthy` and `/-/ready` answer everybody.
    pub fn open_health(&self) -> bool {
        self.state.load().settings.open_health
    }

    /// Who sends the request with `head`, and what he may.
    ///
    /// # Errors
    /// Why he may not even be asked what he wants; counted and logged.
    pub async fn check(&self, head: &Parts, peer: &Peer, now: SystemTime) -> Result<Identity, Refusal> {
        let state = self.state.load_full();
        let answer = self.authenticate(&state, head, peer, now).await;
        answer.map_err(|denial| self.refuse(&state, peer, &denial, now))
    }

    /// Like [`Guard::check`], for something that needs a permission.
    ///
    /// # Errors
    /// Also 403, if he may not do that.
    pub async fn admit(
        &self,
        head: &Parts,
        peer: &Peer,
        needs: Permission,
        now: SystemTime,
    ) -> Result<Identity, Refusal> {
        let identity = self.check(head, peer, now).await?;
        self.authorize(&identity, peer, needs, now)?;
        Ok(identity)
    }

    /// Whether `identity` has the permission.
    ///
    /// # Errors
    /// 403; counted and logged.
    pub fn authorize(
        &self,
        identity: &Identity,
        peer: &Peer,
        needs: Permission,
        now: SystemTime,
    ) -> Result<(), Refusal> {
        if identity.permissions.allow(needs) {
            return Ok(());
        }
        let denial = Denial {
            status: StatusCode::FORBIDDEN,
            reason: "permission",
            sentence: format!("{:?} lacks the permission {}", identity.name, needs.name()),
            retry_after: None,
        };
        Err(self.refuse(&self.state.load(), peer, &denial, now))
    }

    /// Whether a credential that was good once still is under the present settings. Its end in time is
    /// [`Identity::expires`].
    pub fn still_valid(&self, credential: &CredentialId) -> bool {
        let state = self.state.load();
        let settings = &state.settings;
        match credential {
            CredentialId::Anonymous => settings.mode == Mode::None,
            CredentialId::Basic(digest) => settings.mode.takes_passwords() && state.users.has_credential(digest),
            CredentialId::Token(digest) => settings
                .jwt
                .as_ref()
                .is_some_and(|jwt| jwt.keys.iter().any(|key| token_credential(key.fingerprint(), jwt) == *digest)),
            CredentialId::Certificate(digest) => {
                settings.certificates.sufficient && settings.certificates.digest == *digest
            }
        }
    }

    fn refuse(&self, state: &State, peer: &Peer, denial: &Denial, now: SystemTime) -> Refusal {
        self.observer.failure(denial.reason);
        let unauthorized = denial.status == StatusCode::UNAUTHORIZED;
        let refusal = Refusal {
            status: denial.status,
            reason: denial.reason,
            www_authenticate: if unauthorized { state.challenges.clone() } else { Vec::new() },
            retry_after: denial.retry_after,
            audit: format!("refused {}: {}", describe(peer), denial.sentence),
        };
        self.audit.write(peer, &refusal, now);
        refusal
    }

    async fn authenticate(
        &self,
        state: &Arc<State>,
        head: &Parts,
        peer: &Peer,
        now: SystemTime,
    ) -> Result<Identity, Denial> {
        let settings = &state.settings;
        let certificate = peer.client_certificate.as_deref().filter(|certificate| certificate.not_after > now);
        if settings.mode == Mode::None {
            // Whatever the header says, nobody has asked for it.
            return without_credentials(settings, peer, certificate);
        }
        // The handshake demands it already; nobody comes around it by another way in from the network.
        if settings.certificates.client_auth.admits_verified_only() && peer.address.is_some() && certificate.is_none() {
            return Err(Denial::unauthorized("certificate", "no verified client certificate"));
        }
        let credentials = authorization::read(&head.headers).map_err(|unusable| match unusable {
            Unusable::Malformed(what) => Denial::unauthorized("malformed", what),
            Unusable::Scheme => Denial::unauthorized("scheme", "neither Basic nor Bearer"),
        })?;
        match credentials {
            Some(Credentials::Basic(login)) if settings.mode.takes_passwords() => {
                self.password(state, peer, login, now).await
            }
            Some(Credentials::Bearer(token)) if let Some(jwt) = &settings.jwt => bearer(state, jwt, token, now),
            Some(Credentials::Basic(_)) => Err(Denial::unauthorized("scheme", "passwords are not accepted")),
            Some(Credentials::Bearer(_)) => Err(Denial::unauthorized("scheme", "tokens are not accepted")),
            None => match certificate.filter(|_| settings.certificates.sufficient) {
                Some(certificate) => Ok(certified(settings, certificate)),
                None => Err(Denial::unauthorized("missing", "no credentials")),
            },
        }
    }

    async fn password(
        &self,
        state: &Arc<State>,
        peer: &Peer,
        login: Login,
        now: SystemTime,
    ) -> Result<Identity, Denial> {
        let user = state.users.get(&login.name);
        if let Some(user) = user.filter(|user| state.users.remembers(user, &login)) {
            return Ok(identified(state, user));
        }
        let attempt = self
            .limiter
            .attempt(Origin::of(peer), now)
            .map_err(|wait| Denial::limited("too many wrong passwords from there", wait))?;
        let Some(hash) = state.users.hash_for(&login.name) else {
            return Err(Denial::unauthorized("password", "there are no users"));
        };
        let (password, known) = (login.password.clone(), Arc::clone(state));
        // Whoever hangs up meanwhile will come again: a right password must be remembered then, not computed and charged anew.
        let told = move |right| match known.users.get(&login.name) {
            Some(user) if right => known.users.remember(user, &login),
            _ => attempt.fail(),
        };
        match (self.pool.verify(password, hash, told).await, user) {
            (Verdict::Right, Some(user)) => Ok(identified(state, user)),
            (Verdict::Busy, _) => Err(Denial::limited("too many passwords are being checked", BUSY)),
            // An unknown name may be a password in the wrong field: it is not written down.
            (Verdict::Right | Verdict::Wrong, None) => Err(Denial::unauthorized("password", "an unknown user")),
            (Verdict::Wrong, Some(user)) => {
                Err(Denial::unauthorized("password", format!("a wrong password for user {:?}", user.name)))
            }
        }
    }
}

fn without_credentials(
    settings: &Settings,
    peer: &Peer,
    certificate: Option<&VerifiedCertificate>,
) -> Result<Identity, Denial> {
    // The permissions of its file guard a Unix socket, over which no certificate can be shown.
    if let (None, Some(uid)) = (peer.address, peer.unix) {
        return Ok(anybody(format!("uid:{uid}")));
    }
    match certificate {
        Some(certificate) if settings.certificates.sufficient => Ok(certified(settings, certificate)),
        _ if settings.certificates.client_auth.verifies() => {
            Err(Denial::unauthorized("certificate", "no verified client certificate"))
        }
        _ if peer.address.as_ref().map(IpAddr::to_canonical).is_some_and(|address| address.is_loopback()) => {
            Ok(anybody(String::new()))
        }
        _ => Err(Denial::unauthorized("missing", "nothing authenticates requests from other hosts")),
    }
}

fn anybody(name: String) -> Identity {
    Identity { name: name.into(), permissions: Permissions::READ, credential: CredentialId::Anonymous, expires: None }
}

fn identified(state: &State, user: &User) -> Identity {
    Identity {
        name: Arc::clone(&user.name),
        permissions: state.settings.user_grants.of(&user.name),
        credential: CredentialId::Basic(user.credential),
        expires: None,
    }
}

fn certified(settings: &Settings, certificate: &VerifiedCertificate) -> Identity {
    let sans = certificate.sans.iter().map(String::as_str);
    Identity {
        name: certificate.sans.first().unwrap_or(&certificate.subject).as_str().into(),
        permissions: settings.certificate_grants.of_any(sans),
        credential: CredentialId::Certificate(settings.certificates.digest),
        expires: Some(certificate.not_after),
    }
}

fn bearer(state: &State, jwt: &JwtSettings, token: &str, now: SystemTime) -> Result<Identity, Denial> {
    let claims =
        state.tokens.verify(token, jwt, now).map_err(|flaw| Denial::unauthorized(flaw.reason(), flaw.sentence()))?;
    let Claims { subject, expires, permissions, key, .. } = &*claims;
    Ok(Identity {
        name: Arc::clone(subject),
        permissions: *permissions,
        credential: CredentialId::Token(token_credential(key, jwt)),
        expires: SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(*expires) + jwt.rules.leeway),
    })
}

/// Stands for tokens of one key under one set of rules: both must still hold after a reload.
fn token_credential(key: &[u8; 32], jwt: &JwtSettings) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(key);
    context.update(&jwt.rules.digest());
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    digest
}

#[cfg(test)]
mod tests;
