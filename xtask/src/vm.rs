//! stub
use crate::project::Project;
use anyhow::Result;
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    k: Vec<String>,
}
pub(crate) fn command(_: &Project, _: &Arguments) -> Result<bool> {
    Ok(true)
}
