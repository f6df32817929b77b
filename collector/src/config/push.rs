//! What is sent to a hub, as configured, and what must hold between those settings.

use std::{fmt, net::IpAddr, path::PathBuf, str::FromStr, time::Duration};

use crate::units::Bytes;

/// How figures are sent to a hub that cannot scrape this host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Push {
    /// The receiver; `None` means that nothing is sent.
    pub url: Option<String>,
    /// Time between two readings.
    pub interval: Duration,
    /// How they are written.
    pub protocol: PushProtocol,
    /// Which buckets are sent with remote write 2.0.
    pub histograms: PushHistograms,
    /// Label `job`.
    pub job: Option<String>,
    /// Label `instance`; `None` means the host's name.
    pub instance: Option<String>,
    /// Further labels, of distinct names.
    pub labels: Vec<Label>,
    /// CAs for the receiver's certificate; `None` means those of the system.
    pub ca_file: Option<PathBuf>,
    /// Our own certificate.
    pub certificate_file: Option<PathBuf>,
    /// Its private key.
    pub key_file: Option<PathBuf>,
    /// User for basic authentication.
    pub username: Option<String>,
    /// File with the password.
    pub password_file: Option<PathBuf>,
    /// File with a bearer token.
    pub bearer_token_file: Option<PathBuf>,
    /// Longest time for one request.
    pub timeout: Duration,
    /// Most samples in one request.
    pub max_samples: u32,
    /// Where samples wait.
    pub queue_folder: PathBuf,
    /// Most space for them.
    pub queue_max_size: Bytes,
    /// Longest time that they wait.
    pub queue_max_age: Duration,
}

/// Version of the remote write protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PushProtocol {
    /// `prometheus.WriteRequest`.
    #[default]
    V1,
    /// `io.prometheus.write.v2.Request`.
    V2,
}

impl PushProtocol {
    /// All, in the order of [`Self::WORDS`].
    pub const ALL: [Self; 2] = [Self::V1, Self::V2];
    /// How they are written.
    pub const WORDS: [&str; 2] = ["1.0", "2.0"];
}

/// Which buckets of histograms are sent with remote write 2.0. With 1.0 they are always classic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PushHistograms {
    /// A series for each bound.
    #[default]
    Classic,
    /// One native histogram.
    Native,
    /// Both.
    Both,
}

impl PushHistograms {
    /// All, in the order of [`Self::WORDS`].
    pub const ALL: [Self; 3] = [Self::Classic, Self::Native, Self::Both];
    /// How they are written.
    pub const WORDS: [&str; 3] = ["classic", "native", "both"];
}

/// A label that everything gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Letters, digits and underscores.
    pub name: String,
    /// Not empty.
    pub value: String,
}

impl FromStr for Label {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (name, value) = text.split_once('=').ok_or(())?;
        let fine = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let reserved = name.starts_with("__") || name.starts_with(|c: char| c.is_ascii_digit());
        if name.is_empty() || reserved || !name.chars().all(fine) || value.is_empty() {
            return Err(());
        }
        Ok(Self { name: name.into(), value: value.into() })
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.value)
    }
}

/// Something wrong with one setting in the light of the others: key, what was found (nothing for its value), what it must be.
pub(super) type Conflict = (&'static str, Option<&'static str>, &'static str);

impl Push {
    /// Everything that does not fit together. Nothing does any harm as long as there is no URL.
    pub(super) fn conflicts(&self) -> Vec<Conflict> {
        let Some(url) = &self.url else { return Vec::new() };
        let mut found = Vec::new();
        let encrypted = url.starts_with("https://");
        let basic = self.username.is_some() || self.password_file.is_some();
        if url.contains('#') {
            found.push(("url", None, "a URL without a fragment"));
        }
        if authority(url).contains('@') {
            // Not shown: it may hold a password.
            let what = Some("a URL with a user in it");
            found.push((
                "url",
                what,
                "without one: name the user with push.username and a file with push.password_file",
            ));
        }
        if !encrypted && !is_loopback(url) && (basic || self.bearer_token_file.is_some()) {
            found.push((
                "url",
                None,
                "a URL that begins with https://, since passwords and tokens are not sent in the clear",
            ));
        }
        let tls = [&self.ca_file, &self.certificate_file, &self.key_file];
        if !encrypted && tls.iter().any(|file| file.is_some()) {
            found.push(("url", None, "a URL that begins with https://, since there are settings for TLS"));
        }
        match (&self.certificate_file, &self.key_file) {
            (Some(_), None) => found.push(("key_file", None, "named, since push.certificate_file is")),
            (None, Some(_)) => found.push(("certificate_file", None, "named, since push.key_file is")),
            _ => {}
        }
        match (&self.username, &self.password_file) {
            (Some(_), None) => found.push(("password_file", None, "named, since push.username is")),
            (None, Some(_)) => found.push(("username", None, "named, since push.password_file is")),
            _ => {}
        }
        if self.username.as_ref().is_some_and(|name| name.contains(':')) {
            found.push(("username", None, "a name without a colon, which would end it"));
        }
        if basic && self.bearer_token_file.is_some() {
            found.push(("bearer_token_file", None, "empty, since there is a user and a password"));
        }
        for (key, given) in [("job", self.job.is_some()), ("instance", true)] {
            if given && self.labels.iter().any(|label| label.name == key) {
                found.push(("labels", None, "without job and instance, which have settings of their own"));
            }
        }
        found
    }
}

/// What stands between the scheme and the path.
fn authority(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}

/// Whether what is sent to `url` stays on this machine.
fn is_loopback(url: &str) -> bool {
    let host = authority(url);
    let host = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.split(':').next().unwrap_or_default(),
    };
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::{Label, Push, is_loopback};

    fn keys(push: &Push) -> Vec<&'static str> {
        push.conflicts().into_iter().map(|(key, ..)| key).collect()
    }

    #[test]
    fn what_is_no_label_is_refused() {
        for text in ["", "=x", "a", "a=", "1a=x", "__a=x", "a-b=x", "ä=x", " a=x"] {
            assert!(text.parse::<Label>().is_err(), "{text}");
        }
        let label = "site_1=a=b, \"c\" ä".parse::<Label>();
        assert_eq!(label, Ok(Label { name: "site_1".into(), value: "a=b, \"c\" ä".into() }));
    }

    #[test]
    fn only_loopback_is_this_machine() {
        for url in ["http://127.0.0.1:9090/x", "http://[::1]/x", "http://LocalHost", "http://127.8.8.8?x"] {
            assert!(is_loopback(url), "{url}");
        }
        for url in
            ["http://hub/x", "http://127.0.0.1.example/", "http://[::2]:1/", "http://localhost.example", "http://"]
        {
            assert!(!is_loopback(url), "{url}");
        }
    }

    #[test]
    fn credentials_are_not_sent_in_the_clear() {
        let push = |url: &str| Push { url: Some(url.into()), ..Push::default() };
        let token = |url: &str| Push { bearer_token_file: Some("/t".into()), ..push(url) };
        let basic = |url: &str| Push { username: Some("u".into()), password_file: Some("/p".into()), ..push(url) };
        assert!(keys(&push("http://hub:9090/api/v1/write")).is_empty());
        assert_eq!(keys(&token("http://hub:9090/api/v1/write")), ["url"]);
        assert_eq!(keys(&basic("http://hub:9090/api/v1/write")), ["url"]);
        for fine in ["https://hub/api", "http://127.0.0.1:9090/", "http://localhost/"] {
            assert!(keys(&token(fine)).is_empty() && keys(&basic(fine)).is_empty(), "{fine}");
        }
        assert_eq!(keys(&push("https://u:secret@hub/")), ["url"]);
        assert!(!format!("{:?}", push("https://u:secret@hub/").conflicts()).contains("secret"));
    }

    #[test]
    fn settings_that_belong_together_come_together() {
        let url = Some("https://hub/".to_owned());
        let path = || Some("/f".into());
        assert_eq!(keys(&Push { url: url.clone(), key_file: path(), ..Push::default() }), ["certificate_file"]);
        assert_eq!(keys(&Push { url: url.clone(), certificate_file: path(), ..Push::default() }), ["key_file"]);
        assert_eq!(keys(&Push { url: url.clone(), username: Some("u".into()), ..Push::default() }), ["password_file"]);
        assert_eq!(keys(&Push { url: url.clone(), password_file: path(), ..Push::default() }), ["username"]);
        let both =
            Push { username: Some("u".into()), password_file: path(), bearer_token_file: path(), ..Push::default() };
        assert_eq!(keys(&Push { url: url.clone(), ..both.clone() }), ["bearer_token_file"]);
        assert!(keys(&both).is_empty());
        let label = Label { name: "instance".into(), value: "x".into() };
        assert_eq!(keys(&Push { url, labels: vec![label], ..Push::default() }), ["labels"]);
        let http = Some("http://hub/".to_owned());
        assert_eq!(keys(&Push { url: http, ca_file: path(), ..Push::default() }), ["url"]);
    }
}
