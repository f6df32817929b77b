//! What became of a request.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::limits::Limits;

/// What became of a request. Each `why` is one sentence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Outcome {
    /// It is as the order says.
    Applied {
        /// The cgroup that is limited.
        group: PathBuf,
        /// What the kernel enforces there, read back. A value that was stricter already is left so.
        in_force: Limits,
        /// Whether anything had to be written.
        changed: bool,
    },
    /// Everything is as it was before the first order.
    Cleared {
        /// Whether anything had to be written.
        changed: bool,
    },
    /// It is not allowed or not possible on this host; nothing was changed.
    Refused {
        /// Why.
        why: String,
    },
    /// It did not work. After a failed order everything is as it was before; what could not be cleared is tried again.
    Failed {
        /// Why.
        why: String,
    },
    /// Somebody else has changed the values meanwhile: they are left as they are, and the user is left alone until he is
    /// cleared.
    Abandoned {
        /// What was found.
        why: String,
    },
}
