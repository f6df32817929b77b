//! `uidmeter doctor`: the host's fitness, one line a subject; with `--measure`, what each kernel program costs.
//!
//! Puts together what the parts find. Changes nothing; `--measure` loads the programs for a moment if no other uidmeter
//! has them loaded, and has the kernel time them while it looks.

mod cost;
mod facts;
mod neighbour;
mod report;

use std::{io::Write as _, path::Path, process::ExitCode, time::Duration};

use collector::{
    config::{Config, DEFAULT_FILE, Loaded, RunFlags},
    pipeline,
    source::ebpf::{Check, Finding, check_host},
};

use self::report::{Report, Row};
use crate::{
    cli::DoctorOptions,
    failure::{Failure, USAGE, code_of},
};

/// Prints what was found. The exit code is the one with which `uidmeter run` would fail.
pub(crate) fn run(options: &DoctorOptions, flags: &RunFlags) -> Result<ExitCode, Failure> {
    let mut report = Report::default();
    let config = configuration(flags, &mut report);
    for check in check_host(&config.observe.btf) {
        report.check(check);
    }
    report.check(table(&config));
    for check in facts::check(Path::new("/")) {
        report.check(check);
    }
    let neighbour = neighbour::find(Path::new("/proc"));
    for row in neighbour::rows(neighbour, &config.web) {
        report.add(row);
    }
    if let Some(time) = options.measure {
        measure(neighbour, &config, time, &mut report);
    }
    let mut out = std::io::stdout().lock();
    let text = if options.json { report.json() } else { report.text() };
    writeln!(out, "{text}")?;
    Ok(report.code().into())
}

/// The configuration, or the defaults in place of one with mistakes.
fn configuration(flags: &RunFlags, report: &mut Report) -> Config {
    match Loaded::new(flags) {
        Ok(loaded) => {
            let file = loaded.file.map(|path| path.display().to_string());
            let text = file.unwrap_or_else(|| format!("there is no {DEFAULT_FILE}: flags and defaults"));
            report.add(Row::fine("configuration", text));
            loaded.config
        }
        Err(error) => {
            for problem in &error.0 {
                report.add(Row::missing("configuration", problem.to_string(), USAGE));
            }
            Config::default()
        }
    }
}

fn table(config: &Config) -> Check {
    let finding = match pipeline::table_of(&config.observe, config.probes) {
        Ok(table) => {
            let mebibytes = table.memory.0.div_ceil(1 << 20);
            let text = format!(
                "{} users, {mebibytes} MiB of kernel memory for {} possible CPUs, {} of them online",
                table.users, table.possible_cpus, table.online_cpus
            );
            if table.users < config.observe.max_users {
                Finding::Limited(format!(
                    "{text}: fewer than the {} of max_users; raise kernel_memory",
                    config.observe.max_users
                ))
            } else {
                Finding::Fine(text)
            }
        }
        Err(error) => Finding::Limited(error.to_string()),
    };
    Check { subject: "table of users".into(), finding }
}

fn measure(neighbour: Option<u32>, config: &Config, time: Duration, report: &mut Report) {
    if report.code() != 0 {
        report.add(Row::limited("cost", "not measured: first solve what is missing".into()));
        return;
    }
    let measured = match neighbour {
        Some(pid) => cost::of_process(pid, time),
        None => cost::of_our_own(config, time),
    };
    match measured {
        Ok(measured) => report.measured(measured),
        Err(why) => {
            let failure = Failure::from(why);
            report.add(Row::missing("cost", failure.sentence(), failure.code));
        }
    }
}

impl Report {
    fn check(&mut self, Check { subject, finding }: Check) {
        self.add(match finding {
            Finding::Fine(text) => Row::fine(subject, text),
            Finding::Limited(text) => Row::limited(subject, text),
            Finding::Missing(lacking) => Row::missing(subject, lacking.to_string(), code_of(&lacking)),
        });
    }
}
