//! From a published view to bytes on a socket.
//!
//! | module | owns |
//! |---|---|
//! | [`catalog`] | the table of all metric families: name, kind, unit, help, labels, where the values come from |
//! | [`classic`] | classic histogram buckets as sums of the native ones |
//! | [`number`] | integers and nanoseconds → decimal text, exactly |
//! | [`text`] | the text format 0.0.4, by walking the catalogue over a view |
//! | [`own`] | what the process counts about itself |
//! | [`page`] | one reading → one page, encoded once and shared; whether we are ready |
//! | `document` | configuration text → a tree that knows its lines |
//! | `bounded_file` | reads files of bounded size, and secrets only if nobody else can |
//! | [`secret`] | bytes that must not be seen |
//! | [`web_config`] | the web configuration file → plain data |
//! | [`auth`] | credentials of a request → who may do what |
//! | [`tls`] | settings of the web configuration file → what a handshake needs |
//! | [`http`] | routes, connections, limits, shutdown |
//!
//! Reads the view and the process's own counters; never the kernel. Only `bounded_file` reads files.

pub mod catalog;

pub mod classic;

pub mod number;

pub mod own;

pub mod text;

pub mod page;

mod document;

mod bounded_file;

pub mod secret;

pub mod web_config;

pub mod auth;

pub mod tls;

pub mod http;

pub use bounded_file::read_private;
pub use own::OwnMetrics;
pub use page::{Exporter, Gather};
