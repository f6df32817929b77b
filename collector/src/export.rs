//! From a published view to bytes on a socket.
//!
//! | module | owns |
//! |---|---|
//! | [`catalog`] | the table of all metric families: name, kind, unit, help, labels, where the values come from |
//! | [`shape`] | the buckets of a histogram, native and classic |
//! | [`number`] | integers and nanoseconds → decimal text, exactly |
//! | [`text`] | the text format 0.0.4, by walking the catalogue over a view |
//! | [`own`] | what the process counts about itself |
//! | [`page`] | one reading → one page, encoded once and shared; whether we are ready |
//! | [`http`] | routes, connections, limits, shutdown |
//!
//! Reads the view and the process's own counters; never the kernel, never a file.

pub mod catalog;

pub mod shape;

pub mod number;

pub mod own;

pub mod text;

pub mod page;

pub mod http;

pub use own::OwnMetrics;
pub use page::{Exporter, Gather};
