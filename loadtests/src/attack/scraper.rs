//! Scrapes once a second in each way that Prometheus does, and takes the time.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use tokio::{
    runtime::{Builder, Runtime},
    time::{MissedTickBehavior, interval_at, timeout},
};

use super::{
    client::{PATIENCE, Stream, Target, ask},
    site::{Site, basic},
};

const PAUSE: Duration = Duration::from_secs(1);
/// What takes longer is listed.
const SLOW: Duration = Duration::from_millis(50);

/// What came of scrapes.
#[derive(Debug, Default)]
pub(crate) struct Scrapes(Mutex<Outcome>);

/// Times of those that were answered, and why others were not.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    times: Vec<Duration>,
    failures: Vec<String>,
    slow: Vec<String>,
}

impl Scrapes {
    /// What came of them since the last call.
    pub(crate) fn take(&self) -> Outcome {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn add(&self, who: &str, took: Duration, outcome: Result<()>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Ok(()) => {
                all.times.push(took);
                if took > SLOW {
                    all.slow.push(format!("{who}: {} ms", took.as_millis()));
                }
            }
            Err(error) => all.failures.push(format!("{who} after {} ms: {error:#}", took.as_millis())),
        }
    }
}

impl Outcome {
    pub(crate) fn failures(&self) -> &[String] {
        &self.failures
    }

    /// Who was slow.
    pub(crate) fn slow(&self) -> &[String] {
        &self.slow
    }

    /// In milliseconds; by the nearest rank, so that it is a time that was really seen.
    pub(crate) fn percentile(&self, percent: f64) -> f64 {
        let mut times = self.times.clone();
        times.sort_unstable();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a rank in a list of a few thousand"
        )]
        let rank = ((percent / 100.0 * times.len() as f64).ceil() as usize).max(1);
        times.get(rank - 1).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
    }

    pub(crate) fn row(&self, name: &str) -> [String; 6] {
        let time = |percent| format!("{:.1}", self.percentile(percent));
        let (answered, failed) = (self.times.len().to_string(), self.failures.len().to_string());
        [name.into(), answered, failed, time(50.0), time(99.0), time(100.0)]
    }
}

/// Begins: with a password and with a token over connections that stay open, and with a token over a new one each
/// time. They have a thread of their own: the attackers' work must not be taken for the server's.
pub(crate) fn start(target: &Target, site: &Site, scrapes: &Arc<Scrapes>) -> Result<Runtime> {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let ways =
        [("password", basic(), true), ("token", site.bearer(), true), ("token, new connection", site.bearer(), false)];
    for (number, (name, headers, keeps)) in (0_u32..).zip(ways) {
        // The first time is before the attack: a password is checked once, and remembered.
        let (status, _) = runtime.block_on(async { ask(&mut *target.connect().await?, "/metrics", &headers).await })?;
        ensure!(status == 200, "{name}: status {status}");
        let (target, scrapes) = (target.clone(), Arc::clone(scrapes));
        runtime.spawn(async move {
            let mut ticks = interval_at(tokio::time::Instant::now() + PAUSE / 3 * number, PAUSE);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut kept = None;
            loop {
                ticks.tick().await;
                let began = Instant::now();
                let outcome = scrape(&target, &headers, kept.take()).await.map(|stream| kept = keeps.then_some(stream));
                scrapes.add(name, began.elapsed(), outcome);
            }
        });
    }
    Ok(runtime)
}

async fn scrape(target: &Target, headers: &str, kept: Option<Box<dyn Stream>>) -> Result<Box<dyn Stream>> {
    let mut stream = match kept {
        Some(stream) => stream,
        None => timeout(PATIENCE, target.connect()).await??,
    };
    let (status, body) = ask(&mut *stream, "/metrics", headers).await?;
    ensure!(status == 200 && body.ends_with(b"\n"), "status {status}, {} bytes", body.len());
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::{Duration, Outcome};

    #[test]
    fn a_percentile_is_a_time_that_was_seen() {
        let outcome = Outcome { times: (1..=200).map(Duration::from_millis).collect(), ..Outcome::default() };
        let found = [50.0, 99.0, 100.0].map(|percent| format!("{:.0}", outcome.percentile(percent)));
        assert_eq!(found, ["100", "198", "200"]);
        assert!(Outcome::default().percentile(99.0).is_nan());
    }
}
