//! `uidmeter check-config`: everything that is wrong with file, flags, the web server's files, the policy and the push, or what is in force. Starts
//! nothing.

use std::{io::Write as _, time::SystemTime};

use collector::{
    config::{DEFAULT_FILE, Loaded, RunFlags, document},
    pipeline::{self, web},
};

use crate::failure::Failure;

/// Prints what was found; mistakes are the failure, with the exit code that `uidmeter run` would have.
pub(crate) fn run(flags: &RunFlags, effective: bool) -> Result<(), Failure> {
    let (loaded, problems) = Loaded::past_problems(flags);
    let mut sentences: Vec<String> = problems.iter().map(ToString::to_string).collect();
    let warnings = web::check(&loaded.config.web, SystemTime::now())
        .map_err(|problems| sentences.extend(problems.0))
        .unwrap_or_default();
    let policy = loaded.config.limits.policy_file.as_deref();
    if let Some(Err(errors)) = policy.map(pipeline::policy) {
        sentences.extend(errors.0.iter().map(ToString::to_string));
    }
    sentences.extend(pipeline::check_push(&loaded.config));
    if !sentences.is_empty() {
        return Err(Failure::usage(sentences));
    }
    let mut out = std::io::stdout().lock();
    if effective {
        write!(out, "{}", document::effective(&loaded))?;
        return Ok(());
    }
    for warning in warnings {
        writeln!(out, "warning: {warning}")?;
    }
    match &loaded.file {
        Some(path) => writeln!(out, "fine: {}", path.display())?,
        None => writeln!(out, "fine: there is no {DEFAULT_FILE}, so flags and defaults are in force")?,
    }
    let web = &loaded.config.web;
    for path in [web.config_file.as_deref(), web.auth_file.as_deref(), policy].into_iter().flatten() {
        writeln!(out, "fine: {}", path.display())?;
    }
    Ok(())
}
