//! What people read before anything runs: help pages are golden files, and one test holds defaults, help and docs together.
//!
//! `UIDMETER_BLESS=1 cargo test -p collector --test cli` rewrites the files.

use std::{error::Error, fs, path::Path, process::Command};

type Outcome = Result<(), Box<dyn Error>>;

fn help(arguments: &[&str]) -> Result<String, Box<dyn Error>> {
    let output = Command::new(env!("CARGO_BIN_EXE_uidmeter")).args(arguments).arg("--help").output()?;
    if !output.status.success() || !output.stderr.is_empty() {
        return Err(format!("{arguments:?} --help: {output:?}").into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

#[test]
fn help_pages_are_as_they_were_read() -> Outcome {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    for (arguments, file) in [
        (&[][..], "help.txt"),
        (&["run"], "help-run.txt"),
        (&["init"], "help-init.txt"),
        (&["check-config"], "help-check-config.txt"),
        (&["limits", "list"], "help-limits-list.txt"),
        (&["release"], "help-release.txt"),
        (&["top"], "help-top.txt"),
        (&["doctor"], "help-doctor.txt"),
        (&["token", "keygen"], "help-token-keygen.txt"),
        (&["token", "mint"], "help-token-mint.txt"),
        (&["token", "inspect"], "help-token-inspect.txt"),
        (&["fleet", "targets"], "help-fleet-targets.txt"),
        (&["fleet", "verify"], "help-fleet-verify.txt"),
        (&["fleet", "rotate"], "help-fleet-rotate.txt"),
    ] {
        let (found, file) = (help(arguments)?, golden.join(file));
        if std::env::var_os("UIDMETER_BLESS").is_some() {
            fs::write(&file, &found)?;
        }
        assert_eq!(found, fs::read_to_string(&file)?, "{} differs", file.display());
    }
    Ok(())
}

#[test]
fn the_address_in_readme_is_the_default() -> Outcome {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md"))?;
    let help = help(&["run"])?;
    let default =
        help.split_once("<ADDRESS:PORT>").and_then(|(_, rest)| rest.split_once("[default: ")).map(|(_, rest)| rest);
    let default = default.and_then(|rest| rest.split_once(']')).map(|(address, _)| address).ok_or("no default")?;
    assert!(readme.contains(&format!("http://{default}/metrics")), "README does not name {default}");
    Ok(())
}

#[test]
fn version_is_that_of_the_package() -> Outcome {
    let output = Command::new(env!("CARGO_BIN_EXE_uidmeter")).arg("--version").output()?;
    assert_eq!(String::from_utf8(output.stdout)?, format!("uidmeter {}\n", env!("CARGO_PKG_VERSION")));
    Ok(())
}
