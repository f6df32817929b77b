//! From what Prometheus remembers to figures. Pure.

use serde::Serialize;

/// All scrapes of a time, as Prometheus wrote them down.
#[derive(Debug, Default)]
pub(super) struct Scrapes {
    /// 1 or 0 for each scrape of each target: `up`.
    pub(super) up: Vec<Vec<f64>>,
    /// Seconds of each: `scrape_duration_seconds`.
    pub(super) durations: Vec<Vec<f64>>,
    /// Samples of each: `scrape_samples_scraped`.
    pub(super) samples: Vec<Vec<f64>>,
}

/// What they come to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Outcome {
    /// Targets that were scraped at all.
    pub(super) targets: usize,
    /// Targets whose last scrape came through.
    pub(super) up: usize,
    pub(super) scrapes: usize,
    pub(super) failed: usize,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) max_ms: f64,
    pub(super) samples: f64,
}

impl Scrapes {
    /// Those of several replicas together.
    pub(super) fn and(mut self, other: Self) -> Self {
        self.up.extend(other.up);
        self.durations.extend(other.durations);
        self.samples.extend(other.samples);
        self
    }

    /// Without scrapes, durations are no numbers, so that no target is met.
    pub(super) fn outcome(&self) -> Outcome {
        let mut durations: Vec<f64> = self.durations.iter().flatten().map(|seconds| seconds * 1000.0).collect();
        durations.sort_by(f64::total_cmp);
        let is_up = |up: f64| up > 0.5;
        let quantile = |percent: usize| {
            let rank = (durations.len() * percent).div_ceil(100).max(1);
            durations.get(rank - 1).copied().unwrap_or(f64::NAN)
        };
        Outcome {
            targets: self.up.len(),
            up: self.up.iter().filter(|scrapes| scrapes.last().copied().is_some_and(is_up)).count(),
            scrapes: self.up.iter().map(Vec::len).sum(),
            failed: self.up.iter().flatten().filter(|up| !is_up(**up)).count(),
            p50_ms: quantile(50),
            p99_ms: quantile(99),
            max_ms: quantile(100),
            samples: self.samples.iter().flatten().sum(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Scrapes;

    #[test]
    fn scrapes_are_counted_and_times_are_ones_that_were_seen() {
        let one = Scrapes {
            up: vec![vec![1.0, 1.0], vec![0.0, 1.0]],
            durations: vec![vec![0.001, 0.002], vec![10.0, 0.003]],
            samples: vec![vec![5.0, 5.0], vec![0.0, 7.0]],
        };
        let other =
            Scrapes { up: vec![vec![1.0, 0.0]], durations: vec![vec![0.004, 0.005]], samples: vec![vec![1.0, 0.0]] };
        let found = one.and(other).outcome();
        assert_eq!((found.targets, found.up, found.scrapes, found.failed), (3, 2, 6, 2));
        assert!((found.p50_ms - 3.0).abs() < 1e-9 && (found.p99_ms - 10_000.0).abs() < 1e-9, "{found:?}");
        assert!((found.max_ms - 10_000.0).abs() < 1e-9 && (found.samples - 18.0).abs() < 1e-9, "{found:?}");
    }

    #[test]
    fn without_scrapes_there_is_no_time() {
        let found = Scrapes::default().outcome();
        assert_eq!((found.targets, found.scrapes, found.failed), (0, 0, 0));
        assert!(found.p50_ms.is_nan() && found.p99_ms.is_nan());
    }
}
