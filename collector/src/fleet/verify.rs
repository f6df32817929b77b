//! `uidmeter fleet verify`: every host asked, and what is wrong with each. A host is healthy if nothing is.
//!
//! | module | owns |
//! |---|---|
//! | `judge` | what is wrong |
//! | `report` | the table, and JSON |

mod judge;
mod report;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use clap::Args;
use tokio::runtime::Runtime;

pub(super) use self::judge::refusal;
use self::judge::{Finding, Limits, judge};
use super::{
    FleetError,
    ask::{AskFlags, Asker, Credential},
    inventory::{self, SourceFlags},
};

/// `uidmeter fleet verify`.
#[derive(Args, Clone, Debug)]
pub struct VerifyFlags {
    /// Where the hosts are named.
    #[command(flatten)]
    pub sources: SourceFlags,

    /// Target file of Prometheus, in JSON
    #[arg(long, value_name = "FILE")]
    pub file_sd: Option<PathBuf>,

    /// How they are asked.
    #[command(flatten)]
    pub ask: AskFlags,

    /// File with the token to show
    #[arg(long, value_name = "FILE", conflicts_with_all = ["user", "password_file"])]
    pub token_file: Option<PathBuf>,

    /// Name to show, with the password of --password-file
    #[arg(long, value_name = "NAME", requires = "password_file")]
    pub user: Option<String>,

    /// File with the password to show
    #[arg(long, value_name = "FILE", requires = "user")]
    pub password_file: Option<PathBuf>,

    /// A certificate that ends in fewer days is a problem
    #[arg(long, value_name = "DAYS", default_value_t = 14, value_parser = clap::value_parser!(u16).range(..=3650))]
    pub warn_days: u16,

    /// A clock that differs by more is a problem
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = humantime::parse_duration)]
    pub max_skew: Duration,

    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// What came out.
#[derive(Clone, Debug)]
pub struct Verified {
    /// The table, or JSON.
    pub text: String,
    /// Whether every host is healthy.
    pub healthy: bool,
}

/// Asks every host; `progress` learns how many of how many have answered or been given up.
///
/// # Errors
/// One sentence; nobody has been asked.
pub fn run(
    flags: &VerifyFlags,
    home: Option<&Path>,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Verified, FleetError> {
    let hosts = inventory::read(&flags.sources, flags.file_sd.as_deref(), home)?;
    let asker = Arc::new(Asker::new(&flags.ask)?);
    let credential = match (&flags.token_file, &flags.user, &flags.password_file) {
        (Some(path), ..) => Credential::token_file(path)?,
        (None, Some(user), Some(path)) => Credential::password(user, path)?,
        _ => Credential::NONE,
    };
    let runtime = runtime()?;
    let answers = runtime.block_on(asker.ask_all(&hosts, &credential, &mut |done| progress(done, hosts.len())));
    // A name service that hangs must not keep us.
    runtime.shutdown_background();
    let limits = Limits { warn_days: flags.warn_days.into(), most_skew: flags.max_skew };
    let now = SystemTime::now();
    let findings: Vec<Finding> =
        hosts.iter().zip(&answers).map(|(host, answer)| judge(host, answer, limits, now)).collect();
    let text = if flags.json {
        report::json(&findings, &humantime::format_rfc3339_seconds(now).to_string())
    } else {
        report::table(&findings)
    };
    Ok(Verified { text, healthy: findings.iter().all(|finding| finding.healthy) })
}

/// For asking.
pub(super) fn runtime() -> Result<Runtime, FleetError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| FleetError::System(format!("the system refuses what asking hosts needs ({error})")))
}
