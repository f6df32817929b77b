//! Which Debian archive this machine uses, read from apt's own sources. Pure parsing, apart from
//! [`Archives::of_this_machine`]. No address is ever written into this tree.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

/// Debian's release names, past and near; other archives (and other distributions) use other names.
const CODENAMES: [&str; 9] =
    ["bullseye", "bookworm", "trixie", "forky", "sid", "oldstable", "stable", "testing", "unstable"];

/// One `deb` source: an address with its suites and the keyring that it is signed with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Source {
    /// The address, as apt writes it.
    pub(crate) uri: String,
    /// The keyring's file; `None` means apt's trusted ones.
    pub(crate) signed_by: Option<String>,
    suites: Vec<String>,
    components: Vec<String>,
}

/// The archives that kernels and servers are fetched from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Archives {
    /// The main archive, with every suite.
    pub(crate) main: Source,
    /// The security archive, if the machine uses it.
    pub(crate) security: Option<Source>,
}

impl Archives {
    /// Reads `/etc/apt/sources.list` and what lies in `/etc/apt/sources.list.d`.
    pub(crate) fn of_this_machine() -> Result<Self> {
        let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
        let mut parts: Vec<PathBuf> = fs::read_dir("/etc/apt/sources.list.d")
            .into_iter()
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path()))
            .collect();
        parts.sort();
        files.extend(parts);
        let sources: Vec<Source> = files.iter().flat_map(|file| read(file)).collect();
        match Self::choose(&sources) {
            Some(archives) => Ok(archives),
            None => bail!("apt's sources on this machine name no Debian archive to fetch from"),
        }
    }

    fn choose(sources: &[Source]) -> Option<Self> {
        let with = |suffix: &str| {
            let mut fitting = sources.iter().filter(|source| source.has_debian_suite(suffix));
            let first = fitting.clone().next();
            // Other vendors borrow Debian's release names: the one that says Debian wins.
            fitting.find(|source| source.says_debian()).or(first).cloned()
        };
        Some(Self { main: with("")?, security: with("-security") })
    }
}

impl Source {
    fn has_debian_suite(&self, suffix: &str) -> bool {
        let is_debians = |suite: &String| suite.strip_suffix(suffix).is_some_and(|name| CODENAMES.contains(&name));
        self.components.iter().any(|component| component == "main") && self.suites.iter().any(is_debians)
    }

    fn says_debian(&self) -> bool {
        let keyring = self.signed_by.as_deref().unwrap_or_default();
        self.uri.contains("debian") || keyring.contains("debian-archive")
    }
}

fn read(file: &Path) -> Vec<Source> {
    let Ok(text) = fs::read_to_string(file) else {
        return Vec::new();
    };
    match file.extension().and_then(|extension| extension.to_str()) {
        Some("sources") => parse_deb822(&text),
        Some("list") => text.lines().filter_map(parse_line).collect(),
        _ => Vec::new(),
    }
}

/// `deb [signed-by=/a/keyring arch=amd64] http://host/debian suite component…`
fn parse_line(line: &str) -> Option<Source> {
    let line = line.split('#').next()?.trim();
    let rest = line.strip_prefix("deb")?;
    let rest = rest.strip_prefix(char::is_whitespace)?.trim_start();
    let (options, rest) = match rest.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => ("", rest),
    };
    let signed_by = options.split_whitespace().find_map(|option| option.strip_prefix("signed-by=")).map(str::to_owned);
    let mut words = rest.split_whitespace().map(str::to_owned);
    Some(Source { uri: words.next()?, signed_by, suites: vec![words.next()?], components: words.collect() })
}

/// Stanzas of `Field: value`, with continuation lines that begin with a space.
fn parse_deb822(text: &str) -> Vec<Source> {
    let mut sources = Vec::new();
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in text.lines().chain([""]) {
        if line.starts_with('#') {
            continue;
        }
        if line.trim().is_empty() {
            sources.extend(stanza(&fields));
            fields.clear();
        } else if line.starts_with(char::is_whitespace) {
            if let Some((_, value)) = fields.last_mut() {
                value.push(' ');
                value.push_str(line.trim());
            }
        } else if let Some((name, value)) = line.split_once(':') {
            fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    sources
}

fn stanza(fields: &[(String, String)]) -> Vec<Source> {
    let words = |name: &str| -> Vec<String> {
        fields
            .iter()
            .filter(|(field, _)| field == name)
            .flat_map(|(_, value)| value.split_whitespace().map(str::to_owned))
            .collect()
    };
    let disabled = words("enabled").first().is_some_and(|word| word == "no");
    if disabled || !words("types").iter().any(|kind| kind == "deb") {
        return Vec::new();
    }
    // A key may also stand in the stanza itself; then apt's trusted keyrings must do.
    let signed_by = words("signed-by").into_iter().find(|word| word.starts_with('/'));
    words("uris")
        .into_iter()
        .map(|uri| Source {
            uri,
            signed_by: signed_by.clone(),
            suites: words("suites"),
            components: words("components"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEB822: &str = "\
Types: deb
# A comment inside a stanza.
URIs: http://mirror.invalid/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb deb-src
URIs: http://mirror.invalid/debian-security
Suites: bookworm-security
Components: main
 contrib
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc

Enabled: no
Types: deb
URIs: http://off.invalid/debian
Suites: sid
Components: main
";

    #[test]
    fn stanzas_give_the_main_and_the_security_archive() {
        let archives = Archives::choose(&parse_deb822(DEB822)).unwrap_or_else(|| unreachable!());
        assert_eq!(archives.main.uri, "http://mirror.invalid/debian");
        assert_eq!(archives.main.signed_by.as_deref(), Some("/usr/share/keyrings/debian-archive-keyring.gpg"));
        let security = archives.security.unwrap_or_default();
        assert_eq!(security.uri, "http://mirror.invalid/debian-security");
        assert_eq!(security.components, ["main", "contrib"]);
        assert_eq!(security.signed_by, None);
    }

    #[test]
    fn one_line_sources_are_understood_with_and_without_options() {
        let with = parse_line("deb [arch=amd64 signed-by=/k.gpg] http://m.invalid/d sid main # x");
        let with = with.unwrap_or_default();
        assert_eq!((with.uri.as_str(), with.signed_by.as_deref()), ("http://m.invalid/d", Some("/k.gpg")));
        let without = parse_line("deb http://m.invalid/d trixie main contrib").unwrap_or_default();
        assert_eq!(without.suites, ["trixie"]);
        assert_eq!(without.components, ["main", "contrib"]);
        for nothing in ["", "# deb http://m.invalid/d sid main", "deb-src http://m.invalid/d sid main"] {
            assert_eq!(parse_line(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn other_vendors_with_debians_release_names_do_not_win() {
        let list = [
            "deb [signed-by=/v.gpg] http://vendor.invalid/x bookworm main",
            "deb http://vendor.invalid/y nodistro main",
            "deb http://m.invalid/debian bookworm main",
        ];
        let sources: Vec<Source> = list.into_iter().filter_map(parse_line).collect();
        let uri = Archives::choose(&sources).map(|archives| archives.main.uri);
        assert_eq!(uri.as_deref(), Some("http://m.invalid/debian"));
        assert_eq!(Archives::choose(&sources[1..2]), None);
    }
}
