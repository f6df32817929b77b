//! A recorded or hand-written series of observations: JSON Lines, one observation a line. Pure: takes text, gives
//! observations. `docs/LIMITS.md` describes the format.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use serde::Deserialize;

use super::{Clock, Directory, HostLoad, Observation, Person, UserLoad};
use crate::units::{Bytes, Cores, Nanos, Uid, UnixTime};

/// A longer line is no observation.
pub const MOST_BYTES: usize = 16 << 20;
/// An observation that lasts longer is a mistake.
const MOST_SECONDS: u32 = 24 * 60 * 60;

/// The year 2500, in nanoseconds: a day later can still be told.
const LATEST: u64 = 16_725_225_600 * 1_000_000_000;

/// One line.
#[derive(Clone, Debug)]
pub enum Line {
    /// Numbers for names that stand in the policy; may come first.
    Names(Names),
    /// What is observed from a moment on.
    Observed(Observed),
}

/// What is observed from a moment on.
#[derive(Clone, Debug)]
pub struct Observed {
    /// When.
    pub time: UnixTime,
    /// For so many seconds it stays like that, and is looked at once in each.
    pub lasts: u32,
    /// What.
    pub observation: Observation,
}

impl Observed {
    /// The moments at which it is looked at.
    pub fn clocks(&self) -> impl Iterator<Item = Clock> {
        let start = self.time.0.0;
        (0..u64::from(self.lasts)).map(move |second| {
            let moment = Nanos(start.saturating_add(second * 1_000_000_000));
            Clock { monotonic: moment, wall: UnixTime(moment) }
        })
    }
}

/// Names of users and groups, so that a policy can be tried on a host that does not know them.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Names {
    /// Users.
    #[serde(default)]
    pub users: BTreeMap<String, u32>,
    /// Groups.
    #[serde(default)]
    pub groups: BTreeMap<String, u32>,
}

/// [`Names`], and another directory for those that they lack.
pub struct Backed<'a> {
    /// Asked first.
    pub names: &'a Names,
    /// Asked then.
    pub directory: &'a dyn Directory,
}

impl Directory for Backed<'_> {
    fn user(&self, name: &str) -> Result<Option<Uid>, String> {
        self.names.users.get(name).map_or_else(|| self.directory.user(name), |uid| Ok(Some(Uid(*uid))))
    }

    fn group(&self, name: &str) -> Result<Option<u32>, String> {
        self.names.groups.get(name).map_or_else(|| self.directory.group(name), |group| Ok(Some(*group)))
    }
}

/// Why a line is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// Not JSON, or not of this kind.
    #[error("this is no observation: {0}")]
    Json(String),
    /// Not a moment.
    #[error("the time {0} is no moment between 1970 and 2500 as 2026-03-23T12:00:00Z tells one")]
    Time(String),
    /// Longer than a day.
    #[error("an observation lasts 1 to {MOST_SECONDS} seconds, not {0}")]
    Lasts(u32),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawNames {
    names: Names,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawObserved {
    time: String,
    #[serde(default = "one")]
    lasts: u32,
    host: RawHost,
    users: Vec<RawUser>,
}

fn one() -> u32 {
    1
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawHost {
    cpus: u32,
    busy: f64,
    cpu_pressure: Option<f64>,
    memory_pressure: Option<f64>,
    io_pressure: Option<f64>,
    #[serde(default)]
    memory_total_bytes: u64,
    #[serde(default)]
    memory_available_bytes: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawUser {
    uid: u32,
    name: Option<String>,
    #[serde(default)]
    groups: Vec<u32>,
    #[serde(default)]
    cpu: f64,
    #[serde(default)]
    outside: f64,
    #[serde(default)]
    waiting: f64,
    wait_p99_seconds: Option<f64>,
    #[serde(default)]
    memory_bytes: u64,
    #[serde(default)]
    write_bytes_per_second: u64,
}

/// Reads one line.
///
/// # Errors
/// What is wrong with it.
pub fn line(text: &str) -> Result<Line, LineError> {
    let json = |error: serde_json::Error| {
        let column = error.column();
        let what = error.to_string();
        let what = what.split(" at line ").next().unwrap_or_default().replace(char::is_control, " ");
        LineError::Json(format!("{} at character {column}", what.chars().take(200).collect::<String>()))
    };
    if text.trim_start().starts_with("{\"names\"") {
        return Ok(Line::Names(serde_json::from_str::<RawNames>(text).map_err(json)?.names));
    }
    let raw: RawObserved = serde_json::from_str(text).map_err(json)?;
    let no_time = || LineError::Time(crate::config::quoted(&raw.time));
    let moment: Timestamp = raw.time.parse().map_err(|_| no_time())?;
    let nanos = u64::try_from(moment.as_nanosecond()).ok().filter(|nanos| *nanos < LATEST).ok_or_else(no_time)?;
    let time = UnixTime(Nanos(nanos));
    if !(1..=MOST_SECONDS).contains(&raw.lasts) {
        return Err(LineError::Lasts(raw.lasts));
    }
    let observation = Observation { host: raw.host.into(), users: raw.users.into_iter().map(Into::into).collect() };
    Ok(Line::Observed(Observed { time, lasts: raw.lasts, observation }))
}

impl From<RawHost> for HostLoad {
    fn from(raw: RawHost) -> Self {
        Self {
            cpus: raw.cpus,
            busy: Cores(raw.busy),
            cpu_pressure: raw.cpu_pressure,
            memory_pressure: raw.memory_pressure,
            io_pressure: raw.io_pressure,
            memory_total: Bytes(raw.memory_total_bytes),
            memory_available: Bytes(raw.memory_available_bytes),
        }
    }
}

impl From<RawUser> for UserLoad {
    fn from(raw: RawUser) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "saturates, which is what is meant"
        )]
        let nanos = |seconds: f64| Nanos((seconds * 1e9) as u64);
        let name: Option<Arc<str>> = raw.name.map(Into::into);
        Self {
            person: Person { uid: Uid(raw.uid), name, groups: Some(raw.groups.into()) },
            cpu: Cores(raw.cpu),
            outside: Cores(raw.outside),
            waiting: Cores(raw.waiting),
            wait_p99: raw.wait_p99_seconds.map(nanos),
            memory: Bytes(raw.memory_bytes),
            write_rate: Bytes(raw.write_bytes_per_second),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, proptest};

    use super::{Line, line};

    fn error(text: &str) -> String {
        line(text).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn a_line_is_looked_at_once_in_each_second() {
        let text = r#"{"time":"2026-03-23T12:00:00Z","lasts":3,"host":{"cpus":2,"busy":1.5},"users":[{"uid":7}]}"#;
        let Ok(Line::Observed(observed)) = line(text) else { return assert_eq!(error(text), "") };
        let seconds: Vec<_> = observed.clocks().map(|clock| clock.wall.0.0 / 1_000_000_000).collect();
        assert_eq!(seconds, [1_774_267_200, 1_774_267_201, 1_774_267_202]);
        assert_eq!(observed.observation.users.len(), 1);
    }

    #[test]
    fn what_is_wrong_with_a_line_is_one_sentence() {
        let with = |time: &str, lasts: &str| {
            format!(r#"{{"time":"{time}","lasts":{lasts},"host":{{"cpus":2,"busy":1}},"users":[]}}"#)
        };
        for (text, what) in [
            ("", "this is no observation: EOF while parsing a value"),
            ("[]", "this is no observation: "),
            (&with("yesterday", "1"), "the time \"yesterday\" is no moment"),
            (&with("1960-01-01T00:00:00Z", "1"), "is no moment"),
            (&with("9999-01-01T00:00:00Z", "1"), "is no moment"),
            (&with("2026-03-23T12:00:00Z", "0"), "lasts 1 to 86400 seconds, not 0"),
            (&with("2026-03-23T12:00:00Z", "1e9"), "this is no observation: "),
            (&with("2026-03-23T12:00:00Z", "1").replace("busy", "bussy"), "unknown field `bussy`"),
            (&with("2026-03-23T12:00:00Z", "1").replace("[]", "[{\"uid\":-1}]"), "invalid value: integer `-1`"),
            (&with("2026-03-23T12:00:00Z", "1").replace("\"busy\":1", "\"busy\":1e999"), "number out of range"),
            (r#"{"names":{"user":{}}}"#, "unknown field `user`"),
        ] {
            let said = error(text);
            assert!(said.contains(what) && !said.contains('\n') && said.len() < 400, "{text}: {said}");
        }
    }

    proptest! {
        #[test]
        fn no_line_makes_it_fall(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let said = error(&String::from_utf8_lossy(&bytes));
            assert!(!said.contains('\n'), "{said:?}");
        }

        #[test]
        fn no_number_makes_it_fall(number in any::<f64>(), bytes in any::<u64>(), uid in any::<u32>()) {
            let text = format!(
                r#"{{"time":"2026-03-23T12:00:00Z","host":{{"cpus":{uid},"busy":{number:e},"memory_total_bytes":{bytes}}},
                "users":[{{"uid":{uid},"cpu":{number:e},"wait_p99_seconds":{number:e}}}]}}"#
            );
            if let Ok(Line::Observed(observed)) = line(&text) {
                assert_eq!(observed.clocks().count(), 1);
            }
        }
    }
}
