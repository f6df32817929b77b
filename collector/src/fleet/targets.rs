//! `uidmeter fleet targets`: hosts → a target file for Prometheus' `file_sd_configs`, written whole or not at all.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use clap::Args;

use super::{
    FleetError,
    inventory::{self, Host, SourceFlags},
    place,
};
use crate::export::shown;

/// Prometheus reads no others as JSON (`discovery/file`).
const ENDINGS: [&str; 2] = ["json", "JSON"];

/// `uidmeter fleet targets`.
#[derive(Args, Clone, Debug)]
pub struct TargetsFlags {
    /// Where the hosts are named.
    #[command(flatten)]
    pub sources: SourceFlags,

    /// A label for every host; may be repeated
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = inventory::of_flag)]
    pub labels: Vec<(String, String)>,

    /// Where the targets go, replaced at once; Prometheus reads files that end in .json [default: standard output]
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// Writes the file, or returns what would be in it.
///
/// # Errors
/// One sentence; nothing has been written.
pub fn run(flags: &TargetsFlags, home: Option<&Path>) -> Result<String, FleetError> {
    if let Some(path) = &flags.output
        && !path.extension().is_some_and(|ending| ENDINGS.iter().any(|known| ending == *known))
    {
        let path = shown(path);
        return Err(FleetError::Usage(format!(
            "--output {path} does not end in .json, so Prometheus would not read it"
        )));
    }
    let mut hosts = inventory::read(&flags.sources, None, home)?;
    for (at, (name, value)) in flags.labels.iter().enumerate() {
        if flags.labels.iter().skip(at + 1).any(|(other, _)| other == name) {
            return Err(FleetError::Usage(format!("--label {name} is given twice")));
        }
        for host in &mut hosts {
            add(host, name, value)?;
        }
    }
    let text = inventory::write(hosts.iter().map(|host| (&host.address, &host.labels)));
    let Some(path) = &flags.output else { return Ok(text) };
    let ending = if put(path, &text)? { "" } else { ", as before" };
    Ok(format!("{}: {} targets{ending}\n", shown(path), hosts.len()))
}

fn add(host: &mut Host, name: &str, value: &str) -> Result<(), FleetError> {
    match host.labels.insert(name.to_owned(), value.to_owned()) {
        None => Ok(()),
        Some(_) => Err(FleetError::Input(format!(
            "{}: the label {name} is there already, and --label gives it, too; remove one",
            host.origin
        ))),
    }
}

/// Whether the file has changed. One that says the same already is left alone, so that nobody reads it again.
fn put(path: &Path, text: &str) -> Result<bool, FleetError> {
    match fs::read(path) {
        Ok(bytes) if bytes == text.as_bytes() => return Ok(false),
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(FleetError::File(format!("{} cannot be read ({error})", shown(path))));
        }
        _ => {}
    }
    // Prometheus is another user, and targets are no secret.
    place::replace(path, text.as_bytes(), 0o644)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::{
        error::Error,
        fs,
        os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    };

    use super::{FleetError, SourceFlags, TargetsFlags, run};

    #[test]
    fn a_file_is_replaced_only_if_it_changes_and_keeps_its_mode() -> Result<(), Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        let (list, output) = (folder.path().join("hosts"), folder.path().join("targets.json"));
        fs::write(&list, "b\na:80\n192.0.2.7\n")?;
        let flags = TargetsFlags {
            sources: SourceFlags { hosts: Some(list.clone()), port: 9101, ..SourceFlags::default() },
            labels: vec![("environment".into(), "try".into())],
            output: Some(output.clone()),
        };
        assert!(run(&flags, None)?.ends_with(": 3 targets\n"));
        assert_eq!(fs::metadata(&output)?.mode() & 0o7777, 0o644);
        let value: serde_json::Value = serde_json::from_slice(&fs::read(&output)?)?;
        let expected = serde_json::json!([
            {"targets": ["192.0.2.7:9101", "a:80", "b:9101"], "labels": {"environment": "try"}}
        ]);
        assert_eq!(value, expected);
        let before = fs::metadata(&output)?.ino();
        fs::write(&list, "192.0.2.7\nb\na:80\n")?;
        assert!(run(&flags, None)?.ends_with("as before\n"));
        assert_eq!(fs::metadata(&output)?.ino(), before);
        fs::set_permissions(&output, fs::Permissions::from_mode(0o640))?;
        fs::write(&list, "c\n")?;
        run(&flags, None)?;
        assert_eq!(fs::metadata(&output)?.mode() & 0o7777, 0o640);
        assert_eq!(fs::read_dir(folder.path())?.count(), 2);
        Ok(())
    }

    #[test]
    fn a_mistake_leaves_the_old_file_as_it_was() -> Result<(), Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        let (table, output) = (folder.path().join("hosts.csv"), folder.path().join("targets.json"));
        fs::write(&output, "old")?;
        let mut flags = TargetsFlags {
            sources: SourceFlags { csv: Some(table.clone()), port: 9101, ..SourceFlags::default() },
            labels: vec![("rack".into(), "7".into())],
            output: Some(output.clone()),
        };
        for (text, word) in [
            ("host\na\n/etc/passwd\n", "hosts.csv:3: \"/etc/passwd\" is not the name"),
            ("host\na\na\n", "hosts.csv:3: a:9101 is named already in"),
            ("host,rack\na,1\n", "hosts.csv:2: the label rack is there already"),
            ("host\n", "names no host"),
        ] {
            fs::write(&table, text)?;
            let said = run(&flags, None).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(said.contains(word), "{said}");
            assert_eq!(fs::read_to_string(&output)?, "old");
        }
        fs::write(&table, "host\na\n")?;
        flags.labels.push(("rack".into(), "8".into()));
        assert!(matches!(run(&flags, None), Err(FleetError::Usage(said)) if said.contains("given twice")));
        flags.labels.clear();
        flags.output = Some(folder.path().join("targets.conf"));
        assert!(matches!(run(&flags, None), Err(FleetError::Usage(said)) if said.contains("does not end in .json")));
        assert_eq!(fs::read_dir(folder.path())?.count(), 2);
        Ok(())
    }
}
