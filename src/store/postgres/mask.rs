//! Masking of addresses in SQL: what [`crate::store::address`] does, done by the server, so that one statement masks
//! a batch and every statement can see what is masked already.
//!
//! Two expressions are made for each type of column: whether masking would change the value, and what it makes of
//! it. A cast to `inet` happens only behind a regular expression that admits nothing but addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::schema::ColumnKind;
use crate::config::site::{Mask, Unparsed};

/// Of IPv6 addresses that hold an IPv4 one behind `::ffff:`, the bits before it.
const MAPPED_PREFIX: u8 = 96;

/// Of 6to4 addresses, the bits before the IPv4 address (RFC 3056, section 2).
const SIX_TO_FOUR_PREFIX: u8 = 16;

/// Unicode's White_Space, as `str::trim` takes it away, in a database of Unicode; in others what all of them have.
const WHITE_SPACE: &str = "E'\\u0009\\u000A\\u000B\\u000C\\u000D\\u0020\\u0085\\u00A0\\u1680\\u2000\\u2001\\u2002\
     \\u2003\\u2004\\u2005\\u2006\\u2007\\u2008\\u2009\\u200A\\u2028\\u2029\\u202F\\u205F\\u3000'";
const ASCII_WHITE_SPACE: &str = "E'\\t\\n\\x0B\\f\\r '";

/// The characters that a database can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Charset {
    /// All of Unicode.
    Unicode,
    /// Others.
    Other,
}

impl Charset {
    fn white_space(self) -> &'static str {
        match self {
            Charset::Unicode => WHITE_SPACE,
            Charset::Other => ASCII_WHITE_SPACE,
        }
    }
}

/// What masking does to a column.
#[derive(Debug)]
pub(super) struct MaskSql {
    /// True where the value would change. Never NULL but for NULL values.
    pub(super) changes: String,
    /// The value afterwards, where it changes.
    pub(super) written: String,
}

/// The expressions for `column`; `stand_in` is written where there is no address. `None` where a column of this kind
/// holds no addresses.
pub(super) fn mask(column: &str, kind: ColumnKind, charset: Charset, mask: &Mask, stand_in: &str) -> Option<MaskSql> {
    Some(match kind {
        ColumnKind::Inet => inet_column(column, mask, ""),
        ColumnKind::Cidr => inet_column(column, mask, "::cidr"),
        ColumnKind::Integer => integer(column, mask, stand_in),
        ColumnKind::Bytea => bytea(column, mask, stand_in),
        ColumnKind::Text => text(column, charset, mask, stand_in),
        _ => return None,
    })
}

fn inet_column(column: &str, mask: &Mask, cast: &str) -> MaskSql {
    let network = format!("set_masklen({}, masklen({column}))", network(&format!("{column}::inet"), mask));
    MaskSql { changes: format!("{column}::inet <> {network}"), written: format!("{network}{cast}") }
}

/// The network of an `inet`, whatever kind of address it is.
fn network(inet: &str, mask: &Mask) -> String {
    let v6 = |prefix: u8| IpAddr::V6(Ipv6Addr::from_bits(leading_ones(prefix, 128)));
    let v4 = IpAddr::V4(Ipv4Addr::from_bits(ones_v4(mask.v4)));
    format!(
        "({inet} & CASE WHEN family({inet}) = 4 THEN inet '{v4}' \
         WHEN {inet} <<= inet '::ffff:0.0.0.0/{MAPPED_PREFIX}' THEN inet '{}' \
         WHEN {inet} <<= inet '2002::/{SIX_TO_FOUR_PREFIX}' THEN inet '{}' ELSE inet '{}' END)",
        v6(MAPPED_PREFIX.saturating_add(mask.v4)),
        v6(six_to_four(mask)),
        v6(mask.v6),
    )
}

fn six_to_four(mask: &Mask) -> u8 {
    mask.v6.min(mask.v4.saturating_add(SIX_TO_FOUR_PREFIX))
}

fn leading_ones(prefix: u8, width: u32) -> u128 {
    let ones = u128::MAX.checked_shr(u32::from(prefix)).map_or(u128::MAX, |host| !host);
    ones >> (128 - width)
}

fn ones_v4(prefix: u8) -> u32 {
    u32::try_from(leading_ones(prefix, 32) & u128::from(u32::MAX)).unwrap_or(u32::MAX)
}

/// IPv4 addresses as unsigned 32-bit numbers.
fn integer(column: &str, mask: &Mask, stand_in: &str) -> MaskSql {
    let is_address = format!("{column} BETWEEN 0 AND {}", u32::MAX);
    let network = format!("({column}::int8 & {})", ones_v4(mask.v4));
    MaskSql {
        changes: format!("CASE WHEN {is_address} THEN {column} <> {network} ELSE {} END", no_address(mask)),
        written: format!("CASE WHEN {is_address} THEN {network} ELSE {stand_in} END"),
    }
}

fn no_address(mask: &Mask) -> bool {
    mask.unparsed == Unparsed::Erase
}

/// Addresses in network byte order: 4 or 16 bytes.
fn bytea(column: &str, mask: &Mask, stand_in: &str) -> MaskSql {
    let network = format!(
        "CASE WHEN length({column}) = 4 THEN {} \
         WHEN substr({column}, 1, 12) = '\\x00000000000000000000ffff' THEN {} \
         WHEN substr({column}, 1, 2) = '\\x2002' THEN {} ELSE {} END",
        leading_bytes(column, mask.v4, 4),
        leading_bytes(column, MAPPED_PREFIX.saturating_add(mask.v4), 16),
        leading_bytes(column, six_to_four(mask), 16),
        leading_bytes(column, mask.v6, 16),
    );
    let is_address = format!("length({column}) IN (4, 16)");
    MaskSql {
        changes: format!(
            "CASE WHEN {is_address} THEN {column} <> {network} ELSE {} AND length({column}) > 0 END",
            no_address(mask)
        ),
        written: format!("CASE WHEN {is_address} THEN {network} ELSE {stand_in} END"),
    }
}

/// The first `prefix` bits of `width` bytes, then zeros.
fn leading_bytes(column: &str, prefix: u8, width: u8) -> String {
    let (whole, bits) = ((prefix / 8).min(width), prefix % 8);
    if whole == width {
        return column.to_owned();
    }
    let split = format!("set_byte('\\x00'::bytea, 0, get_byte({column}, {whole}) & {})", !(0xFF_u8 >> bits));
    let zeros = "00".repeat(usize::from(width - whole - 1));
    format!("(substr({column}, 1, {whole}) || {split} || '\\x{zeros}'::bytea)")
}

/// Text is cut at its commas, each element masked or judged, and put together again. A bare IPv4 address, the usual
/// case, goes a shorter way.
fn text(column: &str, charset: Charset, mask: &Mask, stand_in: &str) -> MaskSql {
    let text = format!("{column}::text");
    let bare = bare_v4(&text);
    let inet = format!("{text}::inet");
    let network = format!("({inet} & inet '{}')", IpAddr::V4(Ipv4Addr::from_bits(ones_v4(mask.v4))));
    let list = list(&text, charset, mask);
    let verdict = match mask.unparsed {
        Unparsed::Erase => "changed OR NOT known",
        Unparsed::Keep => "changed",
    };
    MaskSql {
        changes: format!(
            "CASE WHEN {bare} THEN {inet} <> {network} ELSE (SELECT {verdict} FROM ({list}) AS whole) END"
        ),
        written: format!(
            "CASE WHEN {bare} THEN host({network}) ELSE (SELECT {} FROM ({list}) AS whole) END",
            match mask.unparsed {
                Unparsed::Erase => format!("CASE WHEN known THEN masked ELSE {stand_in} END"),
                Unparsed::Keep => "masked".to_owned(),
            }
        ),
    }
}

/// The same as [`v4_pattern`] from end to end. Four numbers, each looked up, cost the server a quarter of what matching
/// a pattern does.
fn bare_v4(text: &str) -> String {
    let text = format!("({text} COLLATE \"C\")");
    let octets: Vec<String> = (u8::MIN..=u8::MAX).map(|octet| octet.to_string()).collect();
    let octet = |part: u8| format!("split_part({text}, '.', {part}) = ANY ('{{{}}}'::text[])", octets.join(","));
    let parts: Vec<String> = (1..=4).map(octet).collect();
    format!("{text} NOT LIKE '%.%.%.%.%' AND {}", parts.join(" AND "))
}

/// One row: the masked list, whether it differs, and whether each of its elements was known.
fn list(text: &str, charset: Charset, mask: &Mask) -> String {
    let white_space = charset.white_space();
    let (v4, v6, port) = (v4_pattern(), v6_pattern(), port_pattern());
    let network = network("address", mask);
    // The address within each element, and whether the element is nothing else.
    let bare = format!("^(?:{v4}|{v6})$");
    let dressed = format!("^\\[({v6})(?:%[^]]*)?\\](?::{port})?$|^({v6})%.*$|^({v4}):{port}$");
    format!(
        "SELECT string_agg(CASE WHEN address IS NULL OR (is_bare AND {network} = address) THEN element \
         ELSE before || host({network}) || after END, ',' ORDER BY place) AS masked, \
         bool_or(address IS NOT NULL AND NOT (is_bare AND {network} = address)) AS changed, \
         bool_and(is_none OR address IS NOT NULL) AS known FROM \
         (SELECT place, element, is_none, is_bare, \
         left(element, length(element) - length(ltrim(element, {white_space}))) AS before, \
         right(element, length(element) - length(rtrim(element, {white_space}))) AS after, \
         CASE WHEN is_bare THEN bare::inet ELSE coalesce(p[1], p[2], p[3])::inet END AS address FROM \
         (SELECT place, element, bare, bare ~ '^(?:-?|[Uu][Nn][Kk][Nn][Oo][Ww][Nn])$' AS is_none, \
         bare ~ '{bare}' AS is_bare, regexp_match(bare, '{dressed}') AS p FROM \
         (SELECT place, element, btrim(element, {white_space}) AS bare \
         FROM unnest(CASE WHEN {text} = '' THEN '{{\"\"}}'::text[] ELSE string_to_array({text}, ',') END) \
         WITH ORDINALITY AS e(element, place)) AS trimmed) AS matched) AS read"
    )
}

/// Four numbers from 0 to 255 without leading zeros. No group captures.
fn v4_pattern() -> String {
    let octet = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])";
    format!("{octet}(?:[.]{octet}){{3}}")
}

/// RFC 3986, section 3.2.2, `IPv6address`.
fn v6_pattern() -> String {
    let group = "[0-9A-Fa-f]{1,4}";
    let last = format!("(?:{group}:{group}|{})", v4_pattern());
    let mut forms = vec![format!("(?:{group}:){{6}}{last}")];
    // `::` stands for at least one group: before it up to seven, and behind it what then is left.
    let head = |most: u8| match most {
        0 => String::new(),
        most => format!("(?:(?:{group}:){{0,{}}}{group})?", most - 1),
    };
    forms.extend((0..=4_u8).map(|most| format!("{}::(?:{group}:){{{}}}{last}", head(most), 5 - most)));
    forms.push(format!("{}::{last}", head(5)));
    forms.push(format!("{}::{group}", head(6)));
    forms.push(format!("{}::", head(7)));
    format!("(?:{})", forms.join("|"))
}

/// 0 to 65535, leading zeros allowed.
fn port_pattern() -> &'static str {
    "0*(?:6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[0-9]{1,4})"
}
