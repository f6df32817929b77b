//! A name as the name service gives it, in whatever bytes, → text that any format can carry.

use std::{ffi::OsStr, fmt::Write as _, os::unix::ffi::OsStrExt as _, sync::Arc};

/// Twice the longest name with which one can log in (`LOGIN_NAME_MAX`).
const MOST_BYTES: usize = 512;

/// `None` for an empty name. Bytes that are not UTF-8 are written as `\xFF`, so that two such names stay two; a name that
/// is too long ends in `…`.
pub(super) fn shown(name: &OsStr) -> Option<Arc<str>> {
    let bytes = name.as_bytes();
    let mut text = String::new();
    for chunk in bytes[..bytes.len().min(MOST_BYTES + 1)].utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            // Writing to a string cannot fail.
            let _ = write!(text, "\\x{byte:02X}");
        }
    }
    if text.len() > MOST_BYTES {
        let ellipsis = '…';
        text.truncate(text.floor_char_boundary(MOST_BYTES - ellipsis.len_utf8()));
        text.push(ellipsis);
    }
    if text.is_empty() { None } else { Some(text.into()) }
}

#[cfg(test)]
mod tests {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _};

    use proptest::prelude::{any, prop, proptest};

    use super::{MOST_BYTES, shown};

    fn text(bytes: &[u8]) -> String {
        shown(OsStr::from_bytes(bytes)).map(|text| text.to_string()).unwrap_or_default()
    }

    #[test]
    fn a_name_in_utf_8_stays_as_it_is_however_odd() {
        for name in ["ann", "DOMAIN\\ann", "a\"b\nc\\", "Дарья", "\u{1F41D}", "x{y=\"z\"} 1"] {
            assert_eq!(text(name.as_bytes()), name);
        }
    }

    #[test]
    fn names_in_other_encodings_stay_apart() {
        assert_eq!(text(b"caf\xe9"), "caf\\xE9");
        assert_eq!(text(b"\xff"), "\\xFF");
        assert_ne!(text(b"\xff"), text(b"\xfe"));
    }

    #[test]
    fn no_name_is_no_name() {
        assert_eq!(shown(OsStr::new("")), None);
    }

    #[test]
    fn a_name_of_any_length_becomes_one_that_fits() {
        assert_eq!(text(&[b'x'; MOST_BYTES]).len(), MOST_BYTES);
        let long = text("é".repeat(5_000).as_bytes());
        assert!(long.len() <= MOST_BYTES && long.ends_with("é…"), "{long}");
        let long = text(&[0xff; 5_000]);
        assert!(long.len() <= MOST_BYTES && long.ends_with('…'), "{long}");
    }

    proptest! {
        #[test]
        fn any_bytes_become_text_that_fits(bytes in prop::collection::vec(any::<u8>(), 0..700)) {
            let text = text(&bytes);
            assert!(text.len() <= MOST_BYTES);
            assert_eq!(text.is_empty(), bytes.is_empty());
        }
    }
}
