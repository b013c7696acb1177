//! Names and values as SQL. Values stand in the statements as hexadecimal literals, so that no text of a record or of
//! the configuration can be read as anything else, and the session's modes do not matter.

use jiff::civil::DateTime;

use super::schema::Class;

/// An identifier.
pub(super) fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// A table of a database.
pub(super) fn table(database: &str, name: &str) -> String {
    format!("{}.{}", quoted(database), quoted(name))
}

/// A column of the table that a statement is about.
pub(super) fn qualified(table: &str, column: &str) -> String {
    format!("{}.{}", quoted(table), quoted(column))
}

/// Text. In a comparison the column's collation decides.
pub(super) fn text(value: &str) -> String {
    format!("_utf8mb4 X'{}'", hex(value.as_bytes()))
}

/// Bytes.
pub(super) fn bytes(value: &[u8]) -> String {
    format!("X'{}'", hex(value))
}

/// An instant of a clock without a zone.
pub(super) fn civil(value: DateTime) -> String {
    format!("TIMESTAMP'{}'", value.strftime("%Y-%m-%d %H:%M:%S.%6f"))
}

fn hex(value: &[u8]) -> String {
    use std::fmt::Write as _;
    value.iter().fold(String::with_capacity(value.len() * 2), |mut hex, byte| {
        // Writing into a string has no way to fail.
        let _infallible = write!(hex, "{byte:02X}");
        hex
    })
}

/// The conditions joined by AND; true where there are none.
pub(super) fn all(conditions: impl IntoIterator<Item = Option<String>>) -> String {
    let conditions: Vec<String> = conditions.into_iter().flatten().filter(|condition| condition != "TRUE").collect();
    if conditions.is_empty() { "TRUE".to_owned() } else { conditions.join(" AND ") }
}

/// A column's value as text that compares byte by byte.
pub(super) fn exact_text(column: &str, class: Class) -> String {
    match class {
        // Every byte is a character of latin1, so that nothing is lost and nothing fails.
        Class::Binary { .. } => format!("(CONVERT({column} USING latin1) COLLATE latin1_bin)"),
        _ => format!("({} COLLATE utf8mb4_bin)", converted(column)),
    }
}

/// A column's text in the character set that has every character: others fail where they are compared with one that
/// they lack.
pub(super) fn converted(column: &str) -> String {
    format!("CONVERT({column} USING utf8mb4)")
}

/// A UUID in small letters, with its dashes, as the server shows it; `None` for what is none.
pub(super) fn canonical_uuid(text: &str) -> Option<String> {
    let digits: String = text.chars().filter(|digit| *digit != '-').collect::<String>().to_lowercase();
    let is_uuid = digits.len() == 32 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32].map(|range| digits.get(range).unwrap_or_default());
    is_uuid.then(|| parts.join("-"))
}

/// Bytes as a column of the class keeps them: BINARY fills them up with zeros.
pub(super) fn filled_up(value: &[u8], class: Class) -> Vec<u8> {
    let mut value = value.to_vec();
    if let Class::Binary { longest, fixed: true } = class {
        let longest = usize::try_from(longest).unwrap_or(usize::MAX);
        value.resize(longest.max(value.len()), 0);
    }
    value
}

/// Whether a column's value is this text, byte by byte: no collation, no padding but the column's own.
pub(super) fn is_exactly(column: &str, class: Class, value: &str) -> String {
    let bytes = bytes(&filled_up(value.as_bytes(), class));
    match class {
        Class::Binary { .. } => format!("({column} = {bytes})"),
        // The first comparison, by the column's collation, lets an index serve. Every character set has these.
        Class::Text { .. } if value.is_ascii() => {
            format!("({column} = {} AND CAST({} AS BINARY) = {bytes})", text(value), converted(column))
        }
        _ => format!("(CAST({} AS BINARY) = {bytes})", converted(column)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_is_recognised_however_it_is_written() {
        let expected = Some("550e8400-e29b-41d4-a716-446655440000".to_owned());
        assert_eq!(canonical_uuid("550E8400-E29B-41D4-A716-446655440000"), expected);
        assert_eq!(canonical_uuid("550e8400e29b41d4a716446655440000"), expected);
        assert_eq!(canonical_uuid("550e8400"), None);
    }

    #[test]
    fn only_binary_fills_up() {
        assert_eq!(filled_up(b"x", Class::Binary { longest: 3, fixed: true }), b"x\0\0");
        assert_eq!(filled_up(b"x", Class::Binary { longest: 3, fixed: false }), b"x");
    }
}
