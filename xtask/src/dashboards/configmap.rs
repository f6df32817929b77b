//! The dashboards for Kubernetes: one `ConfigMap` each, with the label that the sidecar of Grafana's chart looks for. Pure.

use std::fmt::Write as _;

use anyhow::{Result, bail};

use super::Dashboard;

/// What `kubectl apply` can carry: it keeps the whole object once more in an annotation of at most 256 KiB.
const MOST: usize = 250 << 10;

/// All of them in one file.
///
/// # Errors
/// One is too large for `kubectl apply`.
pub(super) fn document(dashboards: &[Dashboard]) -> Result<String> {
    let mut text = String::from(
        "# uidmeter's dashboards for Grafana on Kubernetes: the sidecar of Grafana's chart loads each ConfigMap with this label.\n\
         # Written by `cargo xtask dashboards`; do not edit. Change the namespace with `kubectl apply --namespace`, the folder in\n\
         # the annotation. Checked by boards-generated and boards-lint.\n",
    );
    for Dashboard { name, document } in dashboards {
        // On one line: in a block, no character of it means anything to YAML.
        let json = serde_json::to_string(document)?;
        if json.len() > MOST {
            bail!("{name} has {} bytes, and kubectl apply carries {MOST}: split it", json.len());
        }
        write!(
            text,
            "---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: uidmeter-dashboard-{name}\n  labels:\n    \
             app.kubernetes.io/name: uidmeter\n    app.kubernetes.io/component: dashboards\n    grafana_dashboard: \"1\"\n  \
             annotations:\n    grafana_folder: uidmeter\ndata:\n  {name}.json: |-\n    {json}\n"
        )?;
    }
    Ok(text)
}
