//! Whether a hold keeps a row.
//!
//! A hold compares as text and, so that neither the type of the column nor the way a value is written lets a row slip,
//! also as a value of the column's own type: what the operator wrote is read here, where nothing is guessed at.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use jiff::civil::{DateTime, Time};
use jiff::tz::Offset;
use jiff::{Timestamp, civil};

use super::schema::{Class, ColumnFacts};
use super::sql::{bytes, canonical_uuid, civil as datetime, converted, is_exactly, text};

/// SQL that is true where the column has the value that is held. May be NULL.
pub(super) fn is_held(column: &str, facts: &ColumnFacts, value: &str) -> String {
    let as_text = is_exactly(&format!("CAST({column} AS CHAR)"), Class::Other, value);
    let as_type = as_type(column, facts, value);
    std::iter::once(as_text).chain(as_type).collect::<Vec<_>>().join(" OR ")
}

fn as_type(column: &str, facts: &ColumnFacts, value: &str) -> Vec<String> {
    let trimmed = value.trim();
    let equal = |literals: Vec<String>| literals.into_iter().map(|literal| format!("{column} = {literal}")).collect();
    match facts.class {
        Class::Integer | Class::Decimal | Class::Float | Class::Bit | Class::Year => {
            equal(number(trimmed).into_iter().collect())
        }
        Class::Text { .. } | Class::Enum if facts.has_characters_of(value) => equal(vec![text(value)]),
        Class::Text { .. } | Class::Enum => vec![format!("{} = {}", converted(column), text(value))],
        Class::Binary { .. } => binary(column, facts.class, value),
        Class::Date | Class::Datetime | Class::Timestamp => equal(moments(trimmed).into_iter().map(datetime).collect()),
        Class::Time => equal(trimmed.parse::<Time>().iter().map(|time| format!("TIME'{time}'")).collect()),
        Class::Uuid => equal(canonical_uuid(trimmed).iter().map(|uuid| text(uuid)).collect()),
        Class::Inet6 => equal(v6(trimmed).iter().map(|address| text(&address.to_string())).collect()),
        Class::Inet4 => equal(v4(trimmed).iter().map(|address| text(&address.to_string())).collect()),
        Class::Set => vec![members(column, value)],
        Class::Other => Vec::new(),
    }
}

/// A number as SQL; `None` for what is none.
fn number(text: &str) -> Option<String> {
    if let Ok(number) = text.parse::<i128>() {
        return Some(number.to_string());
    }
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.')?;
    let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    (is_digits(whole) && is_digits(fraction)).then(|| text.to_owned())
}

/// The bytes of the text, or those that its hexadecimal digits stand for.
fn binary(column: &str, class: Class, value: &str) -> Vec<String> {
    let digits: String = value.chars().filter(|digit| *digit != '-').collect();
    vec![
        is_exactly(column, class, value),
        format!("TRIM(TRAILING X'00' FROM {column}) = {}", bytes(value.as_bytes())),
        format!("HEX({column}) = {}", text(&digits.to_uppercase())),
    ]
}

/// What an instant may look like in the column: as it is written, and in UTC, which is the session's zone.
fn moments(text: &str) -> Vec<DateTime> {
    let written = text.parse::<DateTime>().ok();
    let date = || text.parse::<civil::Date>().ok().map(|date| date.to_datetime(Time::midnight()));
    let in_utc = text.parse::<Timestamp>().ok().map(|instant| Offset::UTC.to_datetime(instant));
    written.or_else(date).into_iter().chain(in_utc).collect()
}

fn v6(text: &str) -> Option<Ipv6Addr> {
    match text.parse().ok()? {
        IpAddr::V6(address) => Some(address),
        IpAddr::V4(address) => Some(address.to_ipv6_mapped()),
    }
}

fn v4(text: &str) -> Option<Ipv4Addr> {
    match text.parse().ok()? {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(address) => address.to_ipv4_mapped(),
    }
}

/// Whether a SET has exactly these members, in whatever order they are written.
fn members(column: &str, value: &str) -> String {
    let members: BTreeSet<&str> = value.split(',').map(str::trim).filter(|member| !member.is_empty()).collect();
    let column_text = converted(column);
    let each = members.iter().map(|member| format!("FIND_IN_SET({}, {column_text}) > 0", text(member)));
    let all: Vec<String> = each.chain([format!("BIT_COUNT({column} + 0) = {}", members.len())]).collect();
    format!("({})", all.join(" AND "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_a_number_is_compared_as_one() {
        assert_eq!(number("007").as_deref(), Some("7"));
        assert_eq!(number("-7.50").as_deref(), Some("-7.50"));
        for text in ["", "7 OR 1", "1e3", "NaN", "inf", ".5", "5.", "1.2.3", "--1.0", "0x1"] {
            assert_eq!(number(text), None, "{text}");
        }
    }
}
