//! Keys in the authentication file of the hosts, added and removed as a person would: everything else in it, comments too,
//! stays as it is. What comes out is read as a host would read it before it is put in place.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use toml::{Table, Value};

use super::super::{FleetError, place};
use crate::export::{
    auth::settings::{Settings, read_jwt_settings},
    read_open, shown,
};

/// As much as a host reads.
const MOST_BYTES: usize = 1024 * 1024;

/// The file, as it was found.
#[derive(Clone, Debug)]
pub(super) struct AuthFile {
    path: PathBuf,
    text: String,
    kids: Vec<String>,
}

impl AuthFile {
    /// Reads it, as a host would.
    ///
    /// # Errors
    /// One sentence.
    pub(super) fn read(path: &Path) -> Result<Self, FleetError> {
        let path = place::behind_links(path)?;
        let bytes = read_open("the authentication file", &path, MOST_BYTES).map_err(FleetError::Input)?;
        let text = std::str::from_utf8(&bytes)
            .map_err(|_| FleetError::Input(format!("the authentication file {} is not text", shown(&path))))?
            .to_owned();
        let jwt = read_jwt_settings(&path).map_err(|error| FleetError::Input(error.0.join("; ")))?;
        let kids = jwt.keys.iter().filter_map(|key| key.kid().map(str::to_owned)).collect();
        Ok(Self { path, text, kids })
    }

    /// The names of its keys, those of key sets included.
    pub(super) fn kids(&self) -> &[String] {
        &self.kids
    }

    /// How the file names `file`: without a folder if it is in the same one, so that both can be carried elsewhere.
    pub(super) fn name_of(&self, file: &Path) -> String {
        let absolute = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
        let own = std::path::absolute(&self.path).unwrap_or_else(|_| self.path.clone());
        match (absolute.parent() == own.parent(), absolute.file_name()) {
            (true, Some(name)) => name.to_string_lossy().into_owned(),
            _ => absolute.display().to_string(),
        }
    }

    /// Puts a file in place that has `lines`, those of a key, besides.
    ///
    /// # Errors
    /// One sentence; nothing has changed.
    pub(super) fn add(&self, lines: &str) -> Result<(), FleetError> {
        self.put(&added(&self.text, lines), &format!("add these lines yourself: {lines:?}"))
    }

    /// Puts a file in place that lacks the key `kid`.
    ///
    /// # Errors
    /// One sentence; nothing has changed.
    pub(super) fn remove(&self, kid: &str) -> Result<(), FleetError> {
        let path = shown(&self.path);
        let text = without(&self.text, kid).ok_or_else(|| {
            FleetError::Input(format!(
                "{path} does not have the key {kid:?} in lines of its own under [[jwt.keys]]; remove it there, or from its key set, yourself"
            ))
        })?;
        self.put(&text, &format!("remove the key {kid:?} yourself"))
    }

    /// Puts back what was found.
    ///
    /// # Errors
    /// One sentence.
    pub(super) fn restore(&self) -> Result<(), FleetError> {
        place::replace(&self.path, self.text.as_bytes(), 0o644)
    }

    fn put(&self, text: &str, otherwise: &str) -> Result<(), FleetError> {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let failed = |error: std::io::Error| {
            FleetError::File(format!("nothing can be written beside {} ({error})", shown(&self.path)))
        };
        // In the same folder, from which it names its files.
        let mut trial = tempfile::Builder::new().prefix(".uidmeter-").tempfile_in(folder).map_err(failed)?;
        trial.write_all(text.as_bytes()).map_err(failed)?;
        let mut problems = Settings::problems_of(Some(trial.path()));
        problems.extend(read_jwt_settings(trial.path()).err().map(|error| error.0).unwrap_or_default());
        match problems.first() {
            None => place::replace(&self.path, text.as_bytes(), 0o644),
            Some(problem) => Err(FleetError::Input(format!(
                "{} cannot be changed by itself ({problem}); {otherwise}",
                shown(&self.path)
            ))),
        }
    }
}

fn added(text: &str, lines: &str) -> String {
    let gap = if text.is_empty() || text.ends_with("\n\n") {
        ""
    } else if text.ends_with('\n') {
        "\n"
    } else {
        "\n\n"
    };
    format!("{text}{gap}{lines}")
}

/// `text` without the table `[[jwt.keys]]` that has this `kid`; `None` if there is none that can be told by its lines.
fn without(text: &str, kid: &str) -> Option<String> {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let header = |line: &&str| {
        let line: String = line.chars().filter(|letter| !letter.is_whitespace()).collect();
        line.split('#').next() == Some("[[jwt.keys]]")
    };
    let expected = expected(text, kid)?;
    for (begin, _) in lines.iter().enumerate().filter(|(_, line)| header(line)) {
        let behind = lines.get(begin + 1..)?;
        let length = behind.iter().position(|line| line.trim_start().starts_with('[')).unwrap_or(behind.len());
        // Comments and empty lines at the end belong to what follows.
        let says = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
        let own = behind.get(..length)?.iter().rposition(says).map_or(0, |last| last + 1);
        let rest = [lines.get(..begin)?, lines.get(begin + 1 + own..)?].concat().concat();
        // The parser has the last word on what these lines were.
        if rest.parse::<Table>().is_ok_and(|found| found == expected) {
            return Some(rest);
        }
    }
    None
}

/// What the file should say without the key.
fn expected(text: &str, kid: &str) -> Option<Table> {
    let mut table: Table = text.parse().ok()?;
    let keys = table.get_mut("jwt")?.as_table_mut()?.get_mut("keys")?.as_array_mut()?;
    let before = keys.len();
    keys.retain(|key| key.get("kid").and_then(Value::as_str) != Some(kid));
    let (after, is_empty) = (keys.len(), keys.is_empty());
    if is_empty {
        table.get_mut("jwt")?.as_table_mut()?.remove("keys");
    }
    (before == after + 1).then_some(table)
}

#[cfg(test)]
mod tests {
    use std::{
        error::Error,
        fs,
        os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    };

    use super::{AuthFile, added, without};

    const HEAD: &str = "# ours\nopen_health = true\n\n[jwt]\nissuers = [\"i\"]\naudiences = [\"a\"]\n";
    const OLD: &str = "# the old one\n[[jwt.keys]]\nkid = \"old\" # here\nalgorithm = \"EdDSA\"\nfile = \"old.pub\"\n";
    const NEW: &str = "[[jwt.keys]]\nkid = \"new\"\nalgorithm = \"EdDSA\"\nfile = \"new.pub\"\n";

    #[test]
    fn a_key_comes_and_goes_and_all_else_stays() {
        let both = added(&format!("{HEAD}\n{OLD}"), NEW);
        assert_eq!(without(&both, "new"), Some(format!("{HEAD}\n{OLD}\n")));
        assert_eq!(without(&both, "old"), Some(format!("{HEAD}\n# the old one\n\n{NEW}")));
        assert_eq!(without(&both, "other"), None);
        let behind = format!("{HEAD}{OLD}\n# about users\n[basic]\npermissions = {{}}\n");
        let rest = "# the old one\n\n# about users\n[basic]\npermissions = {}\n";
        assert_eq!(without(&behind, "old"), Some(format!("{HEAD}{rest}")));
    }

    #[test]
    fn lines_that_only_look_like_a_key_are_left_alone() {
        let text = format!("note = \"\"\"\n[[jwt.keys]]\nkid = \"old\"\n\"\"\"\n{HEAD}[[jwt.keys]]\nkid = \"other\"\n");
        assert_eq!(without(&text, "old"), None);
        let inline = "[jwt]\nkeys = [{kid = \"old\"}, {kid = \"new\"}]\n";
        assert_eq!(without(inline, "old"), None);
    }

    #[test]
    fn what_a_host_would_refuse_is_not_put_in_place() -> Result<(), Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("auth.toml");
        for name in ["old.pub", "new.pub"] {
            fs::write(folder.path().join(name), rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519)?.public_key_pem())?;
        }
        let text = format!("{HEAD}{OLD}");
        fs::write(&path, &text)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640))?;
        let file = AuthFile::read(&path)?;
        assert_eq!((file.kids(), file.name_of(&folder.path().join("x"))), (&["old".to_owned()][..], "x".to_owned()));
        for said in [
            file.remove("old").map_err(|error| error.to_string()),
            file.add(&NEW.replace("new.pub", "missing.pub")).map_err(|error| error.to_string()),
            file.add(OLD).map_err(|error| error.to_string()),
        ] {
            assert!(said.as_ref().is_err_and(|said| said.contains("cannot be changed by itself")), "{said:?}");
            assert_eq!(fs::read_to_string(&path)?, text);
        }
        file.add(NEW)?;
        let both = AuthFile::read(&path)?;
        assert_eq!(both.kids(), ["old", "new"]);
        both.remove("old")?;
        assert_eq!(AuthFile::read(&path)?.kids(), ["new"]);
        assert_eq!(fs::metadata(&path)?.mode() & 0o7777, 0o640);
        both.restore()?;
        assert_eq!(AuthFile::read(&path)?.kids(), ["old", "new"]);
        Ok(())
    }
}
