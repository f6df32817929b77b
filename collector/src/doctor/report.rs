//! What was found, as lines for people or as one JSON object, and the exit code that follows from it.

use std::fmt::Write as _;

use serde_json::json;

use super::cost::{Cost, Measured, advice};

/// One subject.
#[derive(Clone, Debug)]
pub(super) struct Row {
    status: Status,
    subject: String,
    text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    Fine,
    Limited,
    /// With the exit code of what cannot be done for it.
    Missing(u8),
}

impl Status {
    fn word(self) -> &'static str {
        match self {
            Self::Fine => "ok",
            Self::Limited => "limited",
            Self::Missing(_) => "missing",
        }
    }
}

impl Row {
    /// As needed.
    pub(super) fn fine(subject: impl Into<String>, text: String) -> Self {
        Self { status: Status::Fine, subject: subject.into(), text }
    }

    /// Less than there could be.
    pub(super) fn limited(subject: impl Into<String>, text: String) -> Self {
        Self { status: Status::Limited, subject: subject.into(), text }
    }

    /// Not as needed; `code` is the exit code for it.
    pub(super) fn missing(subject: impl Into<String>, text: String, code: u8) -> Self {
        Self { status: Status::Missing(code), subject: subject.into(), text }
    }
}

/// Everything that was found.
#[derive(Debug, Default)]
pub(super) struct Report {
    rows: Vec<Row>,
    measured: Option<Measured>,
}

impl Report {
    pub(super) fn add(&mut self, row: Row) {
        self.rows.push(row);
    }

    pub(super) fn measured(&mut self, measured: Measured) {
        self.measured = Some(measured);
    }

    /// Of the first thing that is missing; 0 if nothing is.
    pub(super) fn code(&self) -> u8 {
        let code = |row: &Row| if let Status::Missing(code) = row.status { Some(code) } else { None };
        self.rows.iter().find_map(code).unwrap_or(0)
    }

    fn verdict(&self) -> &'static str {
        if self.code() == 0 { "uidmeter can run here." } else { "uidmeter cannot run here; see what is missing." }
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for Row { status, subject, text: found } in &self.rows {
            line(&mut text, &format!("{:8} {:24} {}", status.word(), subject, one_line(found)));
        }
        if let Some(measured) = &self.measured {
            line(
                &mut text,
                &format!("\nKernel programs {}, over {:.1} s:", measured.whose, measured.over.as_secs_f64()),
            );
            line(&mut text, &format!("{:24} {:>10} {:>10} {:>16}", "PROGRAM", "RUNS", "NS A RUN", "% OF ONE CPU"));
            for cost in &measured.costs {
                line(&mut text, &cost_line(cost, measured));
            }
            for advice in advice(measured) {
                line(&mut text, &format!("advice: {advice}"));
            }
        }
        line(&mut text, "");
        text.push_str(self.verdict());
        text
    }

    /// For programs.
    pub(super) fn json(&self) -> String {
        let checks: Vec<_> = self
            .rows
            .iter()
            .map(|row| json!({ "status": row.status.word(), "subject": row.subject, "text": one_line(&row.text) }))
            .collect();
        let measured = self.measured.as_ref().map(|measured| {
            let program = |cost: &Cost| {
                json!({
                    "name": cost.program,
                    "active": cost.inactive.is_none(),
                    "why": cost.inactive,
                    "runs": cost.runs,
                    "ns_per_run": cost.ns_per_run(),
                    "cpu_ratio": cost.share(measured.over),
                })
            };
            json!({
                "whose": measured.whose,
                "seconds": measured.over.as_secs_f64(),
                "programs": measured.costs.iter().map(program).collect::<Vec<_>>(),
                "advice": advice(measured),
            })
        });
        let report = json!({
            "can_run": self.code() == 0,
            "exit_code": self.code(),
            "checks": checks,
            "measured": measured,
        });
        format!("{report:#}")
    }
}

fn cost_line(cost: &Cost, measured: &Measured) -> String {
    let name = one_line(&cost.program);
    if let Some(why) = &cost.inactive {
        return format!("{name:24} {}", one_line(why));
    }
    let each = cost.ns_per_run().map_or_else(|| "-".into(), |ns| ns.to_string());
    format!("{name:24} {:>10} {each:>10} {:>16.4}", cost.runs, cost.share(measured.over) * 100.0)
}

/// Harmless to a terminal, whatever the kernel or another process put into it.
fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

fn line(text: &mut String, line: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{line}");
}

#[cfg(test)]
mod tests {
    use std::{error::Error, time::Duration};

    use super::{Cost, Measured, Report, Row};

    fn report() -> Report {
        let mut report = Report::default();
        report.add(Row::fine("kernel", "6.12".into()));
        report.add(Row::limited("delays", "off".into()));
        report.measured(Measured {
            whose: "of somebody".into(),
            over: Duration::from_secs(1),
            costs: vec![
                Cost { program: "tick".into(), inactive: None, runs: 20, time_ns: 10_000 },
                Cost { program: "stall".into(), inactive: Some("failed: no\nsuch hook".into()), runs: 0, time_ns: 0 },
            ],
        });
        report
    }

    #[test]
    fn the_first_thing_that_is_missing_gives_the_code() {
        let mut report = report();
        assert_eq!(report.code(), 0);
        report.add(Row::missing("a", "x".into(), 4));
        report.add(Row::missing("b", "x".into(), 3));
        assert_eq!(report.code(), 4);
        assert!(report.text().ends_with("cannot run here; see what is missing."));
    }

    #[test]
    fn every_program_has_a_line_with_its_cost_or_why_it_has_none() {
        let text = report().text();
        let line = |start: &str| text.lines().find(|line| line.starts_with(start)).map(str::split_whitespace);
        assert_eq!(line("tick").map(Iterator::collect::<Vec<_>>), Some(vec!["tick", "20", "500", "0.0010"]));
        assert_eq!(
            line("stall").map(Iterator::collect::<Vec<_>>),
            Some(vec!["stall", "failed:", "no", "such", "hook"])
        );
        assert!(text.contains("limited  delays") && text.ends_with("uidmeter can run here."), "{text}");
    }

    #[test]
    fn programs_get_the_same_as_people() -> Result<(), Box<dyn Error>> {
        let json: serde_json::Value = serde_json::from_str(&report().json())?;
        assert_eq!((&json["can_run"], &json["exit_code"]), (&true.into(), &0.into()));
        assert_eq!(json["checks"][1], serde_json::json!({ "status": "limited", "subject": "delays", "text": "off" }));
        let programs = &json["measured"]["programs"];
        assert_eq!((&programs[0]["ns_per_run"], &programs[0]["active"]), (&500.into(), &true.into()));
        assert_eq!((&programs[1]["active"], &programs[1]["ns_per_run"]), (&false.into(), &serde_json::Value::Null));
        Ok(())
    }

    #[test]
    fn what_others_wrote_cannot_move_the_cursor() {
        let mut report = Report::default();
        report.add(Row::fine("x", "a\x1b[2J\r\nb".into()));
        assert!(report.text().lines().any(|line| line.ends_with("a [2J  b")), "{:?}", report.text());
    }
}
