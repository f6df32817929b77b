//! The whole disks of this host: I/O is limited on each of them. Partitions share their disk's limit.

use std::{fs, path::Path};

/// A host with more is limited on the first ones; the bound is against a runaway directory.
const MOST: usize = 1024;

/// Numbers such as `8:0`, sorted. Without those that are never there for data: RAM disks, compressed RAM, and loops and others
/// that have no size.
pub(super) fn whole(sys: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(sys.join("block")) else {
        return Vec::new();
    };
    let mut disks: Vec<String> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let name = entry.file_name();
            let name = name.to_str()?;
            if name.starts_with("ram") || name.starts_with("zram") {
                return None;
            }
            let size: u64 = fs::read_to_string(entry.path().join("size")).ok()?.trim().parse().ok()?;
            let number = fs::read_to_string(entry.path().join("dev")).ok()?.trim().to_owned();
            (size > 0 && is_number(&number)).then_some(number)
        })
        .take(MOST)
        .collect();
    disks.sort();
    disks
}

/// The device files of the whole disks, as far as they are there.
pub(super) fn nodes(sys: &Path, dev: &Path) -> Vec<String> {
    let node = |number: String| {
        let text = fs::read_to_string(sys.join("dev/block").join(number).join("uevent")).ok()?;
        let name = text.lines().find_map(|line| line.strip_prefix("DEVNAME="))?;
        let path = dev.join(name);
        path.exists().then(|| path.display().to_string())
    };
    whole(sys).into_iter().filter_map(node).collect()
}

/// `MAJOR:MINOR`.
pub(super) fn is_number(text: &str) -> bool {
    text.split_once(':').is_some_and(|(major, minor)| major.parse::<u32>().is_ok() && minor.parse::<u32>().is_ok())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "to be replaced")]
mod tests {
    use super::{fs, whole};

    #[test]
    fn only_disks_with_room_for_data_count() {
        let sys = tempfile::tempdir().unwrap();
        for (name, number, size) in [
            ("sda", "8:0", "100"),
            ("ram0", "1:0", "100"),
            ("zram0", "252:0", "9"),
            ("loop0", "7:0", "0"),
            ("loop1", "7:1", "8"),
            ("odd", "8:0 rbps=1", "8"),
        ] {
            let folder = sys.path().join("block").join(name);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("dev"), format!("{number}\n")).unwrap();
            fs::write(folder.join("size"), format!("{size}\n")).unwrap();
        }
        assert_eq!(whole(sys.path()), ["7:1", "8:0"]);
        assert!(whole(&sys.path().join("nothing")).is_empty());
    }
}
