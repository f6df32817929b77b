//! An SSH client's configuration (`ssh_config(5)`): each name that `Host` gives literally is a host, under the `HostName` that
//! ssh would use for it.
//!
//! As in ssh, the first value that fits is used, and patterns with `*`, `?` and `!` give values but name no host. What ssh decides
//! only when it connects is not known here: `Match` blocks are passed over. `Port` is that of ssh, so it is passed over, too.

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
};

use super::{Address, Entry, Flaw, Labels, excerpt, files, matches::matches};

/// As deep as ssh goes itself (`READCONF_MAX_DEPTH`).
const DEEPEST: usize = 16;
/// Files read in all: a folder with more is not a configuration.
const MOST_FILES: usize = 256;
/// Each is held against every host.
const MOST_PATTERNED: usize = 256;

/// The lines under one `Host`.
struct Block {
    file: PathBuf,
    line: u64,
    patterns: Vec<String>,
    host_name: Option<String>,
    /// Not so under `Match`: only ssh knows.
    applies: bool,
}

/// What one file names, and where it stands.
pub(super) struct Found {
    pub(super) file: PathBuf,
    pub(super) entry: Entry,
}

struct Reading<'a> {
    blocks: Vec<Block>,
    files: usize,
    home: Option<&'a Path>,
    folder: PathBuf,
}

/// The hosts of the configuration at `path`, whose text is `text`. `home` is what `~` means.
///
/// # Errors
/// The file and the first thing that is wrong in it.
pub(super) fn read(path: &Path, text: &str, port: u16, home: Option<&Path>) -> Result<Vec<Found>, (PathBuf, Flaw)> {
    let folder = path.parent().map(Path::to_owned).unwrap_or_default();
    let mut reading = Reading { blocks: Vec::new(), files: 1, home, folder };
    reading.file(path, text, 0).map_err(|flaw| flaw.or_in(path))?;
    let index = Index::of(&reading.blocks)?;
    let mut found = Vec::new();
    for block in &reading.blocks {
        let mut own = HashSet::new();
        for name in block.patterns.iter().filter(|name| block.applies && is_literal(name)) {
            let host = index.host_name(name);
            let address =
                Address::parse(&host, Some(port)).map_err(|flaw| (block.file.clone(), Flaw::at(block.line, &flaw)))?;
            // Several names in one line are names of one host.
            if own.insert(address.clone()) {
                let entry = Entry { address, labels: Labels::new(), line: block.line };
                found.push(Found { file: block.file.clone(), entry });
            }
        }
    }
    Ok(found)
}

fn is_literal(pattern: &str) -> bool {
    !pattern.contains(['*', '?', '!'])
}

/// Where values stand, so that many hosts are not held against many blocks.
struct Index<'a> {
    blocks: &'a [Block],
    /// By name in lower case: the first block with a value that has nothing but names.
    named: HashMap<String, usize>,
    /// Blocks with a value and a pattern.
    patterned: Vec<usize>,
}

impl<'a> Index<'a> {
    fn of(blocks: &'a [Block]) -> Result<Self, (PathBuf, Flaw)> {
        let mut index = Self { blocks, named: HashMap::new(), patterned: Vec::new() };
        for (at, block) in blocks.iter().enumerate().filter(|(_, block)| block.applies && block.host_name.is_some()) {
            if block.patterns.iter().all(|pattern| is_literal(pattern)) {
                for name in &block.patterns {
                    index.named.entry(name.to_ascii_lowercase()).or_insert(at);
                }
            } else if index.patterned.len() < MOST_PATTERNED {
                index.patterned.push(at);
            } else {
                let sentence = format!("more than {MOST_PATTERNED} patterns have a HostName");
                return Err((block.file.clone(), Flaw::at(block.line, &sentence)));
            }
        }
        Ok(index)
    }

    /// What ssh connects to when asked for `name`.
    fn host_name(&self, name: &str) -> String {
        let value = |at: &usize| self.blocks.get(*at).and_then(|block| block.host_name.as_deref());
        let fits = |at: &&usize| self.blocks.get(**at).is_some_and(|block| is_meant(name, &block.patterns));
        let named = self.named.get(&name.to_ascii_lowercase());
        let first = self.patterned.iter().find(fits).into_iter().chain(named).min();
        first.and_then(value).map_or_else(|| name.to_owned(), |value| expanded(value, name))
    }
}

/// `%h` is the name that was asked for (`ssh_config(5)`, TOKENS).
fn expanded(value: &str, name: &str) -> String {
    let mut host = String::new();
    let mut letters = value.chars();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            host.push(letter);
            continue;
        }
        match letters.next() {
            Some('h') => host.push_str(name),
            Some('%') | None => host.push('%'),
            Some(other) => host.extend(['%', other]),
        }
    }
    host
}

/// One pattern must fit, and none that begins with `!`.
fn is_meant(name: &str, patterns: &[String]) -> bool {
    let fits = |pattern: &str| matches(pattern, name);
    let (mut meant, mut excluded) = (false, false);
    for pattern in patterns {
        match pattern.strip_prefix('!') {
            Some(pattern) => excluded |= fits(pattern),
            None => meant |= fits(pattern),
        }
    }
    meant && !excluded
}

/// A flaw of this file, or of one that it includes.
enum Wrong {
    Here(Flaw),
    There(PathBuf, Flaw),
}

impl Wrong {
    fn or_in(self, path: &Path) -> (PathBuf, Flaw) {
        match self {
            Self::Here(flaw) => (path.to_owned(), flaw),
            Self::There(path, flaw) => (path, flaw),
        }
    }
}

impl Reading<'_> {
    fn file(&mut self, path: &Path, text: &str, depth: usize) -> Result<(), Wrong> {
        // Before the first Host, lines are everybody's.
        let block = |line, patterns, applies| Block { file: path.to_owned(), line, patterns, host_name: None, applies };
        self.blocks.push(block(1, vec!["*".to_owned()], true));
        for (line, text) in (1..).zip(text.lines()) {
            let words = words(text).map_err(|sentence| Wrong::Here(Flaw::at(line, &sentence)))?;
            let Some((keyword, values)) = words.split_first() else { continue };
            let needs_value = || Wrong::Here(Flaw::at(line, &format!("{} has no value", excerpt(keyword))));
            match keyword.to_ascii_lowercase().as_str() {
                "host" | "include" if values.is_empty() => return Err(needs_value()),
                "host" => self.blocks.push(block(line, values.to_vec(), true)),
                "match" => self.blocks.push(block(line, Vec::new(), false)),
                "hostname" => {
                    let value = values.first().ok_or_else(needs_value)?;
                    if let Some(block) = self.blocks.last_mut() {
                        block.host_name.get_or_insert_with(|| value.clone());
                    }
                }
                "include" => self.include(path, line, values, depth)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// What is included stands where `Include` stands, and the block around it goes on behind it.
    fn include(&mut self, path: &Path, line: u64, values: &[String], depth: usize) -> Result<(), Wrong> {
        let here = |sentence: String| Wrong::Here(Flaw::at(line, &sentence));
        let around = self.blocks.last().map(|block| (block.patterns.clone(), block.applies));
        if around.as_ref().is_some_and(|(patterns, applies)| !applies || patterns != &["*"]) {
            return Err(here(
                "Include stands under a Host or Match, so it holds for some hosts only; put it above the first one"
                    .to_owned(),
            ));
        }
        if depth >= DEEPEST {
            return Err(here(format!("files include each other more than {DEEPEST} deep")));
        }
        for value in values {
            for included in self.expand(value).map_err(here)? {
                self.files += 1;
                if self.files > MOST_FILES {
                    return Err(here(format!("more than {MOST_FILES} files are included")));
                }
                let text = files::text("the SSH configuration", &included).map_err(here)?;
                self.file(&included, &text, depth + 1).map_err(|wrong| {
                    let (path, flaw) = wrong.or_in(&included);
                    Wrong::There(path, flaw)
                })?;
            }
        }
        if let Some((patterns, applies)) = around {
            self.blocks.push(Block { file: path.to_owned(), line, patterns, host_name: None, applies });
        }
        Ok(())
    }

    /// The files that `value` means, in order of their names. None is fine, as it is for ssh.
    fn expand(&self, value: &str) -> Result<Vec<PathBuf>, String> {
        let path = match (value.strip_prefix("~/"), self.home) {
            (Some(rest), Some(home)) => home.join(rest),
            (Some(_), None) => return Err(format!("Include {} needs HOME, which is not set", excerpt(value))),
            (None, _) => self.folder.join(value),
        };
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let parent = path.parent().map(Path::to_owned).unwrap_or_default();
        if parent.to_string_lossy().contains(['*', '?', '[']) || name.contains('[') {
            return Err(format!(
                "Include {} has a pattern before its last part or one with brackets, which is not followed",
                excerpt(value)
            ));
        }
        if !name.contains(['*', '?']) {
            return Ok(if path.exists() { vec![path] } else { Vec::new() });
        }
        let Ok(folder) = std::fs::read_dir(&parent) else { return Ok(Vec::new()) };
        let mut names = Vec::new();
        for entry in folder.flatten() {
            let found = entry.file_name().to_string_lossy().into_owned();
            // As a shell does: a hidden file is not meant by a star.
            let is_meant = matches(&name, &found) && (name.starts_with('.') || !found.starts_with('.'));
            if is_meant && entry.path().is_file() {
                names.push(found);
            }
            if names.len() > MOST_FILES {
                return Err(format!("Include {} means more than {MOST_FILES} files", excerpt(value)));
            }
        }
        names.sort_unstable();
        Ok(names.into_iter().map(|name| parent.join(name)).collect())
    }
}

/// Keyword and values: separated by blanks, the first time also by `=`; values may be quoted.
fn words(line: &str) -> Result<Vec<String>, String> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(Vec::new());
    }
    let end = line.find(|letter: char| letter.is_whitespace() || letter == '=').unwrap_or(line.len());
    let (keyword, rest) = line.split_at(end);
    let rest = rest.trim_start();
    let mut rest = rest.strip_prefix('=').unwrap_or(rest).trim_start();
    let mut words = vec![keyword.to_owned()];
    while !rest.is_empty() && !rest.starts_with('#') {
        let (word, behind) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').ok_or("a quoted value has no end")?,
            None => rest.split_at(rest.find(char::is_whitespace).unwrap_or(rest.len())),
        };
        words.push(word.to_owned());
        rest = behind.trim_start();
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use std::{error::Error, fs, path::Path};

    use super::read;

    fn hosts(path: &Path, text: &str) -> Result<Vec<String>, String> {
        let found = read(path, text, 9101, None);
        found
            .map(|all| all.iter().map(|one| format!("{} {}", one.entry.line, one.entry.address)).collect())
            .map_err(|(path, flaw)| format!("{}:{}: {}", path.display(), flaw.line, flaw.sentence))
    }

    #[test]
    fn names_are_hosts_and_patterns_are_not() {
        let text = "\
# mine
User me
Host one
  HostName one.example
  Port 2222
HOST two.example three.example
host = \"four\"
    hostname=192.0.2.4
Host *.example !x
  ForwardAgent no
Match host five exec \"true\"
  HostName never.example
Host ? *
  HostName late.example
";
        let expected = ["3 one.example:9101", "6 late.example:9101", "7 192.0.2.4:9101"];
        assert_eq!(hosts(Path::new("config"), text), Ok(expected.map(str::to_owned).to_vec()));
    }

    #[test]
    fn the_first_value_that_fits_is_used_with_its_tokens() {
        let text = "Host web*\n HostName %h.internal\nHost web1 db\n HostName other\nHost !web2 web2\n HostName no\n";
        let expected = ["3 web1.internal:9101", "3 other:9101", "5 web2.internal:9101"];
        assert_eq!(hosts(Path::new("config"), text), Ok(expected.map(str::to_owned).to_vec()));
    }

    #[test]
    fn included_files_count_as_if_they_stood_there() -> Result<(), Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("config");
        fs::create_dir(folder.path().join("d"))?;
        fs::write(folder.path().join("d/b.conf"), "Host b\n")?;
        fs::write(folder.path().join("d/a.conf"), "Host a\n HostName a.example\n")?;
        fs::write(folder.path().join("d/.hidden.conf"), "Host hidden\n")?;
        let found = hosts(&path, "Include d/*.conf missing\nHostName all.example\nHost c\n");
        let expected = ["1 a.example:9101", "1 all.example:9101", "3 all.example:9101"];
        assert_eq!(found, Ok(expected.map(str::to_owned).to_vec()));
        fs::write(folder.path().join("d/b.conf"), "Host b\n HostName \"x\n")?;
        let said = hosts(&path, "Include d/b.conf\n").err().unwrap_or_default();
        assert!(said.ends_with("d/b.conf:2: a quoted value has no end"), "{said}");
        Ok(())
    }

    #[test]
    fn what_includes_itself_comes_to_an_end() -> Result<(), Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("config");
        fs::write(&path, "Include config\n")?;
        let said = hosts(&path, "Include config\n").err().unwrap_or_default();
        assert!(said.contains("more than 16 deep"), "{said}");
        fs::write(&path, "Include config config config\n")?;
        assert!(hosts(&path, "Include config\n").is_err());
        for at in 0..300 {
            fs::write(folder.path().join(format!("{at}.conf")), "")?;
        }
        let said = hosts(&path, "Include *.conf\n").err().unwrap_or_default();
        assert!(said.contains("more than 256 files"), "{said}");
        Ok(())
    }

    #[test]
    fn what_holds_for_some_hosts_only_is_not_guessed_at() {
        let said = hosts(Path::new("config"), "Host a\nInclude more\n").err().unwrap_or_default();
        assert!(said.contains("config:2: Include stands under a Host or Match"), "{said}");
        let said = hosts(Path::new("config"), "Include */x\n").err().unwrap_or_default();
        assert!(said.contains("before its last part"), "{said}");
        let said = hosts(Path::new("config"), "Host a\n HostName a/b\n").err().unwrap_or_default();
        assert!(said.contains("config:1: \"a/b\" is not the name"), "{said}");
        let said = hosts(Path::new("config"), "Host\n").err().unwrap_or_default();
        assert!(said.contains("config:1: \"Host\" has no value"), "{said}");
    }
}
