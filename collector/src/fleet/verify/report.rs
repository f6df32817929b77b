//! Findings → what people and programs read. Pure.

use std::fmt::Write as _;

use serde::Serialize;

use super::judge::Finding;

const HEADINGS: [&str; 8] = ["TARGET", "STATE", "CERTIFICATE", "STATUS", "VERSION", "PROBES", "CLOCK", "ANSWER"];
/// What could not be learned.
const UNKNOWN: &str = "-";

/// All of it, as JSON has it.
#[derive(Debug, Serialize)]
struct Report<'a> {
    checked_at: &'a str,
    targets: usize,
    healthy: usize,
    findings: &'a [Finding],
}

/// One JSON object.
pub(super) fn json(findings: &[Finding], checked_at: &str) -> String {
    let report = Report { checked_at, targets: findings.len(), healthy: healthy(findings), findings };
    // Texts and finite numbers can always be written.
    serde_json::to_string_pretty(&report).unwrap_or_default() + "\n"
}

/// A line for each host, and below it what is wrong with it.
pub(super) fn table(findings: &[Finding]) -> String {
    let rows: Vec<[String; 8]> = findings.iter().map(row).collect();
    let widths: [usize; 8] = std::array::from_fn(|column| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(String::len);
        cells.chain(HEADINGS.get(column).map(|heading| heading.len())).max().unwrap_or(0)
    });
    let mut text = String::new();
    line(&mut text, &HEADINGS, widths);
    for (row, finding) in rows.iter().zip(findings) {
        line(&mut text, &row.each_ref().map(String::as_str), widths);
        for problem in &finding.problems {
            let _ = writeln!(text, "    {problem}");
        }
    }
    let _ = writeln!(text, "{} of {} targets are healthy", healthy(findings), findings.len());
    text
}

fn healthy(findings: &[Finding]) -> usize {
    findings.iter().filter(|finding| finding.healthy).count()
}

fn line(text: &mut String, cells: &[&str; 8], widths: [usize; 8]) {
    let mut line = String::new();
    for (cell, width) in cells.iter().zip(widths) {
        let _ = write!(line, "{cell:<width$}  ");
    }
    text.push_str(line.trim_end());
    text.push('\n');
}

fn row(finding: &Finding) -> [String; 8] {
    let or_unknown = |text: Option<String>| text.unwrap_or_else(|| UNKNOWN.to_owned());
    let certificate = finding.certificate_valid.map(|valid| match (valid, finding.certificate_days) {
        (true, Some(days)) => format!("{days} days"),
        (true, None) => "valid".to_owned(),
        (false, _) => "not valid".to_owned(),
    });
    let probes = finding.probes_active.map(|active| format!("{active}/{}", active + finding.probes_inactive.len()));
    [
        finding.target.clone(),
        if finding.healthy { "healthy" } else { "FAILED" }.to_owned(),
        or_unknown(certificate),
        or_unknown(finding.status.map(|status| status.to_string())),
        or_unknown(finding.version.clone()),
        or_unknown(probes),
        or_unknown(finding.clock_skew_seconds.map(|skew| format!("{skew:+} s"))),
        or_unknown(finding.answer_seconds.map(|seconds| format!("{:.0} ms", seconds * 1000.0))),
    ]
}

#[cfg(test)]
mod tests {
    use super::{super::judge::Finding, json, table};

    fn findings() -> [Finding; 2] {
        let well = Finding {
            target: "node1.example:9101".into(),
            healthy: true,
            problems: Vec::new(),
            reachable: true,
            certificate_valid: Some(true),
            certificate_days: Some(80),
            status: Some(200),
            version: Some("0.1.0".into()),
            ready: Some(true),
            probes_active: Some(11),
            probes_inactive: vec!["memory_stall".into()],
            clock_skew_seconds: Some(0),
            answer_seconds: Some(0.0123),
        };
        let silent = Finding {
            target: "a:1".into(),
            healthy: false,
            problems: vec!["cannot be connected to (refused)".into()],
            reachable: false,
            certificate_valid: None,
            certificate_days: None,
            status: None,
            version: None,
            ready: None,
            probes_active: None,
            probes_inactive: Vec::new(),
            clock_skew_seconds: None,
            answer_seconds: None,
        };
        [well, silent]
    }

    #[test]
    fn a_table_has_a_line_for_each_host_and_what_is_wrong_below_it() {
        let expected = "\
TARGET              STATE    CERTIFICATE  STATUS  VERSION  PROBES  CLOCK  ANSWER
node1.example:9101  healthy  80 days      200     0.1.0    11/12   +0 s   12 ms
a:1                 FAILED   -            -       -        -       -      -
    cannot be connected to (refused)
1 of 2 targets are healthy
";
        assert_eq!(table(&findings()), expected);
    }

    #[test]
    fn json_says_null_where_nothing_is_known() -> Result<(), serde_json::Error> {
        let report: serde_json::Value = serde_json::from_str(&json(&findings(), "now"))?;
        assert_eq!((&report["targets"], &report["healthy"]), (&2.into(), &1.into()));
        assert_eq!(report["findings"][1]["certificate_days"], serde_json::Value::Null);
        assert_eq!(report["findings"][0]["answer_seconds"], 0.0123);
        Ok(())
    }
}
