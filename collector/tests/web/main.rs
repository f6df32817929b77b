//! The web server as administrators configure it, over real sockets on the loopback address: TLS, client certificates,
//! HTTP/2, reloads, sockets of every kind. No kernel programs, no root.

mod authentication;
mod certificates;
mod clients;
mod fleet;
mod http2;
mod reload;
mod rig;
mod rotate;
mod sockets;
mod versions;

type Outcome = Result<(), Box<dyn std::error::Error>>;
