//! Masking of addresses in SQL.
//!
//! Addresses in the usual forms are masked by the statement itself. Text in any other form (with a port, in a list, in
//! brackets, no address at all) is left to [`crate::store::address`]: the condition [`MaskSql::doubt`] finds it.

use super::schema::Class;
use super::sql::exact_text;
use crate::config::site::{Mask, Unparsed};

/// The first twelve bytes of an IPv4 address in IPv6 form (RFC 4291, section 2.5.5.2).
const MAPPED: &str = "X'00000000000000000000FFFF'";

/// The first two bytes of 6to4 (RFC 3056, section 2), which carries an IPv4 address behind them.
const SIX_TO_FOUR: &str = "X'2002'";

/// Masking of one column.
#[derive(Debug)]
pub(super) struct MaskSql {
    /// The value after masking.
    pub(super) masked: String,
    /// True where masking changes the value.
    pub(super) changes: String,
    /// True where SQL cannot tell what masking makes of the value.
    pub(super) doubt: Option<String>,
}

impl MaskSql {
    /// For a column of this class. `unparsed` is written instead of what must be erased. `None` if such a column
    /// holds no addresses.
    pub(super) fn new(column: &str, class: Class, mask: &Mask, unparsed: &str) -> Option<MaskSql> {
        match class {
            Class::Text { .. } => Some(text(column, class, mask)),
            Class::Binary { longest: 4 | 16, fixed } => Some(binary(column, fixed, mask, unparsed)),
            Class::Integer => Some(integer(column, mask, unparsed)),
            Class::Inet6 => Some(inet6(column, mask)),
            Class::Inet4 => Some(inet4(column, mask)),
            _ => None,
        }
    }
}

fn text(column: &str, class: Class, mask: &Mask) -> MaskSql {
    let text = exact_text(column, class);
    // As everybody writes it: zeros in front would be octal to some, and a part left out means another address.
    // Most addresses are of this form: the column is taken as it is, for each conversion costs as much as the test.
    let is_v4 = format!(
        "(IS_IPV4({column}) = 1 AND CAST(INET_NTOA(INET_ATON({column})) AS BINARY) = CAST({column} AS BINARY))"
    );
    // Without an IPv4 address in it, or as all systems write one that is mapped.
    let behind = format!("SUBSTR({text}, 8)");
    let is_mapped = format!(
        "(LOWER(LEFT({text}, 7)) = '::ffff:' AND IS_IPV4({behind}) = 1 \
         AND CAST(INET_NTOA(INET_ATON({behind})) AS BINARY) = CAST({behind} AS BINARY))"
    );
    let is_v6 = format!("((LOCATE('.', {text}) = 0 OR {is_mapped}) AND IS_IPV6({text}) = 1)");
    let bits = leading_ones(32, mask.v4);
    let bytes = format!("INET6_ATON({text})");
    let network = network_v6(&bytes, mask);
    MaskSql {
        masked: format!(
            "(CASE WHEN {is_v4} THEN INET_NTOA(INET_ATON({column}) & {bits}) ELSE INET6_NTOA({network}) END)"
        ),
        changes: format!(
            "(CASE WHEN {is_v4} THEN INET_ATON({column}) & {bits} <> INET_ATON({column}) \
             WHEN {is_v6} THEN {network} <> {bytes} ELSE FALSE END)"
        ),
        doubt: Some(format!(
            "(CASE WHEN {column} IS NULL OR {is_v4} THEN FALSE WHEN {is_v6} THEN FALSE \
             WHEN {text} IN ('', '-') OR LOWER({text}) = 'unknown' THEN FALSE ELSE TRUE END)"
        )),
    }
}

fn binary(column: &str, fixed: bool, mask: &Mask, unparsed: &str) -> MaskSql {
    let v4 = prefix(column, 4, mask.v4);
    let v6 = network_v6(column, mask);
    // BINARY(16) fills an IPv4 address of four bytes up with zeros, and then it looks like IPv6.
    let sixteen = match fixed {
        true => format!(
            "(CASE WHEN RIGHT({v6}, 12) = REPEAT(X'00', 12) THEN CONCAT({}, REPEAT(X'00', 12)) ELSE {v6} END)",
            prefix(&format!("LEFT({v6}, 4)"), 4, mask.v4)
        ),
        false => v6,
    };
    let (otherwise, otherwise_changes) = match mask.unparsed {
        Unparsed::Erase => (unparsed, "TRUE"),
        Unparsed::Keep => (column, "FALSE"),
    };
    MaskSql {
        masked: format!(
            "(CASE LENGTH({column}) WHEN 4 THEN {v4} WHEN 16 THEN {sixteen} WHEN 0 THEN {column} ELSE {otherwise} END)"
        ),
        changes: format!(
            "(CASE LENGTH({column}) WHEN 4 THEN {v4} <> {column} WHEN 16 THEN {sixteen} <> {column} WHEN 0 THEN FALSE \
             ELSE {otherwise_changes} END)"
        ),
        doubt: None,
    }
}

fn integer(column: &str, mask: &Mask, unparsed: &str) -> MaskSql {
    let is_address = format!("{column} BETWEEN 0 AND {}", u32::MAX);
    let network = format!("({column} & {})", leading_ones(32, mask.v4));
    let (otherwise, otherwise_changes) = match mask.unparsed {
        Unparsed::Erase => (unparsed, "TRUE"),
        Unparsed::Keep => (column, "FALSE"),
    };
    MaskSql {
        masked: format!("(CASE WHEN {is_address} THEN {network} ELSE {otherwise} END)"),
        changes: format!("(CASE WHEN {is_address} THEN {network} <> {column} ELSE {otherwise_changes} END)"),
        doubt: None,
    }
}

fn inet6(column: &str, mask: &Mask) -> MaskSql {
    let bytes = format!("CAST({column} AS BINARY(16))");
    let network = network_v6(&bytes, mask);
    MaskSql { masked: format!("CAST({network} AS INET6)"), changes: format!("{network} <> {bytes}"), doubt: None }
}

fn inet4(column: &str, mask: &Mask) -> MaskSql {
    let number = format!("INET_ATON(CAST({column} AS CHAR))");
    let network = format!("({number} & {})", leading_ones(32, mask.v4));
    MaskSql {
        masked: format!("CAST(INET_NTOA({network}) AS INET4)"),
        changes: format!("{network} <> {number}"),
        doubt: None,
    }
}

/// The network of an address of 16 bytes.
fn network_v6(bytes: &str, mask: &Mask) -> String {
    let mapped = prefix(&format!("SUBSTR({bytes}, 13)"), 4, mask.v4);
    let six_to_four = prefix(bytes, 16, mask.v6.min(mask.v4.saturating_add(16)));
    let other = prefix(bytes, 16, mask.v6);
    format!(
        "(CASE WHEN LEFT({bytes}, 12) = {MAPPED} THEN CONCAT({MAPPED}, {mapped}) \
         WHEN LEFT({bytes}, 2) = {SIX_TO_FOUR} THEN {six_to_four} ELSE {other} END)"
    )
}

/// The leading bits of a value of `length` bytes, the others zero.
fn prefix(bytes: &str, length: u8, bits: u8) -> String {
    let bits = bits.min(length.saturating_mul(8));
    let (whole, rest) = (bits / 8, bits % 8);
    if rest == 0 {
        return format!("CONCAT(LEFT({bytes}, {whole}), REPEAT(X'00', {}))", length - whole);
    }
    let next = whole + 1;
    format!(
        "CONCAT(LEFT({bytes}, {whole}), CHAR(ORD(SUBSTR({bytes}, {next}, 1)) & {}), REPEAT(X'00', {}))",
        leading_ones(8, rest),
        length - next
    )
}

/// A number of `width` bits of which the first `count` are ones.
fn leading_ones(width: u32, count: u8) -> u64 {
    let all = (1_u64 << width) - 1;
    let host = width.saturating_sub(u32::from(count));
    all & !((1_u64 << host) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leading_ones_are_the_networks_bits() {
        assert_eq!(leading_ones(32, 24), 0xFFFF_FF00);
        assert_eq!(leading_ones(32, 0), 0);
        assert_eq!(leading_ones(32, 32), 0xFFFF_FFFF);
        assert_eq!(leading_ones(8, 3), 0b1110_0000);
    }
}
