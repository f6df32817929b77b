//! The push over real sockets on the loopback address, against a receiver that does what it is told: trouble of every kind,
//! restarts, credentials, TLS. No kernel programs, no root.

mod certificates;
mod credentials;
mod endings;
mod receiver;
#[path = "../support/remote_write.rs"]
mod remote_write;
mod rig;
mod trouble;

type Outcome = Result<(), Box<dyn std::error::Error>>;
