//! Files that name hosts → hosts, each once, in order.
//!
//! | module | owns |
//! |---|---|
//! | `address` | `host[:port]` |
//! | `labels` | names and values of labels |
//! | `list` | one host a line |
//! | `ssh` | the configuration of an SSH client |
//! | `csv` | tables with a header |
//! | `file_sd` | target files of Prometheus |
//! | `matches` | patterns |
//! | `files` | reading |
//!
//! Whoever writes such a file may be mistaken or malicious: sizes are bounded, and the first thing that is wrong is told with
//! file and line. Nobody is asked for addresses.

mod address;
mod csv;
mod file_sd;
mod files;
mod labels;
mod list;
mod matches;
mod ssh;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use clap::Args;

pub use self::{
    address::{Address, AddressFlaw, Place},
    labels::{LabelFlaw, Labels, of_flag},
};
pub(crate) use file_sd::write;

use super::FleetError;
use crate::export::shown;

/// Ten times what one Prometheus scrapes.
const MOST_HOSTS: usize = 100_000;

/// The files that name hosts.
#[derive(Args, Clone, Debug, Default)]
pub struct SourceFlags {
    /// Hosts, one host[:port] a line; # begins a comment
    #[arg(long, value_name = "FILE")]
    pub hosts: Option<PathBuf>,

    /// Configuration of an SSH client: every Host without a pattern, where ssh would find it
    #[arg(long, value_name = "FILE")]
    pub ssh_config: Option<PathBuf>,

    /// Table with a header: the column host, and a label in every other column
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,

    /// Port of hosts that come without one
    #[arg(long, value_name = "PORT", default_value_t = 9101, value_parser = clap::value_parser!(u16).range(1..))]
    pub port: u16,
}

/// A host, and where it was named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Where it is.
    pub address: Address,
    /// What is known of it.
    pub labels: Labels,
    /// `FILE:LINE`, or the file alone if lines mean nothing in it.
    pub origin: String,
}

/// A host as one file names it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    address: Address,
    labels: Labels,
    /// From 1; 0 if lines mean nothing.
    line: u64,
}

/// The first thing that is wrong in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Flaw {
    /// From 1; 0 if it has none.
    line: u64,
    sentence: String,
}

impl Flaw {
    fn at<S: ToString + ?Sized>(line: u64, sentence: &S) -> Self {
        Self { line, sentence: sentence.to_string() }
    }
}

/// Reads every file that `flags` and `file_sd` name. `home` is what `~` means.
///
/// # Errors
/// The first thing that is wrong, with file and line; a host that is named twice; no host at all.
pub fn read(flags: &SourceFlags, file_sd: Option<&Path>, home: Option<&Path>) -> Result<Vec<Host>, FleetError> {
    let mut hosts = Vec::new();
    let port = flags.port;
    if let Some(path) = &flags.hosts {
        add(&mut hosts, path, list::read(&text("the host list", path)?, port))?;
    }
    if let Some(path) = &flags.ssh_config {
        let text = text("the SSH configuration", path)?;
        let found = ssh::read(path, &text, port, home).map_err(|(file, flaw)| told(&file, &flaw))?;
        hosts.extend(found.into_iter().map(|found| host(&found.file, found.entry)));
    }
    if let Some(path) = &flags.csv {
        add(&mut hosts, path, csv::read(&text("the table", path)?, port))?;
    }
    if let Some(path) = file_sd {
        add(&mut hosts, path, file_sd::read(&text("the target file", path)?))?;
    }
    let files = [&flags.hosts, &flags.ssh_config, &flags.csv].map(Option::as_deref);
    let files: Vec<String> = files.into_iter().chain([file_sd]).flatten().map(shown).collect();
    if files.is_empty() {
        return Err(FleetError::Usage(
            "no host is named; say with --hosts, --ssh-config or --csv where they are".into(),
        ));
    }
    if hosts.is_empty() {
        return Err(FleetError::Input(format!("{} names no host", files.join(", "))));
    }
    if hosts.len() > MOST_HOSTS {
        return Err(FleetError::Input(format!("{} name more than {MOST_HOSTS} hosts", files.join(", "))));
    }
    check_distinct(&hosts)?;
    hosts.sort_by(|one, other| one.address.cmp(&other.address));
    Ok(hosts)
}

fn text(what: &str, path: &Path) -> Result<String, FleetError> {
    files::text(what, path).map_err(FleetError::Input)
}

fn add(hosts: &mut Vec<Host>, path: &Path, found: Result<Vec<Entry>, Flaw>) -> Result<(), FleetError> {
    hosts.extend(found.map_err(|flaw| told(path, &flaw))?.into_iter().map(|entry| host(path, entry)));
    Ok(())
}

fn host(path: &Path, entry: Entry) -> Host {
    Host { address: entry.address, labels: entry.labels, origin: origin(path, entry.line) }
}

fn origin(path: &Path, line: u64) -> String {
    if line == 0 { shown(path) } else { format!("{}:{line}", shown(path)) }
}

fn told(path: &Path, flaw: &Flaw) -> FleetError {
    FleetError::Input(format!("{}: {}", origin(path, flaw.line), flaw.sentence))
}

/// Scraped twice, a host would count twice in every sum.
fn check_distinct(hosts: &[Host]) -> Result<(), FleetError> {
    let mut seen: HashMap<&Address, &str> = HashMap::new();
    for host in hosts {
        if let Some(before) = seen.insert(&host.address, &host.origin) {
            let (origin, address) = (&host.origin, &host.address);
            return Err(FleetError::Input(format!("{origin}: {address} is named already in {before}; remove one")));
        }
    }
    Ok(())
}

/// Of what somebody wrote, as much as a message needs, without anything that a terminal obeys.
pub(super) fn excerpt(text: &str) -> String {
    const SHOWN: usize = 60;
    let ends = if text.chars().nth(SHOWN).is_some() { "…" } else { "" };
    let shown: String = text.chars().take(SHOWN).collect();
    format!("{shown:?}{ends}")
}

#[cfg(test)]
mod tests {
    use std::{error::Error, fs};

    use super::{SourceFlags, read};

    #[test]
    fn a_host_in_two_files_is_refused_with_both_lines() -> Result<(), Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        let (list, table) = (folder.path().join("hosts"), folder.path().join("hosts.csv"));
        fs::write(&list, "# first\nNode1.example\n")?;
        fs::write(&table, "host\nother\nnode1.example:9101\n")?;
        let flags = SourceFlags { hosts: Some(list.clone()), csv: Some(table.clone()), port: 9101, ssh_config: None };
        let said = read(&flags, None, None).err().map(|error| error.to_string()).unwrap_or_default();
        let (list, table) = (list.display(), table.display());
        assert_eq!(said, format!("{table}:3: node1.example:9101 is named already in {list}:2; remove one"));
        Ok(())
    }

    #[test]
    fn files_without_hosts_and_files_that_are_no_text_are_refused() -> Result<(), Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        let list = folder.path().join("hosts");
        let flags = SourceFlags { hosts: Some(list.clone()), port: 1, ..SourceFlags::default() };
        for (bytes, word) in [(&b"# none\n"[..], "names no host"), (b"a\nb\n\xff\n", ":3: the host list is not text")] {
            fs::write(&list, bytes)?;
            let said = read(&flags, None, None).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(said.contains(word) && said.starts_with(&list.display().to_string()), "{said}");
        }
        assert!(read(&SourceFlags::default(), None, None).is_err_and(|error| error.to_string().contains("--hosts")));
        Ok(())
    }
}
