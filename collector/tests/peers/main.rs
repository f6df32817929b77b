//! With real servers and clients: what uidmeter serves, Prometheus stores and computes with; whom it should let in, it does, and
//! nobody else.
//!
//! `cargo xtask test peers` fetches the servers and names them in the variables of [`prometheus::RELEASES`]; curl and openssl are
//! those of the machine.

mod curl;
#[path = "../support/daemon.rs"]
mod daemon;
mod figures;
mod first_hour;
mod formats;
mod host;
mod modes;
mod openssl;
mod prometheus;
mod push;
mod rotation;
#[path = "../support/samples.rs"]
mod samples;
mod site;

type Outcome = Result<(), Box<dyn std::error::Error>>;
