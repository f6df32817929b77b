//! The file in which Prometheus finds all hosts (`file_sd_configs`).

use std::{fs, io::Write as _, os::unix::fs::PermissionsExt as _, path::Path};

use anyhow::Result;
use serde_json::json;
use tempfile::Builder;

use super::Places;

/// Replaces `file` as a whole: whoever reads it finds the old addresses or the new ones. Everybody may read it, since Prometheus is
/// mostly another user.
pub(crate) fn write(file: &Path, places: &Places) -> Result<()> {
    let targets: Vec<String> = places.addresses().map(|address| address.to_string()).collect();
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut new = Builder::new().permissions(fs::Permissions::from_mode(0o644)).tempfile_in(folder)?;
    writeln!(new, "{:#}", json!([{ "targets": targets }]))?;
    new.persist(file)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{fs, net::Ipv4Addr, os::unix::fs::PermissionsExt as _};

    use serde_json::{Value, from_slice, json};

    use super::{Places, Result, write};

    #[test]
    fn the_file_has_all_targets_and_nothing_else_stays() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("nodes.json");
        for count in [5, 2] {
            write(&file, &Places::new(Ipv4Addr::new(127, 1, 0, 1), 9101, count)?)?;
        }
        let found: Value = from_slice(&fs::read(&file)?)?;
        assert_eq!(found, json!([{ "targets": ["127.1.0.1:9101", "127.1.0.2:9101"] }]));
        assert_eq!(fs::read_dir(folder.path())?.count(), 1);
        assert_eq!(fs::metadata(&file)?.permissions().mode() & 0o777, 0o644);
        Ok(())
    }
}
