//! What can be told about somebody: what the engine makes of him, since when, and for how long it has made what of him.

use std::{sync::Arc, time::Duration};

use serde::Serialize;

use crate::{
    config::Mode,
    limits::{Limits, Order},
    units::{Nanos, Uid},
};

/// What is made of somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing: no rule has anything against him.
    Watched,
    /// All conditions of a rule are met, but not for long enough.
    Pending {
        /// Which rule.
        rule: String,
        /// Since when.
        since: Nanos,
    },
    /// He is limited, or would be in a dry run.
    Limited(Limited),
    /// He has just come, and is left alone.
    Grace {
        /// Until when.
        until: Nanos,
    },
    /// An administrator holds his limits as they are.
    Held,
    /// An administrator released him, and he is left alone.
    Released {
        /// Until when.
        until: Nanos,
    },
}

/// What somebody is limited to, by the rule that did so first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limited {
    /// Which rule.
    pub rule: String,
    /// Counted from 1.
    pub step: usize,
    /// Steps that the rule has.
    pub steps: usize,
    /// Since when he is limited at all.
    pub since: Nanos,
    /// Why, when it last changed.
    pub reason: String,
}

/// The states without what is known about them, for figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StateKind {
    /// [`State::Watched`].
    Watched,
    /// [`State::Pending`].
    Pending,
    /// [`State::Limited`].
    Limited,
    /// [`State::Grace`].
    Grace,
    /// [`State::Held`].
    Held,
    /// [`State::Released`].
    Released,
}

impl StateKind {
    /// All.
    pub const ALL: [Self; 6] = [Self::Watched, Self::Pending, Self::Limited, Self::Grace, Self::Held, Self::Released];

    /// Its name in figures.
    pub fn name(self) -> &'static str {
        match self {
            Self::Watched => "watched",
            Self::Pending => "pending",
            Self::Limited => "limited",
            Self::Grace => "grace",
            Self::Held => "held",
            Self::Released => "released",
        }
    }
}

impl State {
    /// Which it is.
    pub fn kind(&self) -> StateKind {
        match self {
            Self::Watched => StateKind::Watched,
            Self::Pending { .. } => StateKind::Pending,
            Self::Limited(_) => StateKind::Limited,
            Self::Grace { .. } => StateKind::Grace,
            Self::Held => StateKind::Held,
            Self::Released { .. } => StateKind::Released,
        }
    }
}

/// Time spent in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times([Duration; StateKind::ALL.len()]);

impl Times {
    pub(super) fn add(&mut self, kind: StateKind, time: Duration) {
        self.0[kind as usize] = self.0[kind as usize].saturating_add(time);
    }

    /// In one state.
    pub fn get(&self, kind: StateKind) -> Duration {
        self.0[kind as usize]
    }
}

/// Everything that can be told about one user.
#[derive(Clone, Debug, PartialEq)]
pub struct UserState {
    /// Who.
    pub uid: Uid,
    /// His name, if it is known.
    pub name: Option<Arc<str>>,
    /// What is made of him.
    pub state: State,
    /// What is wanted for him now: nothing is limited by default.
    pub wanted: Limits,
    /// What would be wanted, had the rules in dry run a say.
    pub would_be: Limits,
    /// Offences that still count, each less as time goes by.
    pub offences: f64,
    /// How long he has been in which state.
    pub times: Times,
}

/// What happens to somebody's limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// There were none.
    Set,
    /// Something becomes tighter.
    Tighten,
    /// Nothing becomes tighter.
    Relax,
    /// There are none any more.
    Release,
}

impl Action {
    /// All.
    pub const ALL: [Self; 4] = [Self::Set, Self::Tighten, Self::Relax, Self::Release];

    /// Its name in figures and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Set => "set",
            Self::Tighten => "tighten",
            Self::Relax => "relax",
            Self::Release => "release",
        }
    }
}

/// A change of what is wanted for somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What is wanted from now on, and why.
    pub order: Order,
    /// What that is, compared with before.
    pub action: Action,
    /// Whether it is to be done, or only to be shown; never [`Mode::Off`].
    pub mode: Mode,
}

/// What follows from one observation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evaluation {
    /// Changes, by UID; for one user the dry run's come first.
    pub decisions: Vec<Decision>,
}
