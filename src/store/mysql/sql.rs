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

/// Whether a column's value is this text, byte by byte: no collation, no padding.
pub(super) fn is_exactly(column: &str, class: Class, value: &str) -> String {
    let bytes = bytes(value.as_bytes());
    match class {
        Class::Binary { .. } => format!("({column} = {bytes})"),
        // The first comparison, by the column's collation, lets an index serve. Every character set has these.
        Class::Text { .. } if value.is_ascii() => {
            format!("({column} = {} AND CAST({} AS BINARY) = {bytes})", text(value), converted(column))
        }
        _ => format!("(CAST({} AS BINARY) = {bytes})", converted(column)),
    }
}
