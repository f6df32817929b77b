//! What ships with policies: the samples are valid, and replaying their series does what was read when it was reviewed. The
//! manual has every key.
//!
//! `UIDMETER_BLESS=1 cargo test -p collector --test policy` rewrites the golden files.

use std::{error::Error, fmt::Write as _, fs, path::PathBuf, process::Command};

use collector::policy::keys::{METRICS, TABLES, Table, condition};

type Outcome = Result<(), Box<dyn Error>>;

const SAMPLES: [&str; 3] = ["hpc-login", "build-server", "teaching-host"];

fn file(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn uidmeter(arguments: &[&str]) -> Result<(Option<i32>, String, String), Box<dyn Error>> {
    let folder = file("../packaging/policy");
    let output =
        Command::new(env!("CARGO_BIN_EXE_uidmeter")).arg("policy").args(arguments).current_dir(folder).output()?;
    Ok((output.status.code(), String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?))
}

fn assert_golden(name: &str, found: &str) -> Outcome {
    let golden = file("tests/golden").join(name);
    if std::env::var_os("UIDMETER_BLESS").is_some() {
        fs::write(&golden, found)?;
    }
    assert_eq!(found, fs::read_to_string(&golden)?, "{} differs", golden.display());
    Ok(())
}

#[test]
fn the_samples_do_what_was_read() -> Outcome {
    for sample in SAMPLES {
        let (policy, series) = (format!("{sample}.toml"), format!("{sample}.jsonl"));
        let (code, out, said) = uidmeter(&["check", &policy])?;
        assert_eq!((code, said.as_str()), (Some(0), ""), "{out}");
        let (code, out, said) = uidmeter(&["test", &policy, "--series", &series])?;
        assert_eq!((code, said.as_str()), (Some(0), ""), "{out}");
        assert_golden(&format!("policy-{sample}.txt"), &out)?;
    }
    let (_, out, _) = uidmeter(&["test", "hpc-login.toml", "--series", "hpc-login.jsonl", "--json"])?;
    assert_golden("policy-hpc-login.jsonl", &out)
}

#[test]
fn the_help_is_as_it_was_read() -> Outcome {
    for (arguments, name) in
        [(["check", "--help"], "help-policy-check.txt"), (["test", "--help"], "help-policy-test.txt")]
    {
        assert_golden(name, &uidmeter(&arguments)?.1)?;
    }
    Ok(())
}

#[test]
fn a_hostile_series_gets_one_sentence_with_its_line() -> Outcome {
    let folder = tempfile::tempdir()?;
    let series = folder.path().join("series.jsonl");
    let path = series.to_string_lossy().into_owned();
    let good = |second: u32| {
        format!("{{\"time\":\"2026-03-23T12:00:{second:02}Z\",\"host\":{{\"cpus\":2,\"busy\":1}},\"users\":[]}}\n")
    };
    let names = "{\"names\":{}}\n";
    for (text, line, what) in [
        (format!("{}\n\nnonsense\n", good(1)), 4, "this is no observation"),
        (format!("{}{}", good(2), good(2)), 2, "no later than the end"),
        (format!("{}{names}", good(2)), 2, "names stand in the first line or nowhere"),
        (format!("{}\u{1b}[2J\n", good(2)), 2, "this is no observation"),
        (good(1).replace("\"users\":[]", "\"users\":[{\"uid\":4294967296}]"), 1, "this is no observation"),
        (format!("{{\"a\":{}", "[".repeat(100_000)), 1, "this is no observation"),
    ] {
        fs::write(&series, text)?;
        let (code, _, said) = uidmeter(&["test", "hpc-login.toml", "--series", &path])?;
        assert_eq!(code, Some(2), "{said}");
        assert!(said.starts_with(&format!("uidmeter: {path}:{line}: ")) && said.contains(what), "{said}");
        assert!(said.lines().count() == 1 && !said.contains('\u{1b}') && said.len() < 600, "{said:?}");
    }
    fs::write(&series, b"\xff\n")?;
    let (_, _, said) = uidmeter(&["test", "hpc-login.toml", "--series", &path])?;
    assert!(said.contains(":1: this is not text in UTF-8"), "{said}");
    fs::write(&series, [names, &good(1)].concat())?;
    let (code, out, said) = uidmeter(&["test", "hpc-login.toml", "--series", &path])?;
    assert_eq!((code, said.as_str()), (Some(0), ""));
    assert_eq!(out, "1 observation\nnobody would have been limited\n");
    Ok(())
}

#[test]
fn mistakes_in_a_policy_are_told_one_a_line_with_the_code_for_them() -> Outcome {
    let policy = tempfile::NamedTempFile::new()?;
    let path = policy.path().to_string_lossy().into_owned();
    fs::write(policy.path(), "[users]\nmin_uidd = 5\nexempt_users = [\"no-such-user-here\"]\n")?;
    for arguments in [&["check", &path][..], &["test", &path, "--series", "hpc-login.jsonl"]] {
        let (code, out, said) = uidmeter(arguments)?;
        assert_eq!((code, out.as_str(), said.lines().count()), (Some(2), "", 3), "{said}");
        assert!(
            said.contains("users.min_uidd; did you mean min_uid?") && said.contains("\"no-such-user-here\""),
            "{said}"
        );
    }
    let (code, _, said) = uidmeter(&["check", "/nonexistent"])?;
    assert_eq!((code, said.lines().count()), (Some(2), 1), "{said}");
    let (code, _, said) = uidmeter(&["check", "/dev/zero"])?;
    assert!(code == Some(2) && said.contains("no regular file"), "{said}");
    Ok(())
}

fn rows(table: &Table) -> String {
    let name = if table.head.is_empty() { String::new() } else { format!("`{}`: ", table.head) };
    let mut text = format!("\n### {name}{}\n\n| key | default | what it does |\n|---|---|---|\n", table.about);
    for key in table.keys {
        let default = if key.default.is_empty() { "none".into() } else { format!("`{}`", key.default) };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "| `{}` | {default} | {}. Must be {}. |", key.name, key.help, key.kind.allowed());
    }
    text
}

/// The part of the manual between its two marks.
fn keys_of_the_manual() -> String {
    let mut text: String = TABLES.iter().map(rows).collect();
    text.push_str("\n### `[rule.when]`: conditions\n\n| key | compared with | what is looked at |\n|---|---|---|\n");
    for metric in &METRICS {
        let _ = writeln!(text, "| `{}` | {} | {}. |", metric.name, metric.kind.allowed(), metric.help);
    }
    text.push_str("\nEach is a table of its own:\n\n| key | default | what it does |\n|---|---|---|\n");
    let (above, below) =
        (condition(&METRICS[0]), METRICS.iter().find(|metric| metric.metric.feared_low()).map(condition));
    for (key, low) in above.iter().zip(below.iter().flatten()) {
        let default = if key.default.is_empty() { "none".into() } else { format!("`{}`", key.default) };
        let name =
            if key.name == low.name { format!("`{}`", key.name) } else { format!("`{}`, `{}`", key.name, low.name) };
        let _ = writeln!(text, "| {name} | {default} | {}. |", key.help);
    }
    text
}

#[test]
fn the_manual_has_every_key_as_the_parser_knows_it() -> Outcome {
    let manual = file("../docs/LIMITS.md");
    let text = fs::read_to_string(&manual)?;
    let (begin, end) = ("<!-- keys: written by a test -->\n", "\n<!-- end of keys -->");
    let (before, rest) = text.split_once(begin).ok_or("no beginning of keys")?;
    let (_, after) = rest.split_once(end).ok_or("no end of keys")?;
    let wanted = [before, begin, &keys_of_the_manual(), end, after].concat();
    if std::env::var_os("UIDMETER_BLESS").is_some() {
        fs::write(&manual, &wanted)?;
    }
    assert_eq!(fs::read_to_string(&manual)?, wanted, "docs/LIMITS.md differs; UIDMETER_BLESS=1 writes it anew");
    Ok(())
}

#[test]
fn the_manual_shows_the_samples_as_they_are() -> Outcome {
    let text = fs::read_to_string(file("../docs/LIMITS.md"))?;
    for sample in SAMPLES {
        assert!(text.contains(&format!("(../packaging/policy/{sample}.toml)")), "{sample}");
    }
    Ok(())
}
