//! Limits on users' groups: the only module that changes the host.
//!
//! | module | owns |
//! |---|---|
//! | [`client`] | the daemon's end of the socket: starts the enforcer, asks, never waits long |
//! | [`protocol`] | what is said between the two |
//! | [`process`] | the enforcer: answers, lets leases end, gives everything back when its socket closes |
//! | [`keeper`] | who is limited since when: takes and gives back |
//! | [`journal`] | what is to be undone, on storage before it is done |
//! | [`driver`] | the border to the host, and why something did not work |
//! | [`cgroupfs`] | the driver for cgroup v2 without systemd |
//! | [`systemd`] | the driver for hosts that systemd manages |
//! | [`audit`] | who was limited when and why, a line each |
//! | [`start`] | finds the driver, undoes what a dead enforcer left |
//!
//! A limit lives only as long as three things: its lease, the socket to the daemon, and this process. Whoever of them ends, the
//! values that were found are put back, unless somebody else has changed them meanwhile.

pub mod audit;

pub mod cgroupfs;

pub mod client;

mod disks;

pub mod driver;

pub mod event;

pub mod journal;

pub mod keeper;

mod outcome;

pub mod process;

pub mod protocol;

pub mod start;

pub mod systemd;

pub mod value;

pub use outcome::Outcome;

use crate::limits::Order;

/// Whether an order is within the configuration; `Err` says in one sentence why not.
pub type Guard = Box<dyn FnMut(&Order) -> Result<(), String> + Send>;
