//! The collector: from the kernel's maps to `/metrics`.
//!
//! Modules stand in the order in which data flows; each may use those above it, never those below
//! (`cargo xtask lint` checks it). The map of the whole is `docs/ARCHITECTURE.md`.

pub mod units;

pub mod config;

pub mod snapshot;

pub mod source;

pub mod host;

pub mod users;

pub mod rates;

pub mod rolling;

pub mod bursts;

pub mod roster;

pub mod limits;

pub mod view;

pub mod policy;

pub mod enforce;

pub mod export;

pub mod push;

pub mod token;

pub mod init;

pub mod fleet;

pub mod pipeline;
