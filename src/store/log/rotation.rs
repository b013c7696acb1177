//! What the name of a file says about its rotation: whether a server may still know the file by it.
//!
//! Names are the weakest of all signs. They are asked only where a mistake costs nothing but time: what is in doubt
//! stays.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::files::LogDirectory;

/// What programs that compress a file put behind its name, in the ways of compressing that are read here.
const COMPRESSED: [&str; 2] = ["gz", "zst"];

/// What stands between the name of a log and the mark of its rotation.
const SEPARATORS: [u8; 3] = *b".-_";

/// Whether a file was compressed after it was rotated: `access.log.2.gz`, `access.log-20260301.zst`. A program that
/// compresses makes a new file of the old one, and no server has ever written to that. A server that compresses by
/// itself writes to `access.log.gz`, of which this is not said, nor of its `access.log.gz.1`.
pub(super) fn is_compressed_copy(name: &OsStr) -> bool {
    let name = Path::new(name);
    let ends_so = name.extension().is_some_and(|end| COMPRESSED.iter().any(|known| end == *known));
    ends_so && name.file_stem().is_some_and(|stem| bears_a_mark(stem.as_bytes()))
}

/// Whether a name ends with a number, or holds a date.
fn bears_a_mark(stem: &[u8]) -> bool {
    let last = stem.rsplit(|byte| SEPARATORS.contains(byte)).next().unwrap_or_default();
    let is_number = !last.is_empty() && last.len() < stem.len() && last.iter().all(u8::is_ascii_digit);
    let is_date = |text: &[u8]| {
        text.iter()
            .enumerate()
            .all(|(at, byte)| if matches!(at, 4 | 7) { *byte == b'-' } else { byte.is_ascii_digit() })
    };
    is_number || stem.windows("2026-03-01".len()).any(is_date)
}

/// Whether a file stands beside the log that it was rotated from: `access.log.1` beside `access.log`. The server writes
/// to that one, and does not miss this one.
pub(super) fn stands_beside_its_log(directory: &LogDirectory, name: &OsStr) -> bool {
    let name = name.as_bytes();
    (1..name.len()).any(|length| {
        let (log, behind) = name.split_at(length);
        let is_mark =
            matches!(behind, [separator, digit, ..] if SEPARATORS.contains(separator) && digit.is_ascii_digit());
        is_mark && directory.identity_at(OsStr::from_bytes(log)).is_ok()
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("access.log.2.gz", true)]
    #[case("access.log-20260301.zst", true)]
    #[case("shop-2026-03-01T00-00-00.000.log.gz", true)]
    #[case("shop-2026-03-01T00-00-00.log.gz", true)]
    #[case("access.log.gz", false)]
    #[case("shop2.log.gz", false)]
    #[case("access.log.gz.1", false)]
    #[case("access.log.1", false)]
    #[case("access.log-20260301", false)]
    #[case("1.gz", false)]
    fn a_file_that_was_compressed_after_its_rotation_is_told_by_its_name(#[case] name: &str, #[case] is_copy: bool) {
        assert_eq!(is_compressed_copy(name.as_ref()), is_copy);
    }
}
