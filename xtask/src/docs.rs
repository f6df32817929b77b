//! `docs`: writes the documents that are generated from tables in code. The tests that hold them together know how;
//! this runs them with the order to write.

use anyhow::Result;

use crate::process::{self, heading};
use crate::project::Project;

/// docs/METRICS.md, from the catalogue of metrics.
const METRICS: &str = "export::catalog::tests::docs::the_documentation_says_what_the_table_says";

/// Writes them.
pub(crate) fn command(project: &Project) -> Result<()> {
    heading("writing docs/METRICS.md");
    let mut test = project.cargo();
    test.env("UIDMETER_BLESS", "1").args(["test", "--package", "collector", "--lib", "--", "--exact", METRICS]);
    process::run(&mut test)
}
