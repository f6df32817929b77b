//! Dashboards, held against Grafana's types and a real Prometheus.

use super::Check;

pub(super) const CHECKS: &[Check] = &[];
