//! Tells a program and a URL of each change of a limit, as the administrator wishes: to mail the user, or to open a ticket.
//!
//! From a thread of its own, since neither may hold up the loop; each has a time limit, and notices that pile up are dropped and
//! counted in the log.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use rustls::crypto::aws_lc_rs;
use serde::Serialize;
use ureq::{
    Agent,
    tls::{RootCerts, TlsConfig, TlsProvider},
};

use crate::{config::LimitOptions, limits::Limits, units::Uid};

/// Notices that may wait.
const MOST_WAITING: usize = 256;
/// How often a program that runs is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// A change of one user's limits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Notice {
    /// RFC 3339, UTC.
    pub(super) time: String,
    pub(super) host: String,
    pub(super) uid: Uid,
    pub(super) user: String,
    /// What was done: `set`, `tighten`, `relax`, `release`.
    pub(super) action: &'static str,
    /// `applied`, `dry-run`, or why not.
    pub(super) outcome: String,
    /// The whole of what is limited now.
    pub(super) limits: Limits,
    pub(super) rule: String,
    pub(super) reason: String,
}

/// Whom to tell, and for how long.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Address {
    hook: Option<PathBuf>,
    webhook: Option<String>,
    timeout: Duration,
}

/// Takes notices without ever waiting.
#[derive(Debug)]
pub(super) struct Notifier {
    line: SyncSender<(Notice, Address)>,
}

impl Notifier {
    /// Starts the thread, which ends when the notifier is dropped and what waits has been told.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub(super) fn start() -> io::Result<Self> {
        let (line, notices) = sync_channel(MOST_WAITING);
        thread::Builder::new().name("notices".into()).spawn(move || tell_all(&notices))?;
        Ok(Self { line })
    }

    /// Passes a notice on, if anybody wants it.
    pub(super) fn tell(&self, notice: Notice, options: &LimitOptions) {
        if options.hook.is_none() && options.webhook.is_none() {
            return;
        }
        let (hook, webhook) = (options.hook.clone(), options.webhook.clone());
        match self.line.try_send((notice, Address { hook, webhook, timeout: options.hook_timeout })) {
            Ok(()) => {}
            Err(TrySendError::Full((notice, _))) => tracing::warn!(
                uid = %notice.uid,
                "dropped a notice of a changed limit: {MOST_WAITING} wait, since limits.hook or limits.webhook takes its time"
            ),
            Err(TrySendError::Disconnected(_)) => tracing::error!("the thread that tells of changed limits has ended"),
        }
    }
}

fn tell_all(notices: &Receiver<(Notice, Address)>) {
    for (notice, address) in notices {
        let Ok(text) = serde_json::to_string(&notice) else { continue };
        if let Some(program) = &address.hook
            && let Err(error) = run(program, &text, address.timeout)
        {
            tracing::warn!(uid = %notice.uid, "limits.hook {}: {error}", program.display());
        }
        if let Some(url) = &address.webhook
            && let Err(error) = post(url, &text, address.timeout)
        {
            // Neither user nor password that may stand in it is shown.
            let host = url.split('/').nth(2).and_then(|host| host.rsplit('@').next()).unwrap_or_default();
            tracing::warn!(uid = %notice.uid, "limits.webhook at {host}: {error}");
        }
    }
}

/// Runs `program` with `text` and a newline on its standard input.
fn run(program: &Path, text: &str, timeout: Duration) -> io::Result<()> {
    let deadline = Instant::now() + timeout;
    let mut child = Command::new(program).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    if let Some(mut input) = child.stdin.take() {
        // Shorter than a pipe holds, so this does not wait. A program that does not read it may do so.
        let _ = writeln!(input, "{text}");
    }
    let status = wait(&mut child, deadline)?.ok_or_else(|| {
        // It may have ended in this very moment.
        let _ = child.kill();
        let _ = child.wait();
        io::Error::new(io::ErrorKind::TimedOut, format!("was killed: it took longer than {timeout:?}"))
    })?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("ended with {status}"))) }
}

/// `None` at the deadline.
fn wait(child: &mut Child, deadline: Instant) -> io::Result<Option<ExitStatus>> {
    loop {
        let ended = child.try_wait()?;
        if ended.is_some() || Instant::now() >= deadline {
            return Ok(ended);
        }
        thread::sleep(LOOK);
    }
}

/// Sends `text`; follows no redirection.
fn post(url: &str, text: &str, timeout: Duration) -> Result<(), ureq::Error> {
    let tls = TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(Arc::new(aws_lc_rs::default_provider()))
        .root_certs(RootCerts::PlatformVerifier)
        .build();
    let config = Agent::config_builder()
        .timeout_global(Some(timeout))
        .max_redirects(0)
        .user_agent(concat!("uidmeter/", env!("CARGO_PKG_VERSION")))
        .tls_config(tls)
        .build();
    let status = Agent::from(config).post(url).content_type("application/json").send(text)?.status();
    if status.is_success() { Ok(()) } else { Err(ureq::Error::StatusCode(status.as_u16())) }
}

#[cfg(test)]
mod tests {
    use std::{
        error::Error,
        fs,
        io::{BufRead as _, BufReader, Read as _, Write as _},
        net::{Ipv4Addr, TcpListener},
        os::unix::fs::PermissionsExt as _,
        path::PathBuf,
        thread,
        time::{Duration, Instant},
    };

    use super::{Notice, Notifier, post, run};
    use crate::{
        config::{Config, LimitOptions},
        limits::{Limits, Weight},
        units::Uid,
    };

    type Outcome = Result<(), Box<dyn Error>>;

    fn notice() -> Notice {
        Notice {
            time: "2026-01-01T00:00:00Z".into(),
            host: "login1".into(),
            uid: Uid(20_001),
            user: "an\"n\n".into(),
            action: "set",
            outcome: "applied".into(),
            limits: Limits { cpu_weight: Some(Weight::LEAST), ..Limits::default() },
            rule: "harm".into(),
            reason: "p99 is 23 ms".into(),
        }
    }

    fn script(folder: &tempfile::TempDir, body: &str) -> Result<PathBuf, Box<dyn Error>> {
        let path = folder.path().join("hook");
        fs::write(&path, format!("#!/bin/sh\n{body}\n"))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        Ok(path)
    }

    #[test]
    fn a_program_reads_the_notice() -> Outcome {
        let folder = tempfile::tempdir()?;
        let out = folder.path().join("out");
        let hook = script(&folder, &format!("cat > {0}.part; mv {0}.part {0}", out.display()))?;
        let options = LimitOptions { hook: Some(hook), ..Config::default().limits };
        Notifier::start()?.tell(notice(), &options);
        let deadline = Instant::now() + Duration::from_secs(20);
        while !out.exists() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(5));
        }
        let told: serde_json::Value = serde_json::from_str(&fs::read_to_string(&out)?)?;
        assert_eq!((&told["user"], &told["limits"]["cpu_weight"]), (&"an\"n\n".into(), &1.into()));
        Ok(())
    }

    #[test]
    fn a_program_that_fails_or_hangs_is_told_apart_and_ends() -> Outcome {
        let folder = tempfile::tempdir()?;
        let hook = script(&folder, "exit 3")?;
        let error = run(&hook, "x", Duration::from_secs(20)).map_err(|error| error.to_string());
        assert_eq!(error, Err("ended with exit status: 3".into()));
        let hook = script(&folder, "exec sleep 1000")?;
        let error = run(&hook, "x", Duration::from_millis(100)).map_err(|error| error.kind());
        assert_eq!(error, Err(std::io::ErrorKind::TimedOut));
        assert!(run(&folder.path().join("absent"), "x", Duration::from_secs(1)).is_err());
        Ok(())
    }

    #[test]
    fn a_url_gets_the_notice_and_no_redirection_is_followed() -> Outcome {
        for (answer, fine) in [("204 No Content", true), ("500 Oh", false), ("302 Found\r\nLocation: /x", false)] {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            let url = format!("http://{}/notices", listener.local_addr()?);
            let server = thread::spawn(move || -> std::io::Result<String> {
                let (mut stream, _) = listener.accept()?;
                let mut reader = BufReader::new(stream.try_clone()?);
                let mut length = 0;
                let mut line = String::new();
                while reader.read_line(&mut line)? > 2 {
                    if let Some(number) = line.to_lowercase().strip_prefix("content-length:") {
                        length = number.trim().parse().unwrap_or(0);
                    }
                    line.clear();
                }
                let mut body = vec![0; length];
                reader.read_exact(&mut body)?;
                write!(stream, "HTTP/1.1 {answer}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
                Ok(String::from_utf8_lossy(&body).into_owned())
            });
            let sent = post(&url, "{\"uid\":1}", Duration::from_secs(20));
            assert_eq!(server.join().map_err(|_| "the server failed")??, "{\"uid\":1}");
            assert_eq!(sent.is_ok(), fine, "{answer}: {sent:?}");
        }
        Ok(())
    }
}
