//! The size of files: production code is worth a second look at 400 lines and must be split by 600.
//! Tests do not count.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::project::Project;

/// From here on, a file gets a warning.
const WORTH_A_LOOK: usize = 400;
/// From here on, it fails.
const TOO_LONG: usize = 600;

/// Prints every long file; `true` if none is too long.
pub(super) fn check(project: &Project) -> Result<bool> {
    let mut held = true;
    for file in super::files(project.root(), &["rs", "sh", "py"])? {
        let relative = file.strip_prefix(project.root()).unwrap_or(&file);
        if is_test(relative) {
            continue;
        }
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let lines = production_lines(&text);
        if lines > TOO_LONG {
            println!("    {}: {lines} lines, at most {TOO_LONG}: split it", relative.display());
            held = false;
        } else if lines > WORTH_A_LOOK {
            println!("    warning: {}: {lines} lines, worth a second look", relative.display());
        }
    }
    Ok(held)
}

fn is_test(relative: &Path) -> bool {
    relative.file_name().is_some_and(|name| name == "tests.rs") || relative.iter().any(|part| part == "tests")
}

/// Lines before the module of tests, which stands last in a file by custom.
fn production_lines(text: &str) -> usize {
    let lines: Vec<&str> = text.lines().collect();
    lines
        .windows(2)
        .position(|pair| pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod tests"))
        .unwrap_or(lines.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_do_not_count() {
        assert_eq!(production_lines("a\nb\n"), 2);
        assert_eq!(production_lines("a\n#[cfg(test)]\nmod tests {\n}\n"), 1);
        assert_eq!(production_lines("#[cfg(test)]\nuse a::b;\nc\n"), 3);
        assert!(is_test(Path::new("collector/tests/kernel/main.rs")));
        assert!(is_test(Path::new("collector/src/rates/tests.rs")));
        assert!(!is_test(Path::new("loadtests/src/main.rs")));
    }
}
