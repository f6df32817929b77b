//! `uidmeter fleet`: what is done to many hosts at once, from the machine where Prometheus runs.
//!
//! | module | owns |
//! |---|---|
//! | [`inventory`] | files that name hosts → hosts |
//! | [`targets`] | hosts → a target file for Prometheus |
//! | [`ask`] | one host asked once: over TLS, with a credential, within bounds |
//! | [`verify`] | all hosts asked, and what is wrong with each |
//! | [`rotate`] | a new token or key, of which nobody is left behind |
//! | `place` | replaces a file at once |
//!
//! Starts nothing on the hosts and changes nothing there: it asks them as Prometheus does. What they answer is not believed to be
//! harmless. Prints nothing.

pub mod ask;
pub mod inventory;
pub mod rotate;
pub mod targets;
pub mod verify;

mod place;

use clap::Subcommand;

/// What `uidmeter fleet` can do.
#[derive(Clone, Debug, Subcommand)]
pub enum FleetCommand {
    /// Write a file of targets for Prometheus from a host list, an SSH configuration or a table
    Targets(targets::TargetsFlags),
    /// Ask every host as Prometheus does, and tell what is wrong with each
    Verify(Box<verify::VerifyFlags>),
    /// Give Prometheus a new token, of the same key or a new one, that every host accepts before it is used
    Rotate(Box<rotate::RotateFlags>),
}

/// Why it was not done: one sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FleetError {
    /// Something that was said cannot be used.
    #[error("{0}")]
    Usage(String),
    /// A file that was named says something that cannot be used.
    #[error("{0}")]
    Input(String),
    /// A file could not be read or written.
    #[error("{0}")]
    File(String),
    /// The system refuses something.
    #[error("{0}")]
    System(String),
    /// Hosts do not accept what they should.
    #[error("{0}")]
    Hosts(String),
}
