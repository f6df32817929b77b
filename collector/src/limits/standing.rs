//! Who is limited at this moment and what else is to be told about it: plain data for figures, `uidmeter limits` and pages.

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};

use super::Limits;
use crate::units::{Nanos, Uid};

/// How limiting stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Standing {
    /// `limits.mode` as it is in force.
    pub mode: String,
    /// Rules of the policy; `None` if there is no policy.
    pub rules: Option<usize>,
    /// How users are limited: by whom, and where.
    pub driver: Option<String>,
    /// Why nobody can be limited although that is wanted.
    pub unable: Option<String>,
    /// Everybody of whom the policy makes something, by UID.
    pub users: Vec<UserStanding>,
    /// Changes that were tried, by action and outcome.
    pub changes: BTreeMap<Change, u64>,
    /// Evaluations of the policy.
    pub evaluations: u64,
    /// Time that users have spent in each state, all together.
    pub time_in_states: BTreeMap<String, Nanos>,
}

/// Action and outcome of a change.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Change {
    /// `set`, `tighten`, `relax` or `release`.
    pub action: String,
    /// `applied`, `dry-run`, `refused`, `failed` or `abandoned`.
    pub outcome: String,
}

impl From<Change> for String {
    fn from(change: Change) -> Self {
        format!("{} {}", change.action, change.outcome)
    }
}

impl TryFrom<String> for Change {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let (action, outcome) = text.split_once(' ').ok_or("allowed are two words")?;
        Ok(Self { action: action.into(), outcome: outcome.into() })
    }
}

/// How it stands with one user.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserStanding {
    /// Who.
    pub uid: Uid,
    /// The name, if it is known.
    pub name: Option<String>,
    /// What the policy makes of him: `pending`, `limited`, `grace`, `held` or `released`; `watched` is nothing.
    pub state: String,
    /// Seconds since that state began, or until it ends, where that is known.
    pub seconds: Option<f64>,
    /// By which rule.
    pub rule: Option<String>,
    /// Which step of how many.
    pub step: Option<(usize, usize)>,
    /// Why, in one sentence.
    pub reason: Option<String>,
    /// Whether the limits are only shown.
    pub dry_run: bool,
    /// What the policy wants.
    pub wanted: Limits,
    /// What the kernel enforces, read back.
    pub in_force: Limits,
    /// The cgroup that is limited.
    pub group: Option<PathBuf>,
    /// What went wrong, in one sentence.
    pub trouble: Option<String>,
    /// 1 while what was measured stays within every limit; else the part of it that the limit allows.
    pub effective: Option<f64>,
    /// CPUs that the user kept busy.
    pub cores: f64,
    /// The part of them outside of the group, which no limit reaches.
    pub unenforceable_cores: f64,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::{BTreeMap, Change, Limits, Nanos, Standing, Uid, UserStanding};
    use crate::{
        limits::{Millicores, Weight},
        units::Bytes,
    };

    /// Everything that there can be: somebody who uses twice what his limit allows, partly out of reach.
    pub(crate) fn example() -> Standing {
        let limits = Limits {
            cpu_weight: Weight::new(20),
            cpu_max: Millicores::new(1_500),
            memory_high: Some(Bytes(2 << 30)),
            memory_max: Some(Bytes(3 << 30)),
            ..Limits::default()
        };
        let user = UserStanding {
            uid: Uid(1000),
            name: None,
            state: "limited".into(),
            seconds: Some(12.0),
            rule: Some("cpu hog".into()),
            step: Some((1, 2)),
            reason: Some("he takes more than his share".into()),
            dry_run: false,
            wanted: limits,
            in_force: limits,
            group: Some("/sys/fs/cgroup/user.slice/user-1000.slice".into()),
            trouble: None,
            effective: Some(0.5),
            cores: 3.0,
            unenforceable_cores: 1.25,
        };
        Standing {
            mode: "enforce".into(),
            rules: Some(1),
            driver: Some("systemd".into()),
            unable: None,
            users: vec![user],
            changes: BTreeMap::from([(Change { action: "set".into(), outcome: "applied".into() }, 3)]),
            evaluations: 42,
            time_in_states: BTreeMap::from([("limited".into(), Nanos(12_000_000_000))]),
        }
    }

    #[test]
    fn what_is_told_over_the_socket_arrives_as_it_was() -> serde_json::Result<()> {
        let text = serde_json::to_string(&example())?;
        assert_eq!(serde_json::from_str::<Standing>(&text)?, example());
        assert!(text.contains("\"set applied\":3"), "{text}");
        Ok(())
    }
}
