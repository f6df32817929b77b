//! What the guides tell people to type: scripts, firewall rules, proxies, backups.

use super::Check;

pub(super) const CHECKS: &[Check] = &[];
