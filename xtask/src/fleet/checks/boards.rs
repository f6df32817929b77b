//! Dashboards, held against Grafana's types and a real Prometheus.

mod data;
mod export;
mod hosts;
mod provisioning;
mod types;

use anyhow::{Result, bail};

use super::super::kit::Kit;
use super::Check;
use crate::dashboards::catalogue::Catalogue;
use crate::dashboards::{self, lint};

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "boards-generated",
        tells: "the dashboards are what their descriptions and the catalogue of metrics make",
        run: generated,
    },
    Check {
        name: "boards-lint",
        tells: "every panel has title, description and unit, every expression its matchers and ranges, and nothing overlaps",
        run: rules,
    },
    Check {
        name: "boards-provisioning",
        tells: "data sources use TLS and hold no secret, and folders and ConfigMaps hold the dashboards as they are",
        run: provisioning::check,
    },
    Check {
        name: "boards-export",
        tells: "dashboards of a server are saved, one file each, or it fails",
        run: export::check,
    },
    Check { name: "boards-types", tells: "every dashboard is one for the types of Grafana", run: types::check },
    Check {
        name: "boards-data",
        tells: "two releases of Prometheus answer every expression with data, from native and from classic histograms",
        run: data::check,
    },
];

fn generated(kit: &Kit<'_>) -> Result<()> {
    let stale = dashboards::stale(kit.project())?;
    if !stale.is_empty() {
        bail!("run `cargo xtask dashboards`:\n{}", stale.join("\n"));
    }
    Ok(())
}

/// Over the files as they lie there: that is what people import.
fn rules(kit: &Kit<'_>) -> Result<()> {
    let catalogue = Catalogue::read(kit.project())?;
    let faults = lint::faults(&dashboards::shipped(kit.project())?, &catalogue);
    if !faults.is_empty() {
        bail!("{}", faults.join("\n"));
    }
    Ok(())
}
