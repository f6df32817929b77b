//! Sends requests, one at a time, with credentials that are read again when their files change.
//!
//! Follows no redirection, uses no proxy, and reads no more of an answer than its head and the start of a message.

use std::{
    io::Read as _,
    time::{Duration, Instant, SystemTime},
};

use ureq::{Agent, http::HeaderMap};

use super::{
    answer::{Answer, Verdict, judge},
    credentials::{Credentials, Files},
    queue::Record,
};
use crate::config::{Push, PushProtocol};

/// How often the files are looked at, as long as there is something to send.
const LOOK: Duration = Duration::from_secs(3);
/// So much of a message is shown.
const MESSAGE: u64 = 300;
/// Connections are kept between two readings.
const IDLE: Duration = Duration::from_mins(5);
const HEADERS: usize = 16 << 10;

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) verdict: Verdict,
    /// Status, or what kept the answer away, and the start of the receiver's message.
    pub(super) details: String,
}

/// Talks to the receiver.
pub(super) struct Client {
    push: Push,
    url: String,
    files: Files,
    credentials: Credentials,
    agent: Agent,
    looked: Instant,
    /// What was last wrong with the files; nothing if they are in use.
    told: Vec<String>,
}

impl Client {
    /// Reads the files.
    ///
    /// # Errors
    /// All that is wrong with them, a sentence each.
    pub(super) fn new(push: &Push) -> Result<Self, Vec<String>> {
        let files = Files::read(push)?;
        let credentials = Credentials::new(push, &files)?;
        let agent = agent(&credentials);
        let url = push.url.clone().unwrap_or_default();
        Ok(Self { push: push.clone(), url, files, credentials, agent, looked: Instant::now(), told: Vec::new() })
    }

    /// Sends a request within `timeout`.
    pub(super) fn send(&mut self, record: &Record, timeout: Duration) -> Outcome {
        if self.looked.elapsed() >= LOOK {
            self.look();
        }
        let outcome = self.post(record, timeout);
        // A token may have been exchanged a moment ago.
        if matches!(outcome.verdict, Verdict::Refused(_)) && self.look() { self.post(record, timeout) } else { outcome }
    }

    /// Reads the files again; what cannot be used changes nothing. Tells whether anything has changed.
    fn look(&mut self) -> bool {
        self.looked = Instant::now();
        let read = Files::read(&self.push).and_then(|files| {
            let same = files == self.files;
            let credentials = if same { None } else { Some(Credentials::new(&self.push, &files)?) };
            Ok(credentials.map(|credentials| (files, credentials)))
        });
        match read {
            Ok(changed) => {
                self.told.clear();
                let Some((files, credentials)) = changed else { return false };
                (self.files, self.agent, self.credentials) = (files, agent(&credentials), credentials);
                tracing::info!("the credentials for push.url were read again");
                true
            }
            Err(problems) => {
                if problems != self.told {
                    for problem in &problems {
                        tracing::error!("the credentials for push.url stay as they were: {problem}");
                    }
                    self.told = problems;
                }
                false
            }
        }
    }

    fn post(&self, record: &Record, timeout: Duration) -> Outcome {
        let (content_type, version) = match record.protocol {
            PushProtocol::V1 => ("application/x-protobuf", "0.1.0"),
            PushProtocol::V2 => ("application/x-protobuf;proto=io.prometheus.write.v2.Request", "2.0.0"),
        };
        let mut request = self
            .agent
            .post(&self.url)
            .config()
            .timeout_global(Some(timeout))
            .build()
            .header("Content-Encoding", "snappy")
            .header("Content-Type", content_type)
            .header("X-Prometheus-Remote-Write-Version", version);
        if let Some(authorization) = &self.credentials.authorization {
            request = request.header("Authorization", authorization);
        }
        let again = |why| Verdict::Again { after: None, why };
        match request.send(&record.body[..]) {
            Ok(mut response) => {
                let headers = response.headers();
                let answer = Answer {
                    status: response.status().as_u16(),
                    retry_after: headers.get("retry-after").and_then(|value| value.to_str().ok()),
                    tells_written: tells_written(headers),
                };
                let verdict = judge(answer, record.protocol, SystemTime::now());
                let mut details = format!("HTTP status {}", answer.status);
                if verdict != Verdict::Taken {
                    details += &message(response.body_mut());
                }
                Outcome { verdict, details }
            }
            Err(error) => Outcome { verdict: again("it cannot be reached"), details: error.to_string() },
        }
    }
}

fn agent(credentials: &Credentials) -> Agent {
    Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .max_idle_age(IDLE)
        .max_response_header_size(HEADERS)
        .user_agent(concat!("uidmeter/", env!("CARGO_PKG_VERSION")))
        .tls_config(credentials.tls.clone())
        .build()
        .into()
}

fn tells_written(headers: &HeaderMap) -> bool {
    ["samples", "histograms", "exemplars"]
        .iter()
        .any(|kind| headers.contains_key(format!("x-prometheus-remote-write-{kind}-written")))
}

/// The start of what the receiver says, after a colon, harmless to a terminal.
fn message(body: &mut ureq::Body) -> String {
    let mut start = Vec::new();
    // A message that breaks off is shown as far as it came.
    let _ = body.as_reader().take(MESSAGE).read_to_end(&mut start);
    let text = String::from_utf8_lossy(&start);
    let text = text.trim();
    if text.is_empty() { String::new() } else { format!(": {text:?}") }
}
