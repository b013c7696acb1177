//! Addresses in every form that is stored, masked by the server or outside.

use forgetd::config::site::{Mask, Unparsed};
use forgetd::plan::{Action, When};
use forgetd::store;
use mysql::prelude::Queryable;
use rstest::rstest;

use super::{count, database, erase, mariadb, rule, run, selection};

const DEFAULT: Mask = Mask { v4: 24, v6: 48, unparsed: Unparsed::Erase };
const SHORT: Mask = Mask { v4: 20, v6: 44, unparsed: Unparsed::Erase };
const KEEPING: Mask = Mask { unparsed: Unparsed::Keep, ..DEFAULT };

/// Values as they are written, and as they must be read afterwards; both as SQL.
type Cases = &'static [(&'static str, &'static str)];

const TEXT: Cases = &[
    ("'192.0.2.77'", "'192.0.2.0'"),
    ("'192.0.2.0'", "'192.0.2.0'"),
    ("'2001:db8:1:2::3'", "'2001:db8:1::'"),
    ("'2001:db8:1::'", "'2001:db8:1::'"),
    ("'2002:c000:024d::1'", "'2002:c000:200::'"),
    ("'::ffff:192.0.2.77'", "'::ffff:192.0.2.0'"),
    ("'::FFFF:192.0.2.77'", "'::ffff:192.0.2.0'"),
    ("'::ffff:192.0.2.0'", "'::ffff:192.0.2.0'"),
    ("'::ffff:192.000.2.7'", "NULL"),
    ("'::ffff:192.0.2.7:80'", "NULL"),
    ("'::ffff:c000:24d'", "'::ffff:192.0.2.0'"),
    ("'192.0.2.77:52100'", "'192.0.2.0'"),
    ("'[2001:db8:1:2::6]:443'", "'2001:db8:1::'"),
    ("'fe80::1%eth0'", "'fe80::'"),
    ("'192.0.2.77, 2001:db8:1:2::6,198.51.100.9'", "'192.0.2.0, 2001:db8:1::,198.51.100.0'"),
    ("'192.0.2.0, unknown'", "'192.0.2.0, unknown'"),
    ("'unknown'", "'unknown'"),
    ("'-'", "'-'"),
    ("''", "''"),
    ("NULL", "NULL"),
    ("'localhost'", "NULL"),
    ("'192.000.002.001'", "NULL"),
    ("'1921.0.2.3'", "NULL"),
];

const SHORT_TEXT: Cases = &[
    ("'192.0.2.77'", "'192.0.0.0'"),
    ("'192.0.255.77'", "'192.0.240.0'"),
    ("'2001:db8:1fff:2::3'", "'2001:db8:1ff0::'"),
    ("'2002:c000:ff4d::1'", "'2002:c000:f000::'"),
];

const KEPT_TEXT: Cases = &[("'localhost'", "'localhost'"), ("'visitor, 192.0.2.77'", "'visitor, 192.0.2.0'")];

const BYTES: Cases = &[
    ("x'C000024D'", "x'C0000200'"),
    ("x'20010DB8000100020000000000000003'", "x'20010DB8000100000000000000000000'"),
    ("x'00000000000000000000FFFFC000024D'", "x'00000000000000000000FFFFC0000200'"),
    ("x'2002C000024D00000000000000000001'", "x'2002C000020000000000000000000000'"),
    ("x''", "x''"),
    ("x'010203'", "NULL"),
    ("NULL", "NULL"),
];

/// What INET6_ATON makes of an IPv4 address, filled up, and an IPv6 address.
const FILLED_UP: Cases = &[
    ("x'C000024D'", "x'C0000200000000000000000000000000'"),
    ("x'20010DB8000100020000000000000003'", "x'20010DB8000100000000000000000000'"),
];

const NUMBERS: Cases = &[
    ("3221225985", "3221225984"),
    ("3221225984", "3221225984"),
    ("-1", "NULL"),
    ("4294967296", "NULL"),
    ("NULL", "NULL"),
];

/// A column with a sign holds the lower half of all addresses.
const SIGNED: Cases = &[("16909060", "16909056"), ("16909056", "16909056"), ("-1", "NULL"), ("NULL", "NULL")];

const SHORT_COLUMN: Cases =
    &[("'192.0.2.77'", "'192.0.2.0'"), ("'192.0.2.7:80'", "'192.0.2.0'"), ("''", "''"), ("NULL", "NULL")];

const INET6: Cases =
    &[("'2001:db8:1:2::3'", "'2001:db8:1::'"), ("'::ffff:192.0.2.77'", "'::ffff:192.0.2.0'"), ("NULL", "NULL")];

const INET4: Cases = &[("'192.0.2.77'", "'192.0.2.0'"), ("NULL", "NULL")];

#[rstest]
#[case::text("VARCHAR(200)", DEFAULT, TEXT)]
#[case::text_of_another_character_set("VARCHAR(200) CHARACTER SET utf16", DEFAULT, TEXT)]
#[case::prefixes_within_a_byte("VARCHAR(200)", SHORT, SHORT_TEXT)]
#[case::kept_text("VARCHAR(200)", KEEPING, KEPT_TEXT)]
#[case::bytes("VARBINARY(16)", DEFAULT, BYTES)]
#[case::bytes_of_fixed_length("BINARY(16)", DEFAULT, FILLED_UP)]
#[case::numbers("BIGINT", DEFAULT, NUMBERS)]
#[case::signed_numbers("INT", DEFAULT, SIGNED)]
#[case::unsigned_numbers("INT UNSIGNED", DEFAULT, &[("3221225985", "3221225984"), ("NULL", "NULL")])]
#[case::padded_text("CHAR(15)", DEFAULT, SHORT_COLUMN)]
#[case::inet6("INET6", DEFAULT, INET6)]
#[case::inet4("INET4", DEFAULT, INET4)]
fn every_stored_form_of_an_address_is_masked_once(#[case] declared: &str, #[case] mask: Mask, #[case] cases: Cases) {
    if !mariadb::knows(declared) {
        return;
    }
    let database = database(&[&format!(
        "CREATE TABLE visitors (id INT AUTO_INCREMENT PRIMARY KEY, seen BIGINT, ip {declared}, expected {declared})"
    )]);
    let mut connection = database.connect();
    for (stored, expected) in cases {
        let sql = format!("INSERT INTO visitors (seen, ip, expected) VALUES (1600000000, {stored}, {expected})");
        connection.query_drop(sql).unwrap();
    }
    let action = Action::TruncateColumn { column: "ip".to_owned(), mask, stand_in: None };
    let rule = rule(database.kind("root"), action);
    let selection = selection(&rule);
    let mut store = store::open_database(&rule.store);
    let changing = count(&database, "visitors WHERE NOT (ip <=> expected)");
    assert!(changing > 0);
    assert_eq!(store.survey(&selection).unwrap().matches, changing);
    assert_eq!(erase(store.as_mut(), &selection, 4), changing);
    let wrong: Vec<(i64, Option<String>)> =
        connection.query("SELECT id, CAST(ip AS CHAR) FROM visitors WHERE NOT (ip <=> expected)").unwrap();
    assert_eq!(wrong, []);
    assert_eq!(store.survey(&selection).unwrap().matches, 0);
}

#[test]
fn an_unusual_form_that_needs_no_masking_proves_nothing_about_a_batch() {
    let database = database(&[
        "CREATE TABLE visitors (id INT PRIMARY KEY, seen BIGINT, ip VARCHAR(99))",
        "INSERT INTO visitors VALUES (1, 1600000000, '192.0.2.0, unknown'), (2, 1600000000, '192.0.2.7, unknown')",
    ]);
    let action = Action::TruncateColumn { column: "ip".to_owned(), mask: DEFAULT, stand_in: None };
    let mut rule = rule(database.kind("root"), action);
    rule.when = When::NotStored;
    let selection = store::Selection { cutoff: None, ..selection(&rule) };
    let mut store = store::open_database(&rule.store);
    let mut walk = store.walk(&selection, super::MAX_LAG).unwrap();
    let batch = walk.prepare(9).unwrap().unwrap();
    assert_eq!(batch.rows(), 1);
    let in_flight = batch.in_flight().to_vec();
    batch.commit().unwrap();
    drop(walk);
    assert_eq!(store.resolve(&selection, &in_flight).unwrap(), store::Resolution::Committed);
}

/// Counted by the server for a user of its own.
#[test]
fn addresses_that_are_masked_already_are_not_read_again() {
    let database = database(&[
        "CREATE TABLE visitors (id INT PRIMARY KEY, seen BIGINT, ip VARCHAR(99))",
        "INSERT INTO visitors SELECT seq, 1600000000, IF(seq % 2, '::ffff:192.0.2.0', '2001:db8:1::') FROM seq_1_to_1000",
        "CREATE USER counted@localhost",
        "GRANT ALL ON *.* TO counted@localhost",
    ]);
    // MySQL counts without being asked to.
    let sql = match mariadb::is_mysql() {
        true => {
            "SELECT SUM(SUM_ROWS_SENT) FROM performance_schema.events_statements_summary_by_user_by_event_name \
             WHERE USER = 'counted'"
        }
        false => {
            run(&database, &["SET GLOBAL userstat = ON"]);
            "SELECT ROWS_SENT FROM information_schema.USER_STATISTICS WHERE USER = 'counted'"
        }
    };
    let action = Action::TruncateColumn { column: "ip".to_owned(), mask: DEFAULT, stand_in: None };
    let rule = rule(database.kind("counted"), action);
    let mut store = store::open_database(&rule.store);
    assert_eq!(store.survey(&selection(&rule)).unwrap().matches, 0);
    drop(store);
    let sent: u64 = database.connect().query_first(sql).unwrap().unwrap();
    assert!((1..200).contains(&sent), "{sent}");
}
