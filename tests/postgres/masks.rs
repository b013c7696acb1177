//! Addresses are masked by the server exactly as everywhere else.

use forgetd::config::site::{Mask, Unparsed};
use forgetd::plan::Action;
use forgetd::store::Remainder;
use forgetd::store::address::{Masked, mask_bytes, mask_integer, mask_text};
use rstest::rstest;

use super::{Shop, erase, older, selection};

/// Every form of address that text holds, and what looks like one.
const ADDRESSES: [&str; 62] = [
    "",
    "-",
    "unknown",
    "UNKNOWN",
    "un\u{212A}nown",
    " ",
    "192.0.2.77",
    "192.0.2.0",
    " 192.0.2.77 ",
    "\t192.0.2.77\u{A0}",
    "192.0.2.77:80",
    "192.0.2.0:80",
    "192.0.2.77:",
    "192.0.2.77:65535",
    "192.0.2.77:65536",
    "192.0.2.77:000080",
    "192.0.2.77:+80",
    "192.0.2.256",
    "192.0.02.7",
    "192.0.2",
    "1.2.3.4.5",
    "0.0.0.0",
    "255.255.255.255",
    "2001:db8:1:2:3:4:5:6",
    "2001:DB8:1:2::6",
    "2001:DB8:1::",
    "2001:db8::",
    "::",
    "::1",
    "::ffff:192.0.2.77",
    "::ffff:c000:24d",
    "::ffff:192.0.2.0",
    "::192.0.2.77",
    "64:ff9b::192.0.2.77",
    "2002:c000:24d::1",
    "2002:c000:200::",
    "1:2:3:4:5:6:7::",
    "1:2:3:4:5:6:7::8",
    "1:2:3:4:5:6:7:8:9",
    "1::2::3",
    "::2:3:4:5:6:7:8",
    "1:2:3:4:5:6:192.0.2.77",
    "1:2:3:4:5:192.0.2.77",
    "12345::",
    "g::1",
    "fe80::1%eth0",
    "fe80::%eth0",
    "fe80::1%",
    "192.0.2.77%eth0",
    "[2001:db8:1:2::6]",
    "[2001:db8:1:2::6]:443",
    "[2001:db8:1:2::6]443",
    "[2001:db8:1:2::6",
    "[192.0.2.77]:80",
    "[fe80::1%eth0]:80",
    "192.0.2.77, 2001:db8:1:2::6,198.51.100.9",
    "unknown, 192.0.2.77",
    "visitor, 192.0.2.77",
    "192.0.2.0, unknown",
    "192.0.2.0,",
    ",",
    "localhost",
];

const MASKS: [Mask; 5] = [
    Mask { v4: 24, v6: 48, unparsed: Unparsed::Erase },
    Mask { v4: 24, v6: 48, unparsed: Unparsed::Keep },
    Mask { v4: 16, v6: 32, unparsed: Unparsed::Erase },
    Mask { v4: 19, v6: 45, unparsed: Unparsed::Erase },
    Mask { v4: 0, v6: 0, unparsed: Unparsed::Erase },
];

/// Masks a column of `declared` type and compares with `expected`, which says what becomes of the value of each row;
/// the count must be exact, and a second run must find nothing.
fn masks(declared: &str, values: &[String], expected: impl Fn(usize, &Mask) -> Option<String>) {
    for mask in MASKS {
        let mut shop = Shop::new(&format!(
            "CREATE TABLE visitors (id bigint PRIMARY KEY, seen timestamptz DEFAULT '2020-01-01', address {declared})"
        ));
        let insert = format!("INSERT INTO visitors (id, address) VALUES ($1, $2::text::{declared})");
        for (id, value) in (0_i64..).zip(values) {
            shop.client.execute(&insert, &[&id, value]).unwrap();
        }
        let action = Action::TruncateColumn { column: "address".to_owned(), mask, stand_in: None };
        let rule = shop.rule(older(), action);
        assert_eq!(shop.refusals(&rule), Vec::<String>::new());
        let before: Vec<Option<String>> = read(&mut shop);
        let survey = shop.open().survey(&selection(&rule)).unwrap();
        let (rows, remainder) = erase(&mut *shop.open(), &selection(&rule), 5);
        let after = read(&mut shop);
        let wanted: Vec<Option<String>> = (0..values.len()).map(|index| expected(index, &mask)).collect();
        for ((value, after), wanted) in values.iter().zip(&after).zip(&wanted) {
            assert_eq!(after, wanted, "{value:?} as {declared} by {mask:?}");
        }
        let changed = before.iter().zip(&after).filter(|(before, after)| before != after).count();
        assert_eq!((survey.matches, rows), (u64::try_from(changed).unwrap(), survey.matches), "{declared} by {mask:?}");
        assert_eq!(remainder, Remainder::default());
        assert_eq!(shop.open().survey(&selection(&rule)).unwrap().matches, 0, "{declared} by {mask:?}");
    }
}

fn read(shop: &mut Shop) -> Vec<Option<String>> {
    let rows = shop.client.query("SELECT address::text FROM visitors ORDER BY id", &[]).unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

fn after<T>(masked: Masked<T>, before: &str, text: impl Fn(T) -> String) -> Option<String> {
    match masked {
        Masked::Unchanged => Some(before.to_owned()),
        Masked::To(value) => Some(text(value)),
        Masked::Unparsed => None,
    }
}

#[test]
fn addresses_as_text_are_masked_as_everywhere() {
    let values = ADDRESSES.map(str::to_owned);
    masks("text", &values, |index, mask| after(mask_text(&values[index], mask), &values[index], |text| text));
}

#[test]
fn addresses_as_numbers_are_masked_as_everywhere() {
    let numbers = [0, 1, 0xC000_024D, 0xC000_0200, u32::MAX.into(), i64::from(u32::MAX) + 1, -1, i64::MIN, i64::MAX];
    let values = numbers.map(|number| number.to_string());
    masks("bigint", &values, |index, mask| {
        after(mask_integer(numbers[index], mask), &values[index], |number| number.to_string())
    });
}

#[test]
fn addresses_as_bytes_are_masked_as_everywhere() {
    let addresses = ["2001:db8:1:2:3:4:5:6", "::ffff:192.0.2.77", "2002:c000:24d::1", "::", "2001:db8:1::"];
    let mut bytes: Vec<Vec<u8>> =
        addresses.iter().map(|text| text.parse::<std::net::Ipv6Addr>().unwrap().octets().to_vec()).collect();
    bytes.extend([vec![192, 0, 2, 77], vec![192, 0, 2, 0], vec![], vec![1, 2, 3], vec![0; 17]]);
    let hex = |bytes: &[u8]| bytes.iter().fold("\\x".to_owned(), |hex, byte| format!("{hex}{byte:02x}"));
    let values: Vec<String> = bytes.iter().map(|bytes| hex(bytes)).collect();
    masks("bytea", &values, |index, mask| after(mask_bytes(&bytes[index], mask), &values[index], |bytes| hex(&bytes)));
}

#[rstest]
#[case::inet("inet")]
#[case::cidr("cidr")]
fn addresses_of_the_servers_own_type_are_masked_as_everywhere(#[case] declared: &str) {
    let addresses = ["192.0.2.77", "192.0.2.0", "2001:db8:1:2:3:4:5:6", "::ffff:192.0.2.77", "2002:c000:24d::1", "::"];
    let values = addresses.map(str::to_owned);
    masks(declared, &values, |index, mask| {
        let suffix = if values[index].contains(':') { "/128" } else { "/32" };
        // The cast to text names the prefix of a single address too.
        let text = |text: String| format!("{text}{suffix}");
        after(mask_text(&values[index], mask), &text(values[index].clone()), text)
    });
}
