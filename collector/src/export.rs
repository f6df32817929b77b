//! From a published view to bytes on a socket.
//!
//! | module | owns |
//! |---|---|
//! | [`catalog`] | the table of all metric families: name, kind, unit, help, labels, where the values come from |
//! | [`shape`] | the buckets of a histogram, native and classic |
//! | [`number`] | integers and nanoseconds → decimal text, exactly |
//! | [`own`] | what the process counts about itself |
//! | [`filter`] | which families a page shows |
//! | [`content`] | what a page is made of: view, own metrics, filter |
//! | [`text`] | both text formats, by walking the catalogue over a content |
//! | [`protobuf`] | the protobuf format with native histograms, likewise |
//! | [`negotiate`] | request headers → format and content coding |
//! | `compress` | gzip and zstd |
//! | `press` | the thread for long pages |
//! | [`page`] | one reading → its pages, each made once and shared; whether we are ready |
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

pub mod shape;

pub mod number;

pub mod own;

pub mod filter;

pub mod content;

pub mod text;

pub mod protobuf;

pub mod negotiate;

mod compress;

mod press;

pub mod page;

mod document;

mod bounded_file;

pub mod secret;

pub mod web_config;

pub mod auth;

pub mod tls;

pub mod http;

pub use bounded_file::{read_credential, read_open, read_private, shown};
pub use filter::{Filter, UnknownName};
pub use negotiate::{Encoding, Format};
pub use own::{OwnMetrics, Part, PushMetrics, Undelivered};
pub use page::{Exporter, Gather, Page, Want};
