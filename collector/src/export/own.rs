//! What the process counts about itself, in a `prometheus` registry. Names, help and labels are the catalogue's.
//!
//! Counting never fails and never waits: each method is one or two atomic additions.

mod push;

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, SystemTime},
};

use hyper::StatusCode;
use prometheus::{
    Gauge, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, core::Collector,
    proto::MetricFamily,
};

pub use self::push::{PushMetrics, Undelivered};
use super::{
    auth::{Observer, REASONS},
    catalog::{
        AUTH_FAILURES, BUILD_INFO, CERTIFICATE_EXPIRY, CONFIG_RELOAD, CONFIG_RELOAD_TIME, Family, HTTP_REQUESTS,
        PASSWORD_CHECKS, SCRAPE_DURATION, Samples, TICK_DURATION, TICKS_LATE,
    },
    tls::Expiry,
};

/// This build's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A tick takes some tens of microseconds; at 100 ms it has used up the default interval.
const TICK_BOUNDS: [f64; 13] =
    [0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1];
/// A scrape of a thousand users should take less than 5 ms; Prometheus gives up after 10 s by default.
const SCRAPE_BOUNDS: [f64; 14] =
    [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 10.0];

/// The process's own counters.
#[derive(Debug)]
pub struct OwnMetrics {
    registry: Registry,
    tick_duration: Histogram,
    ticks_late: IntCounter,
    scrape_duration: Histogram,
    http_requests: IntCounterVec,
    auth_failures: IntCounterVec,
    password_checks: IntCounter,
    expiry: Expiry,
    /// Without a child as long as there is no certificate.
    certificate_expiry: IntGaugeVec,
    config_reload: IntGauge,
    config_reload_time: Gauge,
    push: push::Families,
    /// Whether each part of the configuration could be used when it was last read.
    usable: [AtomicBool; 2],
}

/// A part of the configuration that is read by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// uidmeter's own file and flags.
    Settings = 0,
    /// TLS and authentication.
    Web = 1,
}

impl OwnMetrics {
    /// Counters at zero.
    ///
    /// # Errors
    /// Two families of the catalogue have one name, or a name is not valid.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let build = register(&registry, IntGaugeVec::new(opts(&BUILD_INFO), labels(&BUILD_INFO))?)?;
        let build: IntGauge = build.get_metric_with_label_values(&[VERSION])?;
        build.set(1);
        let own = Self {
            tick_duration: register(&registry, histogram(&TICK_DURATION, &TICK_BOUNDS)?)?,
            ticks_late: register(&registry, IntCounter::with_opts(opts(&TICKS_LATE))?)?,
            scrape_duration: register(&registry, histogram(&SCRAPE_DURATION, &SCRAPE_BOUNDS)?)?,
            http_requests: register(&registry, IntCounterVec::new(opts(&HTTP_REQUESTS), labels(&HTTP_REQUESTS))?)?,
            auth_failures: register(&registry, IntCounterVec::new(opts(&AUTH_FAILURES), labels(&AUTH_FAILURES))?)?,
            password_checks: register(&registry, IntCounter::with_opts(opts(&PASSWORD_CHECKS))?)?,
            expiry: Expiry::default(),
            certificate_expiry: register(&registry, IntGaugeVec::new(opts(&CERTIFICATE_EXPIRY), &[])?)?,
            usable: [AtomicBool::new(true), AtomicBool::new(true)],
            config_reload: register(&registry, IntGauge::with_opts(opts(&CONFIG_RELOAD))?)?,
            config_reload_time: register(&registry, Gauge::with_opts(opts(&CONFIG_RELOAD_TIME))?)?,
            push: push::Families::register(&registry)?,
            registry,
        };
        // So that the families are there from the first scrape on, and their rates too.
        for reason in REASONS {
            own.auth_failures.get_metric_with_label_values(&[reason])?;
        }
        own.http_requests.get_metric_with_label_values(&[StatusCode::OK.as_str(), "/metrics"])?;
        Ok(own)
    }

    /// Counts a tick of the sampler: how long its work took, and whether it began late.
    pub fn tick(&self, took: Duration, late: bool) {
        self.tick_duration.observe(took.as_secs_f64());
        if late {
            self.ticks_late.inc();
        }
    }

    /// Counts a scrape that got its page, `took` after its request.
    pub fn scrape(&self, took: Duration) {
        self.scrape_duration.observe(took.as_secs_f64());
    }

    /// Counts an answered request. `handler` is one of a few fixed words, never what the client sent.
    pub fn request(&self, code: StatusCode, handler: &'static str) {
        self.http_requests.with_label_values(&[code.as_str(), handler]).inc();
    }

    /// What the push counts; its families are there from now on.
    pub fn push(&self) -> PushMetrics {
        self.push.begin()
    }

    /// Where the end of the certificate that is served is to be noted.
    pub fn expiry(&self) -> Expiry {
        self.expiry.clone()
    }

    /// Notes that a part of the configuration was read at `now`, and whether it could be used.
    pub fn config_reload(&self, part: Part, successful: bool, now: SystemTime) {
        self.usable[part as usize].store(successful, Ordering::Relaxed);
        self.config_reload.set(self.usable.iter().all(|part| part.load(Ordering::Relaxed)).into());
        if successful {
            let since_epoch = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            self.config_reload_time.set(since_epoch.as_secs_f64());
        }
    }

    /// The counters of this moment.
    pub fn gather(&self) -> Vec<MetricFamily> {
        match self.expiry.timestamp() {
            Some(expiry) => self.certificate_expiry.with_label_values::<&str>(&[]).set(expiry),
            None => self.certificate_expiry.reset(),
        }
        self.registry.gather()
    }
}

impl Observer for OwnMetrics {
    fn failure(&self, reason: &'static str) {
        self.auth_failures.with_label_values(&[reason]).inc();
    }

    fn password_check(&self) {
        self.password_checks.inc();
    }
}

fn register<C: Collector + Clone + 'static>(registry: &Registry, metric: C) -> Result<C, prometheus::Error> {
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn opts(family: &Family) -> Opts {
    Opts::new(family.name, family.help)
}

fn histogram(family: &Family, bounds: &[f64]) -> Result<Histogram, prometheus::Error> {
    Histogram::with_opts(HistogramOpts { common_opts: opts(family), buckets: bounds.to_vec() })
}

fn labels(family: &Family) -> &'static [&'static str] {
    match family.samples {
        Samples::Process { labels } => labels,
        _ => &[],
    }
}

#[cfg(test)]
pub(super) mod tests {
    use prometheus::{Encoder as _, TextEncoder};

    use super::{
        super::{
            catalog::{Samples, families},
            text::parse::{self, Page},
        },
        Duration, Observer as _, OwnMetrics, Part, REASONS, StatusCode, SystemTime, Undelivered, VERSION,
    };

    type Outcome = Result<(), Box<dyn std::error::Error>>;

    /// Counters of a process that serves TLS and has sent something, so that each family has a sample.
    pub(in crate::export) fn complete() -> Result<OwnMetrics, prometheus::Error> {
        let own = OwnMetrics::new()?;
        own.expiry().set(Some(1_800_000_000));
        own.push().sent(5, 1_800_000_000_000, SystemTime::UNIX_EPOCH);
        Ok(own)
    }

    fn page(own: &OwnMetrics) -> Result<Page, String> {
        let mut out = Vec::new();
        TextEncoder::new().encode(&own.gather(), &mut out).map_err(|error| error.to_string())?;
        parse::page(&out)
    }

    #[test]
    fn the_registry_holds_exactly_what_the_catalogue_leaves_to_the_process() -> Outcome {
        let page = page(&complete()?)?;
        let registered: Vec<_> =
            page.families.iter().map(|f| (f.name.as_str(), f.kind.as_str(), f.help.as_str())).collect();
        let mut catalogued: Vec<_> = families()
            .filter(|family| matches!(family.samples, Samples::Process { .. }))
            .map(|family| (family.name, family.kind.word(), family.help))
            .collect();
        catalogued.sort_unstable();
        assert_eq!(registered, catalogued);
        Ok(())
    }

    #[test]
    fn labels_are_those_of_the_catalogue() -> Outcome {
        let page = page(&complete()?)?;
        for family in families().filter(|family| matches!(family.samples, Samples::Process { .. })) {
            for sample in page.samples(family.name) {
                let labels: Vec<_> =
                    sample.labels.iter().map(|(name, _)| name.as_str()).filter(|name| *name != "le").collect();
                assert_eq!(labels, family.labels(), "{}", family.name);
            }
        }
        Ok(())
    }

    #[test]
    fn what_happens_is_counted() -> Outcome {
        let own = OwnMetrics::new()?;
        own.tick(Duration::from_micros(30), false);
        own.tick(Duration::from_millis(200), true);
        own.scrape(Duration::from_millis(2));
        own.request(StatusCode::NOT_FOUND, "unknown");
        own.config_reload(Part::Settings, true, SystemTime::UNIX_EPOCH);
        own.config_reload(Part::Web, false, SystemTime::UNIX_EPOCH + Duration::from_secs(9));
        own.config_reload(Part::Settings, true, SystemTime::UNIX_EPOCH + Duration::from_millis(1_500));
        own.failure(REASONS[0]);
        own.password_check();
        own.expiry().set(Some(1_700_000_000));
        assert_eq!(page(&own)?.value("uidmeter_push_samples_sent_total"), None, "there is no push yet");
        let push = own.push();
        push.queue(10, 20);
        push.retried(3);
        push.dropped(Undelivered::TooOld, 4);
        let page = page(&own)?;
        let value = |series: &str| page.value(series);
        assert_eq!(value("uidmeter_push_samples_sent_total"), Some("0"));
        assert_eq!(value("uidmeter_push_samples_retried_total"), Some("3"));
        assert_eq!(value("uidmeter_push_samples_dropped_total{reason=\"too_old\"}"), Some("4"));
        assert_eq!(value("uidmeter_push_samples_dropped_total{reason=\"refused\"}"), Some("0"));
        assert_eq!(
            (value("uidmeter_push_queue_bytes"), value("uidmeter_push_queue_limit_bytes")),
            (Some("10"), Some("20"))
        );
        assert_eq!(value("uidmeter_push_delivered_timestamp_seconds"), None);
        assert_eq!(value("uidmeter_tick_duration_seconds_bucket{le=\"0.000025\"}"), Some("0"));
        assert_eq!(value("uidmeter_tick_duration_seconds_bucket{le=\"0.00005\"}"), Some("1"));
        assert_eq!(value("uidmeter_tick_duration_seconds_bucket{le=\"0.1\"}"), Some("1"));
        assert_eq!(value("uidmeter_tick_duration_seconds_count"), Some("2"));
        assert_eq!(value("uidmeter_ticks_late_total"), Some("1"));
        assert_eq!(value("uidmeter_scrape_duration_seconds_bucket{le=\"0.001\"}"), Some("0"));
        assert_eq!(value("uidmeter_scrape_duration_seconds_bucket{le=\"0.0025\"}"), Some("1"));
        assert_eq!(value("uidmeter_http_requests_total{code=\"404\",handler=\"unknown\"}"), Some("1"));
        assert_eq!(value("uidmeter_http_requests_total{code=\"200\",handler=\"/metrics\"}"), Some("0"));
        // Of two parts, one that has mistakes is enough.
        assert_eq!(value("uidmeter_config_last_reload_successful"), Some("0"));
        assert_eq!(value(&format!("uidmeter_auth_failures_total{{reason=\"{}\"}}", REASONS[0])), Some("1"));
        assert_eq!(value("uidmeter_password_checks_total"), Some("1"));
        assert_eq!(value("uidmeter_tls_certificate_expiry_timestamp_seconds"), Some("1700000000"));
        assert_eq!(value("uidmeter_config_last_reload_success_timestamp_seconds"), Some("1.5"));
        assert_eq!(value(&format!("uidmeter_build_info{{version=\"{VERSION}\"}}")), Some("1"));
        Ok(())
    }
}
