//! What happened, for the audit log.

use serde::Serialize;

use super::{outcome::Outcome, value::Value};
use crate::{
    limits::{Cause, Property},
    units::Uid,
};

/// What was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Deed {
    /// A limit was ordered.
    Set,
    /// A limit was put into a group that had been made anew.
    Reapply,
    /// The daemon, or a person, gave it back.
    Clear,
    /// Nobody renewed it.
    Expire,
    /// The daemon is gone, or this process is to end.
    Close,
    /// A dead enforcer had left it, or giving it back had failed before.
    Restore,
    /// Somebody else had changed it.
    Abandon,
}

/// A property that was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Which.
    pub property: Property,
    /// Before.
    pub old: Value,
    /// After.
    pub new: Value,
}

/// What happened to one user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Event {
    /// To whom.
    pub uid: Uid,
    /// What was tried.
    pub deed: Deed,
    /// What was written.
    pub changes: Vec<Change>,
    /// By which rule, and why.
    pub cause: Option<Cause>,
    /// What came of it.
    pub outcome: Outcome,
}
