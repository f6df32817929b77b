//! Series → compressed requests, each of them of one moment and of bounded size.
//!
//! One moment: a receiver that finds the samples of a request too old refuses all of it, and then nothing younger is lost with
//! them. The moments of a series come in order, since requests are made and sent in order.

mod v1;
mod v2;

use super::{
    queue::Record,
    series::{Point, Series},
};
use crate::config::PushProtocol;

/// The bits of the number that says that a series has ended: "stale marker" in the specification. No other value has them.
const STALE: u64 = 0x7ff0_0000_0000_0002;
/// A request is closed when it has this many bytes before compression: far below what receivers take.
const FULL: usize = 512 << 10;

/// What is told of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// Its value.
    Value,
    /// That it has ended.
    End,
}

/// A number that says that a series has ended.
fn stale() -> f64 {
    f64::from_bits(STALE)
}

/// Collects series of one moment.
pub(super) struct Requests<'a> {
    protocol: PushProtocol,
    /// Milliseconds since 1970.
    timestamp: i64,
    most: u32,
    samples: u32,
    body: Body,
    deliver: &'a mut dyn FnMut(Record),
}

enum Body {
    V1(Vec<u8>),
    V2(v2::Request),
}

impl Body {
    fn new(protocol: PushProtocol) -> Self {
        match protocol {
            PushProtocol::V1 => Self::V1(Vec::new()),
            PushProtocol::V2 => Self::V2(v2::Request::default()),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::V1(body) => body.len(),
            Self::V2(request) => request.len(),
        }
    }
}

impl<'a> Requests<'a> {
    /// Requests of at most `most` samples of the moment `timestamp`.
    pub(super) fn new(protocol: PushProtocol, timestamp: i64, most: u32, deliver: &'a mut dyn FnMut(Record)) -> Self {
        Self { protocol, timestamp, most, samples: 0, body: Body::new(protocol), deliver }
    }

    /// Adds one series.
    pub(super) fn add(&mut self, series: &Series<'_>, told: Told) {
        match &mut self.body {
            Body::V1(body) => v1::append(series, told, self.timestamp, body),
            Body::V2(request) => request.append(series, told, self.timestamp),
        }
        self.samples += 1;
        if self.samples >= self.most || self.body.len() >= FULL {
            self.close();
        }
    }

    /// Closes the last request.
    pub(super) fn finish(mut self) {
        self.close();
    }

    fn close(&mut self) {
        if self.samples == 0 {
            return;
        }
        let body = match std::mem::replace(&mut self.body, Body::new(self.protocol)) {
            Body::V1(body) => body,
            Body::V2(request) => request.into_bytes(),
        };
        let samples = std::mem::take(&mut self.samples);
        match snap::raw::Encoder::new().compress_vec(&body) {
            Ok(body) => {
                (self.deliver)(Record { protocol: self.protocol, samples, timestamp: self.timestamp, body });
            }
            // Only beyond 4 GiB.
            Err(error) => tracing::error!("{samples} samples are not sent, since they cannot be compressed: {error}"),
        }
    }
}

#[cfg(test)]
mod tests;
