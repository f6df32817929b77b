//! Reads the files that name hosts: text, of bounded size.

use std::path::Path;

use crate::export::{read_open, shown};

/// A hundred thousand hosts with several labels each.
const MOST_BYTES: usize = 16 * 1024 * 1024;

/// The text of `path`, which is `what` in messages.
///
/// # Errors
/// One sentence.
pub(super) fn text(what: &str, path: &Path) -> Result<String, String> {
    let bytes = read_open(what, path, MOST_BYTES)?;
    let text = std::str::from_utf8(&bytes).map_err(|error| {
        let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let line = before.split(|byte| *byte == b'\n').count();
        format!("{}:{line}: {what} is not text in UTF-8", shown(path))
    })?;
    Ok(text.to_owned())
}
