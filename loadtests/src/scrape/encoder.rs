//! What writing a page costs by itself, in this process: from a view to bytes.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use collector::{
    export::{
        Filter, OwnMetrics,
        content::Content,
        protobuf,
        text::{self, Dialect},
    },
    snapshot::Snapshot,
    source::{Source as _, simulated::Simulated},
    users::Names,
    view::View,
};
use nix::time::ClockId;
use serde::Serialize;

use crate::{simulate, spread::Spread};

const ROUNDS: usize = 60;

/// What one format costs.
#[derive(Debug, Serialize)]
pub(super) struct Encoder {
    pub(super) format: &'static str,
    pub(super) page_bytes: usize,
    /// Lines of the text page that are no comment; the same content in each format.
    pub(super) samples: usize,
    pub(super) ns_per_sample: Spread,
}

type Encode = fn(&Content<'_>, &mut Vec<u8>);
const FORMATS: [(&str, Encode); 3] = [
    ("text", |content, out| text::encode(content, Dialect::Prometheus, out)),
    ("OpenMetrics", |content, out| text::encode(content, Dialect::OpenMetrics, out)),
    ("protobuf", protobuf::encode),
];

/// Of this thread: what else runs on the machine does not count.
fn cpu_time() -> Result<Duration> {
    Ok(ClockId::CLOCK_THREAD_CPUTIME_ID.now()?.into())
}

/// Writes the page of `users` in each format.
pub(super) fn measure(users: u32) -> Result<Vec<Encoder>> {
    let mut snapshot = Snapshot::default();
    Simulated::new(&simulate::host(users, 1)).read(&mut snapshot);
    let names: Names = snapshot.users().map(|uid| (uid, simulate::name(uid))).collect();
    let view = View { generation: 1, snapshot: Arc::new(snapshot), names, ..View::default() };
    let own = OwnMetrics::new()?.gather();
    let mut page = Vec::new();
    text::encode(&Content::new(&view, &own, Filter::ALL), Dialect::Prometheus, &mut page);
    let samples = page.split(|byte| *byte == b'\n').filter(|line| !line.is_empty() && line[0] != b'#').count();
    let per_sample = f64::from(u32::try_from(samples)?);
    let mut found = Vec::new();
    for (format, encode) in FORMATS {
        let mut times = Vec::new();
        for _ in 0..ROUNDS {
            page.clear();
            let began = cpu_time()?;
            encode(&Content::new(&view, &own, Filter::ALL), &mut page);
            times.push(cpu_time()?.saturating_sub(began).as_secs_f64() * 1e9 / per_sample);
        }
        let ns_per_sample = Spread::of(times).context("no round")?;
        found.push(Encoder { format, page_bytes: page.len(), samples, ns_per_sample });
    }
    Ok(found)
}
