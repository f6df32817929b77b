//! Alertmanager's configuration, held against amtool and real Alertmanagers.

use super::Check;

pub(super) const CHECKS: &[Check] = &[];
