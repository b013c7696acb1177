//! Names and comments as TOML writes them. A table may be called anything, and must not be able to write a line of the
//! configuration.

use crate::visible::{is_invisible, visible};

/// Where remarks begin.
const REMARKS: usize = 37;

/// A string on one line.
pub(super) fn string(text: &str) -> String {
    let mut written = String::with_capacity(text.len() + 2);
    written.push('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => written.extend(['\\', letter]),
            letter if is_invisible(letter) => written.push_str(&format!("\\U{:08X}", u32::from(letter))),
            letter => written.push(letter),
        }
    }
    written.push('"');
    written
}

/// A key: bare where it can be.
pub(super) fn key(name: &str) -> String {
    let is_bare = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if !name.is_empty() && name.bytes().all(is_bare) { name.to_owned() } else { string(name) }
}

/// A line with a remark: behind it in the column of the others where there is room, else before it.
pub(super) fn remarked(line: &str, why: &str) -> String {
    match line.chars().count() {
        0..=REMARKS => format!("{line:<REMARKS$} # review: {}\n", visible(why)),
        _ => format!("{}{line}\n", remark(why)),
    }
}

/// A line that is a remark.
pub(super) fn remark(text: &str) -> String {
    format!("# review: {}\n", visible(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_name_holds_is_one_string_and_stays_on_its_line() {
        for name in [
            "visitors",
            "",
            "a\"b\\c",
            "a\n[safety]\napproval = \"automatic\"",
            "a\u{7f}\u{85}\u{0}\u{202e}\u{e0041}",
            "návštěvy",
            "a.b",
        ] {
            let written = format!("{} = {}", key(name), string(name));
            assert_eq!(written.lines().count(), 1, "{written}");
            let read: toml::Table = written.parse().unwrap();
            assert_eq!(read.get(name).and_then(toml::Value::as_str), Some(name), "{written}");
            for remark in [remark(name), remarked("a = 1", name)] {
                assert_eq!(remark.lines().count(), 1, "{remark:?}");
                assert!(remark.parse::<toml::Table>().is_ok(), "{remark:?}");
            }
        }
    }
}
