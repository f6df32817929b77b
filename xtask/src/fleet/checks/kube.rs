//! Manifests, overlays and values, held against their schemas.

use super::Check;

pub(super) const CHECKS: &[Check] = &[];
