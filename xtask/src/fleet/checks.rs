//! The checks by name. Each part of the kit has a module of its own.

mod alerts;
mod boards;
mod discovery;
mod guide;
mod kube;
mod rules;

use anyhow::Result;

use super::kit::Kit;

/// Something that is held against a real program.
pub(super) struct Check {
    /// Part of the kit and subject, as `rules-syntax`.
    pub(super) name: &'static str,
    /// One clause: what has been shown when it passes.
    pub(super) tells: &'static str,
    pub(super) run: fn(&Kit<'_>) -> Result<()>,
}

/// All of them, cheap ones first.
pub(super) fn all() -> impl Iterator<Item = &'static Check> {
    [rules::CHECKS, alerts::CHECKS, boards::CHECKS, kube::CHECKS, discovery::CHECKS, guide::CHECKS]
        .into_iter()
        .flatten()
}
