//! Which path leads where. Pure.

/// A place that one can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Landing,
    Metrics,
    Healthy,
    Ready,
}

impl Route {
    /// For `uidmeter_http_requests_total`: the same whatever the telemetry path is.
    pub(super) fn label(route: Option<Self>) -> &'static str {
        match route {
            Some(Self::Landing) => LANDING,
            Some(Self::Metrics) => "/metrics",
            Some(Self::Healthy) => HEALTHY,
            Some(Self::Ready) => READY,
            None => "unknown",
        }
    }

    /// Whether it tells nothing but whether the process works.
    pub(super) fn is_health(self) -> bool {
        matches!(self, Self::Healthy | Self::Ready)
    }
}

const LANDING: &str = "/";
const HEALTHY: &str = "/-/healthy";
const READY: &str = "/-/ready";
/// Ours, now and later.
const RESERVED: [&str; 2] = ["/-", "/api"];

/// The path of the metrics: absolute, plain and not another route's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TelemetryPath(String);

/// Why a path cannot be the metrics'.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Relative, the root, or with a query.
    #[error(
        "{0:?} is not a path below / of letters, digits and any of \"/-._~\" that does not end in /; write for example /metrics"
    )]
    NotPlain(String),
    /// Reserved.
    #[error("{path:?} lies under {reserved}, which uidmeter needs itself; write for example /metrics")]
    Reserved {
        /// What was asked for.
        path: String,
        /// What it clashes with.
        reserved: &'static str,
    },
}

impl Default for TelemetryPath {
    fn default() -> Self {
        Self("/metrics".into())
    }
}

impl TelemetryPath {
    /// Checks `path`.
    ///
    /// # Errors
    /// It cannot be told from other paths.
    pub fn new(path: &str) -> Result<Self, PathError> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "/-._~".contains(c);
        let segments = path.strip_prefix('/').map(|rest| rest.split('/'));
        let is_clean = segments.is_some_and(|mut all| all.all(|segment| !["", ".", ".."].contains(&segment)));
        if !path.chars().all(is_plain) || !is_clean {
            return Err(PathError::NotPlain(path.into()));
        }
        let lies_under = |reserved: &str| {
            path.strip_prefix(reserved).is_some_and(|rest| matches!(rest.chars().next(), None | Some('/')))
        };
        match RESERVED.into_iter().find(|reserved| lies_under(reserved)) {
            Some(reserved) => Err(PathError::Reserved { path: path.into(), reserved }),
            None => Ok(Self(path.into())),
        }
    }

    /// As requests spell it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Where `path` leads.
    pub(super) fn route(&self, path: &str) -> Option<Route> {
        match path {
            LANDING => Some(Route::Landing),
            HEALTHY => Some(Route::Healthy),
            READY => Some(Route::Ready),
            other => (other == self.0).then_some(Route::Metrics),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{PathError, Route, TelemetryPath};

    #[test]
    fn a_telemetry_path_is_absolute_plain_and_nobody_elses() {
        for fine in ["/metrics", "/a", "/uidmeter/metrics", "/-metrics", "/m-._~1", "/apis"] {
            assert_eq!(TelemetryPath::new(fine).map(|path| path.as_str().to_owned()).as_deref(), Ok(fine));
        }
        let bad = [
            "",
            "/",
            "metrics",
            "/metrics/",
            "//",
            "/a//b",
            "/../x",
            "/.",
            "/a?b",
            "/a#",
            "/a b",
            "/\u{e9}",
            "/a%20",
            "/<",
        ];
        for bad in bad {
            assert_eq!(TelemetryPath::new(bad), Err(PathError::NotPlain(bad.into())), "{bad}");
        }
        for reserved in ["/-", "/-/healthy", "/-/metrics", "/api", "/api/v1"] {
            assert!(matches!(TelemetryPath::new(reserved), Err(PathError::Reserved { .. })), "{reserved}");
        }
    }

    #[test]
    fn with_another_path_nothing_is_at_the_old_one() {
        let path = TelemetryPath("/uidmeter".into());
        assert_eq!(path.route("/uidmeter"), Some(Route::Metrics));
        assert_eq!(path.route("/metrics"), None);
        assert_eq!(path.route("/-/ready"), Some(Route::Ready));
    }
}
