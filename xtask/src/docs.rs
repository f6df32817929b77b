//! `docs`: writes the documents that are generated from tables in code. The tests that hold them together know how;
//! this runs them with the order to write.

use anyhow::{Context as _, Result};

use crate::dashboards;
use crate::fleet;
use crate::process::{self, heading};
use crate::project::Project;

/// docs/METRICS.md, from the catalogue of metrics.
const METRICS: &str = "export::catalog::tests::docs::the_documentation_says_what_the_table_says";
/// docs/CONFIGURATION.md and the sample file, from the table of settings.
const CONFIGURATION: [&str; 2] = [
    "config::document::tests::the_manual_is_what_the_table_says",
    "config::document::tests::the_sample_file_is_what_the_table_says",
];

/// Writes them.
pub(crate) fn command(project: &Project) -> Result<()> {
    heading("writing docs/METRICS.md, docs/CONFIGURATION.md and packaging/config/uidmeter.toml");
    let mut test = project.cargo();
    test.env("UIDMETER_BLESS", "1").args(["test", "--package", "collector", "--lib", "--", "--exact", METRICS]);
    test.args(CONFIGURATION);
    process::run(&mut test)?;
    dashboards::command(project)?;
    heading("writing docs/FEATURES.md");
    std::fs::write(project.root().join("docs/FEATURES.md"), fleet::document(project)?)
        .context("cannot write docs/FEATURES.md")
}
