//! What `uidmeter limits` and the daemon say to each other over the control socket: one line of JSON each way.

use serde::{Deserialize, Serialize};

use super::standing::Standing;
use crate::units::Uid;

/// Longest question, in bytes.
pub const MOST_QUESTION: usize = 4 << 10;
/// Longest answer, in bytes: ten thousand users.
pub const MOST_ANSWER: usize = 16 << 20;

/// What can be asked. Changing something is for root, and for the user that the daemon runs as; others learn about themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Question {
    /// How does it stand?
    List,
    /// Keep the user's limits as they are.
    Hold(Uid),
    /// Release the user, and leave him alone for so many seconds.
    Release {
        /// Who.
        uid: Uid,
        /// How long.
        seconds: u64,
    },
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Answer {
    /// To `list`: of everybody, or of the one who asks.
    Standing(Box<Standing>),
    /// It is done.
    Done,
    /// It is not, and why, in one sentence.
    Refused(String),
}
