//! docs/METRICS.md, written from the table. `cargo xtask docs` runs this with `UIDMETER_BLESS=1`.

use std::{fmt::Write as _, fs, path::Path};

use super::super::{Family, GROUPS, Kind, Samples, families};

fn markdown() -> Result<String, std::fmt::Error> {
    let mut out = String::from(
        "# Metrics\n\n\
         Written by `cargo xtask docs` from the table in `collector/src/export/catalog`; do not edit.\n\n\
         A sample that this kernel does not keep, or that is not known yet, is left out; a family without samples is not \
         on the page. `uid` is the real UID in the initial user namespace, or `kernel` for kernel threads, or `overflow` for users \
         without a row of their own; `user` is the name, or the number while no name is known.\n\n\
         `/metrics?collect[]=GROUP` and `/metrics?name[]=METRIC` choose what is on the page; both may be repeated.\n",
    );
    for group in GROUPS {
        write!(out, "\n## {}\n\n{}\n\n", group.name, group.help)?;
        out.push_str("| metric | type | unit | labels | meaning | counted by |\n|---|---|---|---|---|---|\n");
        for family in group.families {
            row(family, &mut out)?;
        }
    }
    out.push_str("\n## Buckets\n\nHistograms of users have native buckets of schema 2 in the protobuf format. These bounds are shown as classic buckets, in every format:\n\n");
    for family in families() {
        if let Samples::RowHistogram { shape, .. } = family.samples {
            let bounds: Vec<_> = shape.classic().iter().map(|classic| classic.le).collect();
            writeln!(out, "- `{}`: {}; zero threshold {:e}", family.name, bounds.join(", "), shape.zero_threshold())?;
        }
    }
    Ok(out)
}

fn row(family: &Family, out: &mut String) -> std::fmt::Result {
    let labels: Vec<String> = family.labels().iter().map(|label| format!("`{label}`")).collect();
    let parts = match family.samples {
        Samples::RowBy { parts, label } => {
            let values: Vec<_> = parts.iter().map(|(value, _)| format!("`{value}`")).collect();
            format!(" `{label}` is {}.", values.join(" or "))
        }
        _ => String::new(),
    };
    let kind = match (family.kind, family.samples) {
        (Kind::Histogram, Samples::RowHistogram { .. }) => "histogram, native and classic",
        (kind, _) => kind.word(),
    };
    writeln!(
        out,
        "| `{}` | {kind} | {} | {} | {}{parts} | {} |",
        family.name,
        family.unit.word().unwrap_or("–"),
        if labels.is_empty() { "–".into() } else { labels.join(", ") },
        family.help,
        family.source,
    )
}

#[test]
fn the_documentation_says_what_the_table_says() -> Result<(), Box<dyn std::error::Error>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/METRICS.md");
    let text = markdown()?;
    if std::env::var_os("UIDMETER_BLESS").is_some() {
        fs::write(&path, &text)?;
        return Ok(());
    }
    let written = fs::read_to_string(&path)?;
    let difference = written.lines().zip(text.lines()).find(|(written, new)| written != new);
    assert_eq!(difference, None, "docs/METRICS.md differs from the table; run `cargo xtask docs`");
    assert_eq!(written, text, "docs/METRICS.md differs from the table; run `cargo xtask docs`");
    Ok(())
}
