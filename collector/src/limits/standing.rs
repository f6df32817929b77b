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
