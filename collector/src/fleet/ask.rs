//! One host asked once, as Prometheus asks it: what could be learned, and where it ended.
//!
//! | module | owns |
//! |---|---|
//! | `trust` | certificates: ours, and whether theirs is believed |
//! | [`exchange`] | sockets, TLS and HTTP, within bounds |
//! | `bounded` | streams that have an end |
//! | [`page`] | what a page says about uidmeter itself |
//! | `clock` | the difference of two clocks |
//!
//! A credential goes only to a host whose certificate has been verified, or to this machine itself.

mod bounded;
mod clock;
mod exchange;
mod page;
mod trust;

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use clap::Args;
use hyper::header::HeaderValue;
use tokio::{task::JoinSet, time::timeout};
use zeroize::Zeroizing;

pub use self::{exchange::Silence, page::Page};
use self::{
    exchange::{Answered, Conversation},
    trust::{Seen, Trust},
};
use super::{FleetError, inventory::Host};
use crate::export::{http::TelemetryPath, read_credential, shown};

const READY: &str = "/-/ready";
/// Labels with which a target tells Prometheus how it is asked.
const SCHEME: &str = "__scheme__";
const PATH: &str = "__metrics_path__";

/// How hosts are asked.
#[derive(Args, Clone, Debug)]
pub struct AskFlags {
    /// CA of the hosts' certificates, in PEM [default: those that this system trusts]
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,

    /// Our certificate, for hosts that want one; needs --key
    #[arg(long, value_name = "FILE")]
    pub cert: Option<PathBuf>,

    /// Its private key
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,

    /// Ask without TLS; then credentials go to this machine only
    #[arg(long)]
    pub plain: bool,

    /// Where the hosts have their metrics
    #[arg(long, value_name = "PATH", default_value = "/metrics")]
    pub metrics_path: String,

    /// How long one host may take, from 1s to 5m
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = patience)]
    pub timeout: Duration,

    /// How many hosts are asked at once
    #[arg(long, value_name = "NUMBER", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=512))]
    pub jobs: u16,
}

fn patience(text: &str) -> Result<Duration, String> {
    let allowed = Duration::from_secs(1)..=Duration::from_mins(5);
    let time = humantime::parse_duration(text).ok().filter(|time| allowed.contains(time));
    time.ok_or_else(|| "must be a time from 1s to 5m".into())
}

/// What is shown to a host.
#[derive(Clone, Debug, Default)]
pub struct Credential(Option<HeaderValue>);

impl Credential {
    /// Nothing.
    pub const NONE: Self = Self(None);

    /// A token.
    ///
    /// # Errors
    /// It is not one line of text.
    pub fn token(token: &str) -> Result<Self, FleetError> {
        Self::header(&Zeroizing::new(format!("Bearer {token}")), "the token")
    }

    /// The token in `path`, read as Prometheus reads a credentials file.
    ///
    /// # Errors
    /// One sentence.
    pub fn token_file(path: &std::path::Path) -> Result<Self, FleetError> {
        Self::token(&secret("the token", path)?)
    }

    /// A name, and the password in `path`.
    ///
    /// # Errors
    /// One sentence.
    pub fn password(user: &str, path: &std::path::Path) -> Result<Self, FleetError> {
        if user.contains(':') {
            return Err(FleetError::Usage("--user must not have a colon (RFC 7617)".into()));
        }
        let pair = Zeroizing::new(format!("{user}:{}", *secret("the password", path)?));
        let encoded = Zeroizing::new(STANDARD.encode(pair.as_bytes()));
        Self::header(&Zeroizing::new(format!("Basic {}", *encoded)), "the password")
    }

    fn header(text: &str, what: &str) -> Result<Self, FleetError> {
        let mut header = HeaderValue::from_str(text)
            .map_err(|_| FleetError::Input(format!("{what} is not one line of visible letters")))?;
        header.set_sensitive(true);
        Ok(Self(Some(header)))
    }
}

/// Without the white space around it, as Prometheus takes it.
fn secret(what: &str, path: &std::path::Path) -> Result<Zeroizing<String>, FleetError> {
    let bytes = read_credential(what, path).map_err(FleetError::Input)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| FleetError::Input(format!("{} is not text", shown(path))))?;
    Ok(Zeroizing::new(text.trim().to_owned()))
}

/// What a host's certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// `None` if it cannot be read.
    pub not_after: Option<SystemTime>,
    /// Why it is not believed; continues "its certificate …".
    pub problem: Option<&'static str>,
}

/// What could be learned of a host; `None` is what could not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Whether TCP came through.
    pub reached: bool,
    /// `None` without TLS.
    pub certificate: Option<Certificate>,
    /// Of the request for metrics.
    pub status: Option<u16>,
    /// What its metrics say, if it let us in.
    pub page: Option<Page>,
    /// Whether it says that it is ready.
    pub ready: Option<bool>,
    /// By how many seconds its clock is ahead of ours.
    pub skew: Option<i64>,
    /// From the request for metrics to the last byte of the answer.
    pub time: Option<Duration>,
    /// Where it ended too early.
    pub silence: Option<Silence>,
}

/// Ready to ask.
pub struct Asker {
    trust: Option<Trust>,
    path: TelemetryPath,
    limit: Duration,
    jobs: usize,
}

impl Asker {
    /// Reads the files that `flags` name.
    ///
    /// # Errors
    /// One sentence.
    pub fn new(flags: &AskFlags) -> Result<Self, FleetError> {
        let trust = if flags.plain {
            if flags.ca.is_some() || flags.cert.is_some() || flags.key.is_some() {
                return Err(FleetError::Usage("--plain speaks no TLS, so --ca, --cert and --key mean nothing".into()));
            }
            None
        } else {
            Some(Trust::new(flags)?)
        };
        let path = TelemetryPath::new(&flags.metrics_path)
            .map_err(|error| FleetError::Usage(format!("--metrics-path: {error}")))?;
        Ok(Self { trust, path, limit: flags.timeout, jobs: usize::from(flags.jobs) })
    }

    /// Asks every host, some of them at once; the answers come in the order of `hosts`. `progress` learns how many are
    /// done.
    pub async fn ask_all(
        self: &Arc<Self>,
        hosts: &[Host],
        credential: &Credential,
        progress: &mut dyn FnMut(usize),
    ) -> Vec<Answer> {
        let mut answers = vec![Answer::default(); hosts.len()];
        let mut waiting = hosts.iter().cloned().enumerate();
        let mut asking = JoinSet::new();
        let mut done = 0;
        loop {
            while asking.len() < self.jobs
                && let Some((at, host)) = waiting.next()
            {
                let (asker, credential) = (Arc::clone(self), credential.clone());
                asking.spawn(async move { (at, asker.ask(&host, &credential).await) });
            }
            match asking.join_next().await {
                Some(Ok((at, answer))) => {
                    if let Some(place) = answers.get_mut(at) {
                        *place = answer;
                    }
                    done += 1;
                    progress(done);
                }
                // A task that has panicked leaves an answer in which nothing is known.
                Some(Err(_)) => {}
                None => return answers,
            }
        }
    }

    /// Asks one host; takes no longer than configured.
    pub async fn ask(&self, host: &Host, credential: &Credential) -> Answer {
        let mut answer = Answer::default();
        let mut stage = "connecting";
        let mut seen = Seen::default();
        let asking = self.converse(host, credential, &mut answer, &mut stage, &mut seen);
        let silence = match timeout(self.limit, asking).await {
            Ok(Ok(())) => None,
            Ok(Err(silence)) => Some(silence),
            Err(_) => Some(Silence::TimedOut { stage, limit: self.limit }),
        };
        answer.certificate = seen.certificate();
        let distrust = answer.certificate.as_ref().and_then(|certificate| certificate.problem);
        answer.silence = match (distrust, silence) {
            (Some(problem), Some(_)) => Some(Silence::Certificate(problem)),
            (_, silence) => silence,
        };
        answer
    }

    async fn converse(
        &self,
        host: &Host,
        credential: &Credential,
        answer: &mut Answer,
        stage: &mut &'static str,
        seen: &mut Seen,
    ) -> Result<(), Silence> {
        let path = match host.labels.get(PATH) {
            Some(path) => TelemetryPath::new(path).map_err(|error| Silence::Own(error.to_string()))?,
            None => self.path.clone(),
        };
        let trust = match host.labels.get(SCHEME).map(String::as_str) {
            Some("http") => None,
            Some("https") if self.trust.is_none() => {
                return Err(Silence::Own("its label __scheme__ says https, and --plain speaks no TLS".to_owned()));
            }
            _ => self.trust.as_ref(),
        };
        let address = &host.address;
        if trust.is_none() && credential.0.is_some() && !address.is_loopback() {
            return Err(Silence::Own("a credential goes to other machines over TLS only".to_owned()));
        }
        let stream = exchange::connect(address).await?;
        answer.reached = true;
        let conversation = match trust {
            Some(trust) => {
                *stage = "the TLS handshake";
                let (config, shown) = trust.connection();
                *seen = shown;
                let stream = exchange::secure(stream, address, config).await?;
                Conversation::begin(stream, address).await?
            }
            None => Conversation::begin(stream, address).await?,
        };
        let mut conversation = conversation;
        *stage = "its metrics";
        let found = conversation.ask(&format!("{}?{}", path.as_str(), page::QUERY), credential.0.as_ref()).await?;
        answer.learn(&found);
        *stage = READY;
        let found = conversation.ask(READY, credential.0.as_ref()).await?;
        answer.ready = Some(found.status.is_success());
        Ok(())
    }
}

impl Answer {
    fn learn(&mut self, found: &Answered) {
        self.status = Some(found.status.as_u16());
        self.time = Some(found.time);
        self.skew = found.date.map(|date| clock::skew(date, found.sent, found.received));
        if found.status.is_success() {
            self.page = Some(Page::of(&String::from_utf8_lossy(&found.body)));
        }
    }
}
