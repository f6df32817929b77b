//! Daemon and enforcer are killed: nothing stays limited.

use crate::Tests;

pub(crate) const TESTS: Tests = &[];
